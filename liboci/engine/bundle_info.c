#include "engine/bundle_info.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/workers.h"
#include "store/bundle.h"
#include "engine/bundle_images.h"

struct check {
	const struct oci_bundle_set *set;
	struct oci_error *results; /* one each item */
};

static int check_part(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct check *check = worker->ctx;

	if (check->set->files[item].path)
		oci_bundle_set_check(check->set, item + 1, &check->results[item]);
	return 0;
}

static int check_blob(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct check *check = worker->ctx;
	const struct oci_bundle_blob *blob = &check->set->map.blobs[item];
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = oci_store_bundle_set(check->set, NULL, err);
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = NULL;
	struct oci_descriptor d = {.digest = blob->digest, .size_bytes = blob->size_bytes};
	char text[OCI_DIGEST_TEXT_MAX];

	reader = store ? oci_store_fetch(store, &d, &check->results[item]) : NULL;
	if (!reader || oci_reader_drain(reader, &check->results[item]) < 0)
		oci_wrap(&check->results[item], "blob '%s'", oci_digest_format(&blob->digest, text));
	return 0;
}

/* Parts have sums of their own; of one file every blob is hashed. */
static int check_all(const struct oci_bundle_set *set, unsigned jobs, const atomic_int *cancel,
	struct oci_strings *damaged, struct oci_error *err)
{
	bool parts = set->parts.part_bytes != 0;
	size_t count = parts ? set->parts.count : set->map.count;
	oci_autofree struct oci_error *results = calloc(count + 1, sizeof *results);
	struct check check = {set, results};

	if (!results)
		return oci_fail_nomem(err);
	if (oci_workers_run(jobs, count, parts ? check_part : check_blob, &check, cancel, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (results[i].code && oci_strings_add(damaged, results[i].text, err) < 0)
			return -1;
	return 0;
}

static int list_images(const struct oci_bundle_set *set, struct oci_strings *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_bundle_images_clear) struct oci_bundle_images images = {0};

	if (oci_bundle_images_of_index(&images, NULL, &set->map.index, err) < 0)
		return -1;
	for (size_t i = 0; i < images.count; i++) {
		oci_autofree char *line = oci_bundle_image_text(&images.items[i], true);

		if (!line)
			return oci_fail_nomem(err);
		if (oci_strings_add(ret, line, err) < 0)
			return -1;
	}
	return 0;
}

static void count_all(const struct oci_bundle_set *set, struct oci_bundle_info *ret)
{
	ret->id = set->map.id;
	ret->blob_count = set->map.count;
	ret->needed_count = set->map.needed_count;
	ret->part_count = set->parts.count;
	ret->part_bytes = set->parts.part_bytes;
	for (size_t i = 0; i < set->map.count; i++)
		ret->blob_bytes += set->map.blobs[i].size_bytes;
	for (size_t i = 0; i < set->map.needed_count; i++)
		ret->needed_bytes += set->map.needed[i].size_bytes;
	for (size_t number = 1; number <= set->parts.count; number++)
		ret->bundle_bytes += oci_bundle_parts_file_bytes(&set->parts, number);
	oci_bundle_ranges(set->here, set->parts.count, false, ret->missing);
}

static int read_set(const struct oci_strings *files, struct oci_bundle_set *set, bool check, unsigned jobs,
	const atomic_int *cancel, struct oci_bundle_info *ret, struct oci_error *err)
{
	if (oci_bundle_set_open(files, set, err) < 0)
		return -1;
	count_all(set, ret);
	for (size_t i = 0; i < set->damaged.count; i++)
		if (oci_strings_add(&ret->damaged, set->damaged.items[i], err) < 0)
			return -1;
	if (list_images(set, &ret->images, err) < 0)
		return -1;
	return check ? check_all(set, jobs, cancel, &ret->damaged, err) : 0;
}

int oci_bundle_info_read(const struct oci_strings *paths, bool check, unsigned jobs, const atomic_int *cancel,
	struct oci_bundle_info *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings files = {0};
	struct oci_bundle_set set = {0};
	int status;

	*ret = (struct oci_bundle_info){0};
	for (size_t i = 0; i < paths->count; i++)
		if (oci_bundle_set_expand(paths->items[i], paths->count == 1, &files, err) < 0)
			return -1;
	status = read_set(&files, &set, check, jobs ? jobs : oci_workers_cpus(), cancel, ret, err);
	oci_bundle_set_clear(&set);
	return status;
}

void oci_bundle_info_clear(struct oci_bundle_info *info)
{
	oci_strings_clear(&info->images);
	oci_strings_clear(&info->damaged);
}
