/* bundle_read.c - the bytes of a set of files, in the stream's own order */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "store/bundle_set.h"

#define STEP_BYTES OCI_MIB

struct set_reader {
	struct oci_reader base;
	const struct oci_bundle_set *set;
	struct oci_bundle_cursor cursor;
	uint64_t offset, left;
};

int oci_bundle_file_open(const char *path, struct oci_error *err)
{
	oci_autofree char *name = NULL;
	oci_autoclose int dir = oci_fs_open_parent(path, &name, err);
	oci_autoclose int fd = -1;
	struct stat st;

	if (dir < 0)
		return -1;
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return oci_fs_fail(err, errno, "open", path);
	if (fstat(fd, &st) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "stat '%s'", path);
	if (!S_ISREG(st.st_mode))
		return oci_fail(err, OCI_E_FORMAT, "'%s' is not a regular file", path);
	return oci_steal_fd(&fd);
}

void oci_bundle_cursor_clear(struct oci_bundle_cursor *cursor)
{
	oci_cleanup_close(&cursor->fd);
	*cursor = (struct oci_bundle_cursor){.fd = -1};
}

int oci_bundle_cursor_open(struct oci_bundle_cursor *cursor, const struct oci_bundle_set *set, size_t number,
	struct oci_error *err)
{
	if (cursor->fd >= 0 && cursor->number == number)
		return 0;
	oci_bundle_cursor_clear(cursor);
	if (!set->files[number - 1].path)
		return oci_fail(err, OCI_E_MORE, "part %zu of %zu is not here", number, set->parts.count);
	cursor->fd = oci_bundle_file_open(set->files[number - 1].path, err);
	cursor->number = number;
	return cursor->fd < 0 ? -1 : 0;
}

size_t oci_bundle_ranges(const bool *which, size_t count, bool wanted, char out[OCI_BUNDLE_RANGES_MAX])
{
	size_t found = 0, at = 0, next;

	out[0] = '\0';
	for (size_t i = 0; i < count; i = next) {
		for (next = i + 1; next < count && which[next] == which[i]; next++)
			continue;
		if (which[i] != wanted)
			continue;
		found += next - i;
		if (at > OCI_BUNDLE_RANGES_MAX - 24)
			continue;
		at += (size_t)snprintf(out + at, OCI_BUNDLE_RANGES_MAX - at, "%s%zu", at ? ", " : "", i + 1);
		if (next - i > 1)
			at += (size_t)snprintf(out + at, OCI_BUNDLE_RANGES_MAX - at, "-%zu", next);
		if (at > OCI_BUNDLE_RANGES_MAX - 24)
			snprintf(out + at, OCI_BUNDLE_RANGES_MAX - at, ", ...");
	}
	return found;
}

static ssize_t set_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct set_reader *r = (struct set_reader *)base;
	const struct oci_bundle_parts *parts = &r->set->parts;
	size_t number = oci_bundle_set_part_of(r->set, r->offset);
	const struct oci_bundle_file *file = &r->set->files[number - 1];
	uint64_t within, most;
	ssize_t n;

	if (r->left == 0)
		return 0;
	if (oci_bundle_cursor_open(&r->cursor, r->set, number, err) < 0)
		return -1;
	within = r->offset - oci_bundle_parts_offset(parts, number);
	most = oci_bundle_parts_length(parts, number) - within;
	most = most < r->left ? most : r->left;
	n = oci_fs_pread_full(r->cursor.fd, data, most < size ? (size_t)most : size, parts->head_bytes + within, err);
	if (n < 0)
		return oci_wrap(err, "'%s'", file->path);
	if (n == 0)
		return oci_fail(err, OCI_E_SOURCE, "'%s' became shorter while it was read", file->path);
	r->offset += (uint64_t)n;
	r->left -= (uint64_t)n;
	return n;
}

static void set_close(struct oci_reader *base)
{
	oci_bundle_cursor_clear(&((struct set_reader *)base)->cursor);
	free(base);
}

struct oci_reader *oci_bundle_set_read(const struct oci_bundle_set *set, uint64_t offset, uint64_t length,
	struct oci_error *err)
{
	static const struct oci_reader_ops ops = {set_read, set_close};
	struct set_reader *r = calloc(1, sizeof *r);

	if (!r) {
		oci_fail_nomem(err);
		return NULL;
	}
	r->base.ops = &ops;
	r->set = set;
	r->cursor.fd = -1;
	r->offset = offset;
	r->left = length;
	return &r->base;
}

static int hash_file(int fd, uint64_t length, struct oci_digest *ret, struct oci_error *err)
{
	oci_autofree char *step = malloc(STEP_BYTES);
	struct oci_hash hash;

	if (!step)
		return oci_fail_nomem(err);
	oci_hash_init(&hash, OCI_SHA256);
	for (uint64_t at = 0; at < length;) {
		size_t want = length - at < STEP_BYTES ? (size_t)(length - at) : STEP_BYTES;
		ssize_t n = oci_fs_pread_full(fd, step, want, at, err);

		if (n <= 0)
			return n < 0 ? -1 : oci_fail(err, OCI_E_SOURCE, "it became shorter while it was read");
		oci_hash_update(&hash, step, (size_t)n);
		at += (uint64_t)n;
	}
	oci_hash_final(&hash, ret);
	return 0;
}

int oci_bundle_set_check(const struct oci_bundle_set *set, size_t number, struct oci_error *err)
{
	OCI_CLEANUP(oci_bundle_cursor_clear) struct oci_bundle_cursor cursor = {.fd = -1};
	const struct oci_bundle_file *file = &set->files[number - 1];
	struct oci_digest have;

	if (!set->parts.part_bytes) /* its blobs say it, nobody else does */
		return 0;
	if (oci_bundle_cursor_open(&cursor, set, number, err) < 0)
		return -1;
	if (hash_file(cursor.fd, oci_bundle_parts_file_bytes(&set->parts, number) -
			oci_bundle_parts_sum_bytes(&set->parts), &have, err) < 0)
		return oci_wrap(err, "part %zu of %zu ('%s')", number, set->parts.count, file->path);
	if (oci_digest_equal(&have, &file->sum))
		return 0;
	return oci_fail(err, OCI_E_DIGEST, "part %zu of %zu ('%s'): it does not hash to its own sum", number,
		set->parts.count, file->path);
}
