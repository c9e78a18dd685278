#include "store/archive_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "core/json.h"

#define ZARF_FORMAT "%s.part%03zu"
#define HAULER_FORMAT "%s.%03zu"
#define DIGITS "0123456789"
#define DIGITS_MIN 3
#define LIST_MAX (64 * OCI_KIB) /* of a part000 */

static int open_file(int dir, const char *name, uint64_t *size_bytes, struct oci_error *err)
{
	oci_autoclose int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char shown[OCI_STR_ESCAPE_MAX];
	struct stat st;

	if (fd < 0)
		return oci_fs_fail(err, errno, "open", name);
	if (fstat(fd, &st) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "stat");
	if (!S_ISREG(st.st_mode))
		return oci_fail(err, OCI_E_FORMAT, "'%s' is not a regular file", oci_str_escape(name, shown));
	*size_bytes = (uint64_t)st.st_size;
	return oci_steal_fd(&fd);
}

static bool is_file(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, 0) == 0;
}

static char *part_name(const struct oci_archive_parts *parts, size_t number)
{
	bool zarf = strcmp(parts->format, ZARF_FORMAT) == 0;

	return zarf ? oci_str_printf(ZARF_FORMAT, parts->base, number) :
		      oci_str_printf(HAULER_FORMAT, parts->base, number);
}

static int open_part(const struct oci_archive_parts *parts, size_t number, uint64_t *size_bytes, struct oci_error *err)
{
	oci_autofree char *name = part_name(parts, number);

	return name ? open_file(parts->dir, name, size_bytes, err) : oci_fail_nomem(err);
}

/* which */

/* Where ".part<digits>" or ".<digits>" begins at the end of a name; NULL: nowhere. */
static const char *find_number(const char *name, const char *mark)
{
	const char *dot = strrchr(name, '.');
	size_t len = strlen(mark);

	if (!dot || dot == name || !oci_str_starts(dot, mark))
		return NULL;
	return strlen(dot + len) >= DIGITS_MIN && strspn(dot + len, DIGITS) == strlen(dot + len) ? dot : NULL;
}

bool oci_archive_parts_are_one(const struct oci_strings *names)
{
	const char *first = names->count > 0 ? names->items[0] : "";
	const char *mark = find_number(first, ".part") ? ".part" : ".";
	const char *number = find_number(first, mark);

	if (!number)
		return false;
	for (size_t i = 1; i < names->count; i++) {
		const char *name = names->items[i], *other = find_number(name, mark);

		if (!other || other - name != number - first || strncmp(name, first, (size_t)(number - first)) != 0)
			return false;
	}
	return true;
}

/* Are there parts whose first has this name? */
static int try_base(struct oci_archive_parts *parts, const char *base, size_t len, const char *format,
	size_t first, bool *ret, struct oci_error *err)
{
	oci_autofree char *name = NULL;

	free(parts->base);
	parts->base = strndup(base, len);
	parts->format = format;
	name = parts->base ? part_name(parts, first) : NULL;
	if (!name)
		return oci_fail_nomem(err);
	*ret = is_file(parts->dir, name);
	return 0;
}

/* A name of a part, or of what was cut. */
static int find_base(struct oci_archive_parts *parts, const char *name, bool *ret, struct oci_error *err)
{
	const char *zarf = find_number(name, ".part"), *hauler = find_number(name, ".");

	if (zarf)
		return try_base(parts, name, (size_t)(zarf - name), ZARF_FORMAT, 0, ret, err);
	if (hauler && try_base(parts, name, (size_t)(hauler - name), HAULER_FORMAT, 1, ret, err) < 0)
		return -1;
	if (*ret || is_file(parts->dir, name))
		return 0;
	if (try_base(parts, name, strlen(name), ZARF_FORMAT, 0, ret, err) < 0)
		return -1;
	return *ret ? 0 : try_base(parts, name, strlen(name), HAULER_FORMAT, 1, ret, err);
}

/* how many */

