#include "engine/bundle_load.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "engine/bundle_load_job.h"
#include "store/bundle.h"
#include "store/upload_state.h"

/* Manifests say what the images are: without all of them nothing can begin. */
static int check_documents(struct oci_bundle_load_job *job, struct oci_error *err)
{
	const struct oci_bundle_map *map = &job->set.map;
	oci_autofree bool *wanted = calloc(job->set.parts.count, sizeof *wanted);
	char ranges[OCI_BUNDLE_RANGES_MAX];

	if (!wanted)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < map->documents; i++)
		oci_bundle_kept_missing(&job->kept, &map->blobs[i], wanted);
	if (oci_bundle_ranges(wanted, job->set.parts.count, true, ranges) == 0)
		return 0;
	if (job->set.damaged.count > 0)
		return oci_fail(err, OCI_E_DIGEST, "%s; nothing is taken without it", job->set.damaged.items[0]);
	return oci_fail(err, OCI_E_MORE,
		"no part taken yet; insert the one with part %s of %zu, which says what the others are", ranges,
		job->set.parts.count);
}

static int open_kept(struct oci_bundle_load_job *job, struct oci_error *err)
{
	const struct oci_bundle_load_options *o = job->options;
	oci_autofree char *usual = o->store->state_dir ? NULL : oci_upload_state_default_dir();

	return oci_bundle_kept_open(&job->kept, o->store->state_dir ? o->store->state_dir : usual, &job->set, o->to, err);
}

static int open_set(struct oci_bundle_load_job *job, const struct oci_strings *files, struct oci_error *err)
{
	if (oci_bundle_set_open(files, &job->set, err) < 0)
		return -1;
	for (size_t i = 0; i < job->set.damaged.count; i++)
		oci_event_warn(job->options->observer, "%s", job->set.damaged.items[i]);
	if (open_kept(job, err) < 0)
		return -1;
	job->store = oci_store_bundle_set(&job->set, &job->kept.fill, err);
	if (!job->store || oci_bundle_images_of_index(&job->images, job->store, &job->set.map.index, err) < 0)
		return -1;
	return check_documents(job, err);
}

static int load_set(struct oci_bundle_load_job *job, const struct oci_strings *files, struct oci_error *err)
{
	if (open_set(job, files, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	if (oci_bundle_load_places(job, err) < 0 || oci_bundle_load_walk(job, err) < 0 ||
		oci_bundle_load_ask(job, &job->set.map, err) < 0)
		return -1;
	return job->options->dry_run ? 0 : oci_bundle_load_parts(job, err);
}

/* Somebody else's archive: whole, and nothing is known of it before it is read. */
static int load_archive(struct oci_bundle_load_job *job, const char *path, struct oci_error *err)
{
	if (oci_bundle_images_open_file(&job->images, path, job->options->store, err) < 0 ||
		oci_bundle_load_places(job, err) < 0)
		return -1;
	return oci_bundle_load_walk(job, err);
}

static int load_files(struct oci_bundle_load_job *job, struct oci_error *err)
{
	const struct oci_strings *given = job->options->files;
	OCI_CLEANUP(oci_strings_clear) struct oci_strings files = {0};

	for (size_t i = 0; i < given->count; i++) {
		if (!oci_bundle_pipe_probe(given->items[i])) {
			if (oci_bundle_set_expand(given->items[i], false, &files, err) < 0)
				return oci_fail_side(err, OCI_SIDE_SOURCE);
			continue;
		}
		if (given->count > 1)
			return oci_fail(err, OCI_E_USAGE, "a pipe is loaded alone: write all parts into it, in their order");
		return oci_bundle_load_pipe(job, given->items[i], err);
	}
	if (oci_bundle_is_foreign(&files))
		return load_archive(job, files.items[0], err);
	return load_set(job, &files, err);
}

/* Everything is there: manifests, and what refers to them. */
static int finish_target(struct oci_bundle_load_job *job, struct oci_bundle_target *target, struct oci_error *err)
{
	const struct oci_bundle_load_options *o = job->options;
	const struct oci_copy_options options = {
		.dry_run = o->dry_run, .jobs = o->jobs, .observer = o->observer, .cancel = o->cancel};
	OCI_CLEANUP(oci_copy_report_clear) struct oci_copy_report report = {0};

	if (oci_copy_graph(&target->graph, target->store, &options, &report, err) < 0)
		return -1;
	for (size_t how = 0; how < 3; how++)
		job->report->bytes[how] += report.bytes[how];
	job->report->objects += report.object_count;
	return 0;
}

static int tag_image(struct oci_bundle_load_job *job, size_t number, const char *tag, struct oci_strings *names,
	struct oci_error *err)
{
	const struct oci_bundle_image *image = &job->images.items[number];
	const struct oci_bundle_target *target = &job->targets.items[job->targets.placings[number].target];
	struct oci_reference ref = target->ref;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, 64 * OCI_KIB);
	ref.tag = (char *)tag; /* borrowed */
	ref.digest = image->root.digest;
	if (!job->options->dry_run && tag && oci_store_tag(target->store, &image->root, tag, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	if (oci_bundle_image_is_signature(image))
		return 0;
	if (oci_reference_format(&ref, &text, err) < 0)
		return -1;
	return oci_strings_add(names, oci_buf_text(&text), err);
}

static int tag_all(struct oci_bundle_load_job *job, struct oci_error *err)
{
	for (size_t i = 0; i < job->images.count; i++) {
		const struct oci_bundle_placing *placing = &job->targets.placings[i];

		if (tag_image(job, i, placing->tag, &job->report->images, err) < 0 ||
			(placing->zarf_tag &&
				tag_image(job, i, placing->zarf_tag, &job->report->zarf_images, err) < 0))
			return -1;
	}
	return 0;
}

static int finish(struct oci_bundle_load_job *job, struct oci_error *err)
{
	for (size_t i = 0; i < job->targets.count; i++)
		if (finish_target(job, &job->targets.items[i], err) < 0)
			return -1;
	if (tag_all(job, err) < 0)
		return -1;
	for (size_t i = 0; i < job->targets.count && !job->options->dry_run; i++)
		if (oci_store_finish(job->targets.items[i].store, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
	/* What copy.h found there is what was just sent. */
	for (size_t how = OCI_COPY_MOUNTED; how <= OCI_COPY_SENT; how++) {
		job->report->bytes[how] += job->moved_bytes[how];
		job->report->bytes[OCI_COPY_EXISTS] -= job->moved_bytes[how];
	}
	if (job->kept.set)
		oci_bundle_kept_remove(&job->kept);
	return 0;
}

static void job_clear(struct oci_bundle_load_job *job)
{
	free(job->parcels);
	oci_bundle_targets_clear(&job->targets);
	oci_bundle_images_clear(&job->images);
	oci_store_close(job->store);
	if (job->kept.set)
		oci_bundle_kept_close(&job->kept);
	oci_bundle_set_clear(&job->set);
}

int oci_bundle_load(const struct oci_bundle_load_options *options, struct oci_bundle_load_report *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(job_clear) struct oci_bundle_load_job job = {.options = options, .report = ret};

	*ret = (struct oci_bundle_load_report){0};
	oci_bundle_map_init(&job.set.map);
	return load_files(&job, err) < 0 ? -1 : finish(&job, err);
}

void oci_bundle_load_report_clear(struct oci_bundle_load_report *report)
{
	oci_strings_clear(&report->images);
	oci_strings_clear(&report->zarf_images);
}
