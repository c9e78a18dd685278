/* What a look can tell, and of what was touched a reading. */
#include "engine/verify.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "engine/record.h"

struct quick {
	int dir;
	const struct oci_record *record;
	struct oci_listing have;
	bool *touched; /* of the record's files: right by the look, but changed since */
	size_t touched_count;
	struct oci_verify_report *ret;
};

static void clear(struct quick *q)
{
	oci_cleanup_close(&q->dir);
	oci_listing_clear(&q->have);
	free(q->touched);
}

static bool was_touched(const struct quick *q, const struct oci_listing_file *file)
{
	oci_autoclose int fd = oci_fs_open_beneath(q->dir, file->path, O_PATH, 0, NULL);
	struct stat st;

	if (file->link || fd < 0 || fstat(fd, &st) < 0)
		return false;
	return oci_clock_stamp_ns(&st.st_ctim) > q->record->put_ns;
}

static int look_at(struct quick *q, size_t i, struct oci_error *err)
{
	const struct oci_listing_file *want = &q->record->listing.files[i];
	const struct oci_listing_file *found = oci_listing_find(&q->have, want->path);

	if (!found)
		return oci_differences_add(&q->ret->differences, OCI_REMOVED, want->path, want->size_bytes, 0, err);
	if (!oci_record_holds(q->dir, want))
		return oci_differences_add(&q->ret->differences, OCI_CHANGED, want->path, want->size_bytes, found->size_bytes, err);
	q->touched[i] = was_touched(q, want);
	q->touched_count += q->touched[i];
	return 0;
}

static bool layer_was_touched(const struct quick *q, size_t layer)
{
	for (size_t i = 0; i < q->record->listing.count; i++)
		if (q->touched[i] && q->record->listing.files[i].layer == layer)
			return true;
	return false;
}

/* Touched files, with those that only their common layer proves. */
static int list_touched(const struct quick *q, struct oci_listing *ret, struct oci_error *err)
{
	const struct oci_listing *all = &q->record->listing;
	oci_autofree size_t *numbers = calloc(all->layer_count + 1, sizeof *numbers);

	if (!numbers)
		return oci_fail_nomem(err);
	for (size_t l = 0; l < all->layer_count; l++) {
		numbers[l] = OCI_LISTING_NO_LAYER;
		if (!layer_was_touched(q, l))
			continue;
		numbers[l] = ret->layer_count;
		if (oci_listing_add_layer(ret, &all->layers[l].digest, all->layers[l].size_bytes, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < all->count; i++) {
		const struct oci_listing_file *from = &all->files[i];
		size_t layer = from->layer == OCI_LISTING_NO_LAYER ? OCI_LISTING_NO_LAYER : numbers[from->layer];
		struct oci_listing_file *file;

		if (layer == OCI_LISTING_NO_LAYER && !q->touched[i])
			continue;
		file = oci_listing_add(ret, from->path, err);
		if (!file)
			return -1;
		file->size_bytes = from->size_bytes;
		file->mode = from->mode;
		file->digest = from->digest;
		file->layer = layer;
	}
	oci_listing_sort(ret);
	return 0;
}

static int read_touched(struct quick *q, const char *path, unsigned jobs, const struct oci_observer *observer,
	const atomic_int *cancel, struct oci_error *err)
{
	OCI_CLEANUP(oci_listing_clear) struct oci_listing touched = {0};
	OCI_CLEANUP(oci_verify_report_clear) struct oci_verify_report found = {0};

	if (q->touched_count == 0)
		return 0;
	if (list_touched(q, &touched, err) < 0 ||
		oci_verify_tree(path, &touched, jobs, observer, cancel, &found, err) < 0)
		return -1;
	q->ret->bytes = found.bytes;
	for (size_t i = 0; i < found.differences.count; i++) {
		const struct oci_difference *d = &found.differences.items[i];

		if (d->change == OCI_CHANGED && oci_differences_add(&q->ret->differences, OCI_CHANGED, d->path, d->before_bytes,
						d->after_bytes, err) < 0)
			return -1;
	}
	return 0;
}

int oci_verify_quick(const char *path, const struct oci_record *record, unsigned jobs,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_verify_report *ret, struct oci_error *err)
{
	OCI_CLEANUP(clear) struct quick q = {.dir = oci_fs_open_dir(path, err), .record = record, .ret = ret};

	q.touched = calloc(record->listing.count + 1, sizeof *q.touched);
	if (!q.touched)
		return oci_fail_nomem(err);
	if (q.dir < 0 || oci_verify_list(path, false, 1, NULL, NULL, &q.have, err) < 0)
		return -1;
	for (size_t i = 0; i < record->listing.count; i++)
		if (look_at(&q, i, err) < 0)
			return -1;
	for (size_t i = 0; i < q.have.count; i++)
		if (!oci_listing_find(&record->listing, q.have.files[i].path) &&
			oci_differences_add(&ret->differences, OCI_ADDED, q.have.files[i].path, 0, q.have.files[i].size_bytes, err) < 0)
			return -1;
	if (read_touched(&q, path, jobs, observer, cancel, err) < 0)
		return -1;
	ret->file_count = record->listing.count;
	oci_differences_sort(&ret->differences);
	return 0;
}
