#include "engine/bundle_write.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/temp.h"
#include "base/workers.h"
#include "engine/bundle_sum.h"

#define STEP_BYTES OCI_MIB
#define FILE_MODE 0644

/* The file of a part while it is written; the caller frees. */
static char *work_name(const struct oci_bundle_writer *w, size_t number)
{
	oci_autofree char *name = oci_bundle_parts_name(w->parts, w->name, number);

	return name ? oci_str_printf(".%s.unfinished", name) : NULL;
}

int oci_bundle_out_open(const struct oci_bundle_writer *w, size_t number, struct oci_error *err)
{
	oci_autofree char *name = work_name(w, number);
	int fd;

	if (!name)
		return oci_fail_nomem(err);
	fd = openat(w->dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, FILE_MODE);
	return fd < 0 ? oci_fs_fail(err, errno, "open", name) : fd;
}

/* Walk over the parts that a piece of the stream lies in: the part's number,
 * the place in its file, how much of it is there. */
struct span {
	size_t number;
	uint64_t at, len;
};

static struct span span_at(const struct oci_bundle_parts *parts, uint64_t offset, uint64_t left)
{
	struct span span;
	uint64_t begin, length;

	span.number = (size_t)(offset / parts->slice_bytes) + 1;
	if (span.number > parts->count)
		span.number = parts->count;
	begin = oci_bundle_parts_offset(parts, span.number);
	length = oci_bundle_parts_length(parts, span.number);
	span.at = parts->head_bytes + offset - begin;
	span.len = length - (offset - begin);
	if (span.len > left)
		span.len = left;
	return span;
}

/* One open file, changed when the stream goes on in the next. */
struct cursor {
	size_t number;
	int fd;
};

static void cursor_clear(struct cursor *c)
{
	oci_cleanup_close(&c->fd);
}

static int seek(const struct oci_bundle_writer *w, struct cursor *c, size_t number, struct oci_error *err)
{
	if (c->fd >= 0 && c->number == number)
		return 0;
	oci_cleanup_close(&c->fd);
	c->number = number;
	c->fd = oci_bundle_out_open(w, number, err);
	return c->fd < 0 ? -1 : 0;
}

