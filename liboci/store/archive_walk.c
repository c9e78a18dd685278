#include "store/archive_walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "store/archive_index.h"
#include "stream/tar.h"

#define PAX_MAX (64 * OCI_KIB)

/* ustar, POSIX.1-1988; GNU tar uses the same fields up to `magic`. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == OCI_TAR_BLOCK, "a tar header is one block");

/* What records before a member's own header say about it. */
struct extra {
	bool has_path, has_target, has_size;
	uint64_t size_bytes;
};

static int refuse(const struct oci_archive_walk *walk, const char *why, struct oci_error *err)
{
	return oci_fail(err, OCI_E_FORMAT, "tar header before byte %" PRIu64 ": %s", walk->next, why);
}

static int read_at(struct oci_archive_walk *walk, void *data, size_t len, uint64_t offset, struct oci_error *err)
{
	ssize_t n = walk->input ? oci_archive_input_read(walk->input, data, len, offset, err) :
				  oci_fs_pread_full(walk->fd, data, len, offset, err);

	if (n >= 0 && (size_t)n < len)
		return oci_fail(err, OCI_E_FORMAT, "the archive ends at byte %" PRIu64 ": %s", offset + (uint64_t)n,
			walk->headers ? "truncated" : "not a tar archive");
	return n < 0 ? -1 : 0;
}

static bool parse_octal(const char *field, size_t len, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = 0;

	while (i < len && field[i] == ' ')
		i++;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
		value = value << 3 | (uint64_t)(field[i] - '0');
	for (; i < len; i++)
		if (field[i] != ' ' && field[i] != '\0')
			return false;
	*ret = value;
	return true;
}

/* Octal, or base-256 where the first bit is set (GNU). */
static bool parse_size(const char field[12], uint64_t *ret)
{
	const unsigned char *bytes = (const unsigned char *)field;
	uint64_t value = 0;

	if (!(bytes[0] & 0x80))
		return parse_octal(field, 12, ret);
	if (bytes[0] != 0x80 || bytes[1] || bytes[2] || bytes[3] || bytes[4] & 0x80)
		return false;
	for (size_t i = 4; i < 12; i++)
		value = value << 8 | bytes[i];
	*ret = value;
	return true;
}

static bool checksum_ok(const struct header *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	size_t field = offsetof(struct header, checksum);
	uint64_t sum = 0, want = 0;

	for (size_t i = 0; i < sizeof *h; i++)
		sum += i - field < sizeof h->checksum ? ' ' : bytes[i];
	return parse_octal(h->checksum, sizeof h->checksum, &want) && sum == want;
}

static bool is_zero(const struct header *h)
{
	static const struct header zero;

	return memcmp(h, &zero, sizeof zero) == 0;
}

/* Copy a bounded field into a path; false when it does not fit. */
static bool put_path(char path[OCI_ARCHIVE_PATH_MAX], const char *text, size_t max)
{
	size_t len = strnlen(text, max);

	if (len >= OCI_ARCHIVE_PATH_MAX)
		return false;
	memcpy(path, text, len);
	path[len] = '\0';
	return true;
}

/* Trailing and leading parts that mean nothing. */
static void normalise(char path[OCI_ARCHIVE_PATH_MAX])
{
	size_t skip = 0, len;

	while (oci_str_starts(path + skip, "./"))
		skip += 2;
	len = strlen(path + skip);
	memmove(path, path + skip, len + 1);
	while (len > 0 && path[len - 1] == '/')
		path[--len] = '\0';
}

/* Nobody writes it, and who unpacks the archive with another tool may be hit. */
static bool leads_out(const char *path)
{
	if (*path == '/')
		return true;
	for (const char *part = path; part; part = (part = strchr(part, '/')) ? part + 1 : NULL)
		if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
			return true;
	return false;
}

