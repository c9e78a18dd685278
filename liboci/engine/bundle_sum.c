#include "engine/bundle_sum.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/workers.h"

#define STEP_BYTES OCI_MIB

/* From file->at to `end`; the file is this worker's alone meanwhile. */
static int hash_to(const struct oci_bundle_writer *w, size_t number, uint64_t end, struct oci_error *err)
{
	struct oci_bundle_out *file = &w->files[number - 1];
	oci_autoclose int fd = oci_bundle_out_open(w, number, err);
	oci_autofree char *step = malloc(STEP_BYTES);

	if (fd < 0)
		return -1;
	if (!step)
		return oci_fail_nomem(err);
	while (file->at < end) {
		uint64_t left = end - file->at;
		ssize_t n = oci_fs_pread_full(fd, step, left < STEP_BYTES ? (size_t)left : STEP_BYTES, file->at, err);

		if (n <= 0)
			return n < 0 ? -1 : oci_fail(err, OCI_E_IO, "'%s' became shorter while it was written", w->name);
		oci_hash_update(&file->hash, step, (size_t)n);
		file->at += (uint64_t)n;
	}
	return 0;
}

/* The mutex is held: how far a file may be hashed by now. */
static uint64_t ready(const struct oci_bundle_writer *w, size_t number)
{
	uint64_t begin = oci_bundle_parts_offset(w->parts, number);
	uint64_t length = oci_bundle_parts_length(w->parts, number);
	uint64_t whole = w->first_open > w->parts->map->count ? w->parts->map->stream_bytes
		: oci_bundle_map_gap_offset(w->parts->map, w->first_open);

	if (whole <= begin)
		return 0;
	return w->parts->head_bytes + (whole - begin < length ? whole - begin : length);
}

/* A file that has something to hash and nobody at it; 0: none. */
static size_t claim(struct oci_bundle_writer *w, uint64_t *end)
{
	for (size_t number = 1; number <= w->parts->count; number++) {
		struct oci_bundle_out *file = &w->files[number - 1];

		*end = ready(w, number);
		if (*end == 0)
			return 0;
		if (file->busy || file->at >= *end)
			continue;
		file->busy = true;
		return number;
	}
	return 0;
}

int oci_bundle_writer_done(struct oci_bundle_writer *w, size_t item, struct oci_error *err)
{
	int status = 0;
	uint64_t end;
	size_t number;

	pthread_mutex_lock(&w->mutex);
	w->done[item] = true;
	while (w->first_open <= w->parts->map->count && w->done[w->first_open])
		w->first_open++;
	while (status == 0 && (number = claim(w, &end)) > 0) {
		pthread_mutex_unlock(&w->mutex);
		status = hash_to(w, number, end, err);
		pthread_mutex_lock(&w->mutex);
		w->files[number - 1].busy = false;
	}
	pthread_mutex_unlock(&w->mutex);
	return status;
}

static int append(int fd, struct oci_bundle_out *file, const struct oci_buf *data, struct oci_error *err)
{
	if (oci_fs_pwrite_all(fd, oci_buf_text(data), data->len, file->at, err) < 0)
		return -1;
	oci_hash_update(&file->hash, oci_buf_text(data), data->len);
	file->at += data->len;
	return 0;
}

/* List, own sum, end: the sum is that of all before it, so the hash goes on from there in a copy. */
static int close_file(const struct oci_bundle_writer *w, size_t number, struct oci_bundle_out *file,
	struct oci_digest *sum, struct oci_digest *file_sum, struct oci_error *err)
{
	oci_autoclose int fd = oci_bundle_out_open(w, number, err);
	OCI_CLEANUP(oci_buf_clear) struct oci_buf piece;
	struct oci_hash so_far;

	oci_buf_init(&piece, OCI_BUNDLE_MAP_MAX);
	if (fd < 0 || oci_bundle_parts_list(w->parts, number, w->sums, &piece, err) < 0 ||
		append(fd, file, &piece, err) < 0)
		return -1;
	so_far = file->hash;
	oci_hash_final(&so_far, sum);
	oci_buf_reset(&piece);
	if (oci_bundle_parts_sum(w->parts, sum, &piece, err) < 0 || append(fd, file, &piece, err) < 0)
		return -1;
	oci_hash_final(&file->hash, file_sum);
	return oci_fs_sync(fd, err);
}

static int finish_part(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct oci_bundle_writer *w = worker->ctx;
	uint64_t end = w->parts->head_bytes + oci_bundle_parts_length(w->parts, item + 1);

	if (hash_to(w, item + 1, end, err) < 0)
		return -1;
	return close_file(w, item + 1, &w->files[item], &w->sums[item], &w->file_sums[item], err);
}

/* The index is a head and a list. */
static int finish_index(struct oci_bundle_writer *w, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf head;
	struct oci_bundle_out file = {0};
	struct oci_digest sum;

	oci_buf_init(&head, 2 * OCI_BUNDLE_MAP_MAX);
	oci_hash_init(&file.hash, OCI_SHA256);
	if (oci_bundle_parts_head(w->parts, 0, &head, err) < 0)
		return -1;
	oci_hash_update(&file.hash, head.data, head.len);
	file.at = head.len;
	return close_file(w, 0, &file, &sum, &w->file_sums[w->parts->count], err);
}

int oci_bundle_sum_finish(struct oci_bundle_writer *w, unsigned jobs, const atomic_int *cancel,
	struct oci_error *err)
{
	size_t last = w->parts->count - 1;
	struct oci_worker self = {.ctx = w};

	/* The last one lists the sums of the others. */
	if (oci_workers_run(jobs, last, finish_part, w, cancel, err) < 0 || finish_part(&self, last, err) < 0)
		return -1;
	return w->parts->part_bytes ? finish_index(w, err) : 0;
}