static int write_stream(const struct oci_bundle_writer *w, struct cursor *c, uint64_t offset, const char *data,
	size_t len, struct oci_error *err)
{
	while (len > 0) {
		struct span span = span_at(w->parts, offset, len);

		if (seek(w, c, span.number, err) < 0 || oci_fs_pwrite_all(c->fd, data, span.len, span.at, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
		/* The disk begins now, not at the closing fsync. */
		sync_file_range(c->fd, (off_t)span.at, (off_t)span.len, SYNC_FILE_RANGE_WRITE);
		offset += span.len;
		data += span.len;
		len -= span.len;
	}
	return 0;
}

int oci_bundle_writer_gap(struct oci_bundle_writer *w, size_t item, struct oci_error *err)
{
	OCI_CLEANUP(cursor_clear) struct cursor cursor = {.fd = -1};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf gap;

	oci_buf_init(&gap, 3 * OCI_BUNDLE_MAP_MAX);
	if (oci_bundle_map_gap(w->parts->map, item, &gap, err) < 0)
		return -1;
	return write_stream(w, &cursor, oci_bundle_map_gap_offset(w->parts->map, item), gap.data, gap.len, err);
}

/* Was anything ever written to all of it? A hole was not, and need not be hashed to know it. */
static bool has_data(int fd, uint64_t at, uint64_t len)
{
	off_t hole = lseek(fd, (off_t)at, SEEK_HOLE);

	return hole >= 0 && (uint64_t)hole >= at + len;
}

/* 1: all of the blob was written some time, 0: not. */
static int was_written(const struct oci_bundle_writer *w, struct cursor *c, const struct oci_bundle_blob *blob,
	struct oci_error *err)
{
	uint64_t done = 0;

	while (done < blob->size_bytes) {
		struct span span = span_at(w->parts, blob->offset + done, blob->size_bytes - done);

		if (seek(w, c, span.number, err) < 0)
			return -1;
		if (!has_data(c->fd, span.at, span.len))
			return 0;
		done += span.len;
	}
	return 1;
}

static int hash_written(const struct oci_bundle_writer *w, struct cursor *c, const struct oci_bundle_blob *blob,
	struct oci_digest *ret, struct oci_error *err)
{
	oci_autofree char *step = malloc(STEP_BYTES);
	struct oci_hash hash;

	if (!step)
		return oci_fail_nomem(err);
	oci_hash_init(&hash, blob->digest.alg);
	for (uint64_t done = 0; done < blob->size_bytes;) {
		uint64_t left = blob->size_bytes - done;
		struct span span = span_at(w->parts, blob->offset + done, left < STEP_BYTES ? left : STEP_BYTES);
		ssize_t n;

		if (seek(w, c, span.number, err) < 0)
			return -1;
		n = oci_fs_pread_full(c->fd, step, span.len, span.at, err);
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		oci_hash_update(&hash, step, (size_t)n);
		done += (uint64_t)n;
	}
	oci_hash_final(&hash, ret);
	return 0;
}

int oci_bundle_writer_kept(struct oci_bundle_writer *w, size_t item, bool *ret, struct oci_error *err)
{
	const struct oci_bundle_blob *blob = &w->parts->map->blobs[item];
	OCI_CLEANUP(cursor_clear) struct cursor cursor = {.fd = -1};
	struct oci_digest have = {0};
	int written = was_written(w, &cursor, blob, err);

	*ret = false;
	if (written <= 0)
		return written;
	if (hash_written(w, &cursor, blob, &have, err) < 0)
		return -1;
	*ret = oci_digest_equal(&have, &blob->digest);
	return 0;
}

int oci_bundle_writer_blob(struct oci_bundle_writer *w, size_t item, struct oci_reader *from,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_error *err)
{
	OCI_CLEANUP(cursor_clear) struct cursor cursor = {.fd = -1};
	oci_autofree char *step = malloc(STEP_BYTES);
	uint64_t offset = w->parts->map->blobs[item].offset;
	ssize_t n;

	if (!step)
		return oci_fail_nomem(err);
	while ((n = oci_reader_read_full(from, step, STEP_BYTES, err)) > 0) {
		int number = cancel ? atomic_load_explicit(cancel, memory_order_relaxed) : 0;

		if (number)
			return oci_fail(err, OCI_E_CANCELLED, "cancelled by signal %d", number);
		if (write_stream(w, &cursor, offset, step, (size_t)n, err) < 0)
			return -1;
		offset += (uint64_t)n;
		oci_event_bytes(observer, (uint64_t)n);
		if ((size_t)n < STEP_BYTES)
			return 0;
	}
	return n < 0 ? oci_fail_side(err, OCI_SIDE_SOURCE) : 0;
}

/* The head of a part as it lies in a file: is that file of this bundle? */
static int holds_head(const struct oci_bundle_writer *w, int fd, size_t number, bool *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf head;
	oci_autofree char *have = NULL;
	ssize_t n;

	oci_buf_init(&head, 3 * OCI_BUNDLE_MAP_MAX);
	if (w->parts->part_bytes ? oci_bundle_parts_head(w->parts, number, &head, err) < 0
				 : oci_bundle_map_gap(w->parts->map, 0, &head, err) < 0)
		return -1;
	have = malloc(head.len + 1);
	if (!have)
		return oci_fail_nomem(err);
	n = oci_fs_pread_full(fd, have, head.len, 0, err);
	*ret = n == (ssize_t)head.len && memcmp(have, head.data, head.len) == 0;
	return n < 0 ? -1 : 0;
}

/* A file that has the final name already: this bundle's is taken back to be
 * checked and finished, any other one is in the way. */
static int adopt(const struct oci_bundle_writer *w, size_t number, struct oci_error *err)
{
	oci_autofree char *name = oci_bundle_parts_name(w->parts, w->name, number), *work = work_name(w, number);
	oci_autoclose int fd = -1;
	char shown[OCI_STR_ESCAPE_MAX];
	bool ours = false;

	if (!name || !work)
		return oci_fail_nomem(err);
	fd = openat(w->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd >= 0 && holds_head(w, fd, number, &ours, err) < 0)
		return -1;
	if (!ours && !w->force)
		return oci_fail(err, OCI_E_EXISTS,
			"'%s' exists with other content; choose another name or replace it with --force",
			oci_str_escape(name, shown));
	if (ours && faccessat(w->dir, work, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && renameat(w->dir, name, w->dir, work) < 0)
		return oci_fs_fail(err, errno, "rename", name);
	return 0;
}

/* What a run that was ended has left takes no more room. */
static int check_space(const struct oci_bundle_writer *w, uint64_t taken, struct oci_error *err)
{
	char need_text[OCI_STR_SIZE_MAX], have_text[OCI_STR_SIZE_MAX];
	uint64_t need = 0, have;
	struct statvfs fs;

	for (size_t number = w->parts->part_bytes ? 0 : 1; number <= w->parts->count; number++)
		need += oci_bundle_parts_file_bytes(w->parts, number);
	if (fstatvfs(w->dir, &fs) < 0)
		return 0;
	have = (uint64_t)fs.f_bavail * fs.f_frsize;
	need = need > taken ? need - taken : 0;
	if (have >= need)
		return 0;
	return oci_fail(err, OCI_E_NOSPACE, "the bundle needs %s more, '%s' lies where %s are free",
		oci_str_size(need, need_text), w->name, oci_str_size(have, have_text));
}

static int lock(struct oci_bundle_writer *w, struct oci_error *err)
{
	w->lock = oci_bundle_out_open(w, 1, err);
	if (w->lock < 0)
		return -1;
	if (flock(w->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return oci_fail(err, OCI_E_BUSY, "'%s' is being written by another process", w->name);
	return oci_fail_sys(err, errno, OCI_E_IO, "lock '%s'", w->name);
}

/* Heads, and files that are no longer than they will be. */
static int prepare(struct oci_bundle_writer *w, size_t number, uint64_t *taken, struct oci_error *err)
{
	oci_autoclose int fd = oci_bundle_out_open(w, number, err);
	OCI_CLEANUP(oci_buf_clear) struct oci_buf head;
	uint64_t size = oci_bundle_parts_file_bytes(w->parts, number);
	struct stat st;

	oci_buf_init(&head, 2 * OCI_BUNDLE_MAP_MAX);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || ((uint64_t)st.st_size > size && ftruncate(fd, (off_t)size) < 0))
		return oci_fail_sys(err, errno, OCI_E_IO, "cut '%s'", w->name);
	*taken += (uint64_t)st.st_blocks * 512;
	if (oci_bundle_parts_head(w->parts, number, &head, err) < 0)
		return -1;
	return oci_fs_pwrite_all(fd, oci_buf_text(&head), head.len, 0, err);
}

static int prepare_all(struct oci_bundle_writer *w, struct oci_error *err)
{
	size_t first = w->parts->part_bytes ? 0 : 1;
	uint64_t taken = 0;

	for (size_t number = first; number <= w->parts->count; number++)
		if (adopt(w, number, err) < 0)
			return -1;
	if (lock(w, err) < 0)
		return -1;
	for (size_t number = first; number <= w->parts->count; number++)
		if (prepare(w, number, &taken, err) < 0)
			return -1;
	return check_space(w, taken, err);
}

int oci_bundle_writer_open(struct oci_bundle_writer *w, const char *file, const struct oci_bundle_parts *parts,
	bool force, struct oci_error *err)
{
	*w = (struct oci_bundle_writer){.parts = parts, .dir = -1, .lock = -1, .force = force};
	pthread_mutex_init(&w->mutex, NULL);
	w->files = calloc(parts->count, sizeof *w->files);
	w->sums = calloc(parts->count, sizeof *w->sums);
	w->file_sums = calloc(parts->count + 1, sizeof *w->file_sums);
	w->done = calloc(parts->map->count + 1, sizeof *w->done);
	if (!w->files || !w->sums || !w->file_sums || !w->done)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < parts->count; i++)
		oci_hash_init(&w->files[i].hash, OCI_SHA256);
	w->dir = oci_fs_open_parent(file, &w->name, err);
	if (w->dir >= 0)
		oci_temp_sweep(w->dir, OCI_FS_TEMP_PREFIX);
	return w->dir < 0 || prepare_all(w, err) < 0 ? -1 : 0;
}

static int give_name(const struct oci_bundle_writer *w, size_t number, struct oci_error *err)
{
	oci_autofree char *name = oci_bundle_parts_name(w->parts, w->name, number), *work = work_name(w, number);

	if (!name || !work)
		return oci_fail_nomem(err);
	if (renameat(w->dir, work, w->dir, name) < 0)
		return oci_fs_fail(err, errno, "rename", work);
	return 0;
}

/* A bundle that was replaced may have had more parts: those are not of this one. */
static int remove_stale(const struct oci_bundle_writer *w, struct oci_error *err)
{
	for (size_t number = w->parts->count + 1; w->force && w->parts->part_bytes; number++) {
		oci_autofree char *name = oci_bundle_parts_name(w->parts, w->name, number);

		if (!name)
			return oci_fail_nomem(err);
		if (unlinkat(w->dir, name, 0) == 0)
			continue;
		return errno == ENOENT ? 0 : oci_fs_fail(err, errno, "remove", name);
	}
	return 0;
}

int oci_bundle_writer_finish(struct oci_bundle_writer *w, unsigned jobs, const atomic_int *cancel,
	struct oci_error *err)
{
	if (oci_bundle_sum_finish(w, jobs, cancel, err) < 0 || remove_stale(w, err) < 0)
		return -1;
	for (size_t number = 1; number <= w->parts->count; number++)
		if (give_name(w, number, err) < 0)
			return -1;
	if (w->parts->part_bytes && give_name(w, 0, err) < 0)
		return -1;
	return oci_fs_sync(w->dir, err);
}

void oci_bundle_writer_close(struct oci_bundle_writer *w)
{
	oci_cleanup_close(&w->lock);
	oci_cleanup_close(&w->dir);
	pthread_mutex_destroy(&w->mutex);
	free(w->name);
	free(w->files);
	free(w->sums);
	free(w->file_sums);
	free(w->done);
}