static int add_part(struct oci_archive_parts *parts, uint64_t size_bytes, struct oci_error *err)
{
	uint64_t *ends;

	if (parts->count == OCI_ARCHIVE_PARTS_MAX || size_bytes > INT64_MAX - parts->size_bytes)
		return oci_fail(err, OCI_E_FORMAT, "more than %d parts", OCI_ARCHIVE_PARTS_MAX);
	ends = reallocarray(parts->ends, parts->count + 1, sizeof *ends);
	if (!ends)
		return oci_fail_nomem(err);
	parts->ends = ends;
	parts->size_bytes += size_bytes;
	ends[parts->count++] = parts->size_bytes;
	return 0;
}

static int add_all(struct oci_archive_parts *parts, size_t wanted, struct oci_error *err)
{
	for (size_t number = 1; wanted == 0 || number <= wanted; number++) {
		struct oci_error why = {0};
		uint64_t size_bytes = 0;
		oci_autoclose int fd = open_part(parts, number, &size_bytes, &why);

		if (fd < 0 && why.code == OCI_E_NOT_FOUND && wanted == 0 && number > 1)
			return 0;
		if (fd < 0) {
			if (err && !err->code)
				*err = why;
			return wanted ? oci_wrap(err, "part %zu of %zu", number, wanted) : -1;
		}
		if (add_part(parts, size_bytes, err) < 0)
			return -1;
	}
	return 0;
}

/* What part000 says: {"Sha256Sum":…,"Bytes":…,"Count":…}. The sum is left
 * to the digests of the blobs. */
static int read_list(struct oci_archive_parts *parts, size_t *count, uint64_t *bytes, struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *list = NULL;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	oci_autoclose int fd = -1;
	uint64_t size_bytes = 0, number = 0;

	oci_buf_init(&text, LIST_MAX);
	fd = open_part(parts, 0, &size_bytes, err);
	if (fd < 0)
		return -1;
	if (size_bytes > LIST_MAX)
		return oci_fail(err, OCI_E_FORMAT, "'%s.part000' is too large", parts->base);
	if (oci_buf_append_zeros(&text, size_bytes, err) < 0 ||
		oci_fs_pread_full(fd, text.data, size_bytes, 0, err) < 0)
		return -1;
	list = oci_json_parse(oci_buf_text(&text), text.len, &OCI_JSON_SMALL, err);
	if (!list)
		return oci_wrap(err, "part000");
	if (!oci_json_u64(list, "Count", &number) || number == 0 || number > OCI_ARCHIVE_PARTS_MAX ||
		!oci_json_u64(list, "Bytes", bytes))
		return oci_fail(err, OCI_E_FORMAT, "part000 does not say how many parts and bytes there are");
	*count = (size_t)number;
	return 0;
}

static int find_parts(struct oci_archive_parts *parts, struct oci_error *err)
{
	bool zarf = strcmp(parts->format, ZARF_FORMAT) == 0;
	uint64_t bytes = 0;
	size_t count = 0;

	if ((zarf && read_list(parts, &count, &bytes, err) < 0) || add_all(parts, count, err) < 0)
		return -1;
	if (zarf && parts->size_bytes != bytes)
		return oci_fail(err, OCI_E_FORMAT,
			"its parts have %" PRIu64 " bytes together, part000 says %" PRIu64, parts->size_bytes, bytes);
	return 0;
}

int oci_archive_parts_take(int fd, struct oci_archive_parts *ret, struct oci_error *err)
{
	struct stat st;

	*ret = (struct oci_archive_parts){.dir = -1, .fd = fd};
	if (fstat(fd, &st) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "stat");
	if (!S_ISREG(st.st_mode))
		return oci_fail(err, OCI_E_FORMAT, "is not a regular file");
	ret->size_bytes = (uint64_t)st.st_size;
	return 0;
}

int oci_archive_parts_open(int dir, const char *name, struct oci_archive_parts *ret, struct oci_error *err)
{
	bool found = false;

	*ret = (struct oci_archive_parts){.dir = dir, .fd = -1};
	if (find_base(ret, name, &found, err) < 0)
		return -1;
	if (found)
		return find_parts(ret, err);
	ret->fd = open_file(dir, name, &ret->size_bytes, err);
	return ret->fd < 0 ? -1 : 0;
}