static void name_of_header(const struct header *h, char path[OCI_ARCHIVE_PATH_MAX])
{
	size_t len = 0;

	if (memcmp(h->magic, "ustar", 6) == 0 && h->prefix[0]) {
		put_path(path, h->prefix, sizeof h->prefix);
		len = strlen(path);
		path[len++] = '/';
	}
	put_path(path + len, h->name, sizeof h->name);
}

static int read_long_name(struct oci_archive_walk *walk, uint64_t offset, uint64_t size, char *path,
	struct oci_error *err)
{
	if (size == 0 || size > OCI_ARCHIVE_PATH_MAX)
		return refuse(walk, "its name has a bad length", err);
	if (read_at(walk, path, size, offset, err) < 0)
		return -1;
	if (strnlen(path, size) == OCI_ARCHIVE_PATH_MAX)
		return refuse(walk, "its name has a bad length", err);
	path[strnlen(path, size)] = '\0';
	return 0;
}

/* One "<length> <key>=<value>\n" at `record`; returns its length or 0. The
 * terminators of key and value are written over '=' and '\n'. */
static size_t split_record(char *record, size_t left, const char **key, const char **value)
{
	size_t len = 0, i = 0;
	char *equals;

	for (; i < left && record[i] >= '0' && record[i] <= '9' && len <= left; i++)
		len = len * 10 + (size_t)(record[i] - '0');
	if (i == 0 || len > left || len < i + 3 || record[i] != ' ' || record[len - 1] != '\n')
		return 0;
	equals = memchr(record + i + 1, '=', len - i - 2);
	if (!equals || memchr(record, '\0', len))
		return 0;
	*equals = record[len - 1] = '\0';
	*key = record + i + 1;
	*value = equals + 1;
	return len;
}

static bool apply_record(const char *key, const char *value, struct extra *extra,
	struct oci_archive_member *member)
{
	if (strcmp(key, "path") == 0)
		return extra->has_path = put_path(member->path, value, OCI_ARCHIVE_PATH_MAX);
	if (strcmp(key, "linkpath") == 0)
		return extra->has_target = put_path(member->target, value, OCI_ARCHIVE_PATH_MAX);
	if (strcmp(key, "size") == 0)
		return extra->has_size = oci_str_u64(value, &extra->size_bytes);
	return !oci_str_starts(key, "GNU.sparse.");
}

static int read_pax(struct oci_archive_walk *walk, uint64_t offset, uint64_t size, struct extra *extra,
	struct oci_archive_member *member, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	const char *key, *value;
	size_t len;

	oci_buf_init(&buf, PAX_MAX);
	if (size > PAX_MAX)
		return refuse(walk, "its PAX records are too long", err);
	if (oci_buf_append_zeros(&buf, size, err) < 0 ||
		read_at(walk, buf.data, size, offset, err) < 0)
		return -1;
	for (size_t at = 0; at < size; at += len) {
		len = split_record(buf.data + at, size - at, &key, &value);
		if (len == 0 || !apply_record(key, value, extra, member))
			return refuse(walk, "a PAX record is malformed or not supported", err);
	}
	return 0;
}

static int check_header(struct oci_archive_walk *walk, const struct header *h, struct oci_error *err)
{
	if (!checksum_ok(h))
		return refuse(walk, walk->headers ? "checksum is wrong" : "not a tar archive", err);
	if (++walk->headers > OCI_ARCHIVE_MEMBERS_MAX)
		return refuse(walk, "too many members", err);
	return 0;
}

/* Go past `size` bytes of data; *offset is where they begin. */
static int skip_data(struct oci_archive_walk *walk, uint64_t size, uint64_t *offset, struct oci_error *err)
{
	if (size > walk->size_bytes - walk->next)
		return refuse(walk, "the archive ends within this member: truncated", err);
	*offset = walk->next;
	walk->next += size + oci_tar_padding(size);
	return 0;
}