/* reading */

static size_t part_of(const struct oci_archive_parts *parts, uint64_t offset)
{
	size_t low = 0, high = parts->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (parts->ends[middle] <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint64_t start_of(const struct oci_archive_parts *parts, size_t part)
{
	return part ? parts->ends[part - 1] : 0;
}

struct parts_reader {
	struct oci_reader base;
	const struct oci_archive_parts *parts;
	size_t part; /* that is open */
	int fd;      /* -1: none; owned unless it is that of the whole */
	uint64_t offset, left;
};

static int open_at(struct parts_reader *r, struct oci_error *err)
{
	size_t part = part_of(r->parts, r->offset);
	uint64_t ignored;

	if (r->fd >= 0 && part == r->part)
		return 0;
	oci_cleanup_close(&r->fd);
	r->part = part;
	r->fd = open_part(r->parts, part + 1, &ignored, err);
	return r->fd < 0 ? -1 : 0;
}

static ssize_t parts_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct parts_reader *r = (struct parts_reader *)base;
	uint64_t start, room;
	ssize_t n;

	if (size > r->left)
		size = (size_t)r->left;
	if (size == 0)
		return 0;
	if (open_at(r, err) < 0)
		return -1;
	start = start_of(r->parts, r->part);
	room = r->parts->ends[r->part] - r->offset;
	n = oci_fs_pread_full(r->fd, data, size < room ? size : (size_t)room, r->offset - start, err);
	if (n == 0)
		return oci_fail(err, OCI_E_IO, "part %zu became shorter while it was read", r->part + 1);
	if (n < 0)
		return -1;
	r->offset += (uint64_t)n;
	r->left -= (uint64_t)n;
	return n;
}

static void parts_close(struct oci_reader *base)
{
	struct parts_reader *r = (struct parts_reader *)base;

	oci_cleanup_close(&r->fd);
	free(r);
}

static const struct oci_reader_ops parts_ops = {parts_read, parts_close};

static struct oci_reader *whole_reader(const struct oci_archive_parts *parts, uint64_t offset, uint64_t length,
	struct oci_error *err)
{
	int own = fcntl(parts->fd, F_DUPFD_CLOEXEC, 0);

	if (own >= 0)
		return oci_reader_file_take(own, offset, length, err);
	oci_fail_sys(err, errno, OCI_E_IO, "duplicate the archive's descriptor");
	return NULL;
}

struct oci_reader *oci_archive_parts_reader(const struct oci_archive_parts *parts, uint64_t offset, uint64_t length,
	struct oci_error *err)
{
	struct parts_reader *r;

	if (parts->fd >= 0)
		return whole_reader(parts, offset, length, err);
	if (offset > parts->size_bytes || length > parts->size_bytes - offset) {
		oci_fail(err, OCI_E_BUG, "a range outside the parts");
		return NULL;
	}
	r = calloc(1, sizeof *r);
	if (!r) {
		oci_fail_nomem(err);
		return NULL;
	}
	*r = (struct parts_reader){.base.ops = &parts_ops, .parts = parts, .fd = -1, .offset = offset, .left = length};
	return &r->base;
}

ssize_t oci_archive_parts_read(const struct oci_archive_parts *parts, void *data, size_t len, uint64_t offset,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = NULL;

	if (parts->fd >= 0)
		return oci_fs_pread_full(parts->fd, data, len, offset, err);
	if (offset >= parts->size_bytes)
		return 0;
	if (len > parts->size_bytes - offset)
		len = (size_t)(parts->size_bytes - offset);
	reader = oci_archive_parts_reader(parts, offset, len, err);
	return reader ? oci_reader_read_full(reader, data, len, err) : -1;
}

void oci_archive_parts_clear(struct oci_archive_parts *parts)
{
	oci_cleanup_close(&parts->fd);
	free(parts->base);
	free(parts->ends);
	*parts = (struct oci_archive_parts){.dir = -1, .fd = -1};
}