static int read_header(struct oci_archive_walk *walk, struct header *h, struct oci_error *err)
{
	if (walk->next > walk->size_bytes || walk->size_bytes - walk->next < sizeof *h)
		return oci_fail(err, OCI_E_FORMAT, "%s", walk->headers ?
			"the archive has no end marker: truncated" : "not a tar archive");
	if (read_at(walk, h, sizeof *h, walk->next, err) < 0)
		return -1;
	walk->next += sizeof *h;
	return 0;
}

/* A record that describes the next header; *ret false: this is the member itself. */
static int read_extra(struct oci_archive_walk *walk, const struct header *h, struct extra *extra,
	struct oci_archive_member *member, bool *ret, struct oci_error *err)
{
	uint64_t size = 0, offset = 0;

	*ret = strchr("LKxg", h->type ? h->type : '0') != NULL;
	if (!*ret)
		return 0;
	if (!parse_size(h->size, &size))
		return refuse(walk, "its size is no number", err);
	if (skip_data(walk, size, &offset, err) < 0)
		return -1;
	if (h->type == 'x')
		return read_pax(walk, offset, size, extra, member, err);
	if (h->type == 'g')
		return 0;
	*(h->type == 'L' ? &extra->has_path : &extra->has_target) = true;
	return read_long_name(walk, offset, size, h->type == 'L' ? member->path : member->target, err);
}

static int fill_member(struct oci_archive_walk *walk, const struct header *h, const struct extra *extra,
	struct oci_archive_member *member, struct oci_error *err)
{
	if (!extra->has_path)
		name_of_header(h, member->path);
	if (!extra->has_target)
		put_path(member->target, h->link, sizeof h->link);
	member->size_bytes = extra->size_bytes;
	if (!extra->has_size && !parse_size(h->size, &member->size_bytes))
		return refuse(walk, "its size is no number", err);
	if (h->type == '1' || h->type == '2')
		member->type = h->type == '1' ? OCI_ARCHIVE_HARDLINK : OCI_ARCHIVE_SYMLINK;
	else if (h->type == '5' || (h->type == '\0' && oci_str_ends(member->path, "/")))
		member->type = OCI_ARCHIVE_DIR;
	else if (h->type == '0' || h->type == '\0' || h->type == '7')
		member->type = OCI_ARCHIVE_FILE;
	else
		return refuse(walk, "neither file, directory nor link", err);
	/* Tars differ in whether such a size counts, so nobody may depend on it. */
	if (member->type != OCI_ARCHIVE_FILE && member->size_bytes != 0)
		return refuse(walk, "a directory or link has a size", err);
	normalise(member->path);
	if (leads_out(member->path))
		return refuse(walk, "its name leads out of the archive", err);
	return skip_data(walk, member->size_bytes, &member->offset, err);
}

int oci_archive_walk_init(struct oci_archive_walk *walk, int fd, struct oci_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "stat");
	if (!S_ISREG(st.st_mode))
		return oci_fail(err, OCI_E_FORMAT, "is not a regular file");
	*walk = (struct oci_archive_walk){.fd = fd, .size_bytes = (uint64_t)st.st_size};
	return 0;
}

void oci_archive_walk_over(struct oci_archive_walk *walk, struct oci_archive_input *input)
{
	*walk = (struct oci_archive_walk){.fd = -1, .input = input, .size_bytes = oci_archive_input_size(input)};
}

int oci_archive_walk_next(struct oci_archive_walk *walk, struct oci_archive_member *member,
	struct oci_error *err)
{
	struct extra extra = {0};
	struct header h;
	bool more = true;

	while (more) {
		if (read_header(walk, &h, err) < 0)
			return -1;
		if (is_zero(&h))
			return 0;
		if (check_header(walk, &h, err) < 0 ||
			read_extra(walk, &h, &extra, member, &more, err) < 0)
			return -1;
	}
	return fill_member(walk, &h, &extra, member, err) < 0 ? -1 : 1;
}
