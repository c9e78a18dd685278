#include "engine/bundle_create.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/workers.h"
#include "core/mediatype.h"
#include "engine/bundle_base.h"
#include "engine/bundle_images.h"
#include "engine/bundle_inventory.h"
#include "engine/bundle_write.h"

struct job {
	const struct oci_bundle_create_options *options;
	struct oci_bundle_create_report *report;
	struct oci_bundle_images images;
	struct oci_graph graph;
	struct oci_bundle_base base;
	struct oci_store *memory; /* of the lists of referrers that the bundle has to have */
	struct oci_graph_tag *lists;
	size_t list_count;
	struct oci_bundle_map map;
	struct oci_bundle_parts parts;
	atomic_uint_least64_t kept_bytes;
	unsigned jobs;
};

struct copy {
	struct job *job;
	struct oci_bundle_writer *writer;
};

/* Signatures that a tag names travel under that tag. */
static int add_tagged_images(struct job *job, size_t images, struct oci_error *err)
{
	for (size_t i = 0; i < job->graph.tag_count; i++) {
		const struct oci_graph_tag *tag = &job->graph.tags[i];
		const struct oci_bundle_image *image = &job->images.items[tag->root];

		if (tag->root < images && oci_bundle_images_add(&job->images, image->store, &tag->descriptor,
						  image->name, tag->tag, err) < 0)
			return -1;
	}
	return 0;
}

/* What refers to a manifest is found in a layout by the index under sha256-<hex>. */
static int write_list(struct job *job, const struct oci_graph_referrers *of, struct oci_graph_tag *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	char hex[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&text, OCI_MANIFEST_MAX);
	ret->tag = oci_str_printf("%s-%.64s", oci_digest_alg_name(of->subject.alg), oci_digest_hex(&of->subject, hex));
	if (!ret->tag)
		return oci_fail_nomem(err);
	if (oci_manifest_format(&of->list, &text, err) < 0 ||
		oci_descriptor_of(OCI_MT_INDEX, text.data, text.len, &ret->descriptor, err) < 0 ||
		oci_store_write(job->memory, &ret->descriptor, text.data, text.len, err) < 0)
		return -1;
	return oci_graph_put(&job->graph, job->memory, &ret->descriptor, OCI_GRAPH_MANIFEST, NULL, err);
}

static int write_lists(struct job *job, struct oci_error *err)
{
	job->memory = oci_store_memory(err);
	if (!job->memory)
		return -1;
	job->lists = calloc(job->graph.referrers_count + 1, sizeof *job->lists);
	if (!job->lists)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < job->graph.referrers_count; i++) {
		job->list_count++;
		if (write_list(job, &job->graph.referrers[i], &job->lists[i], err) < 0)
			return -1;
	}
	return 0;
}

static int list_images(struct job *job, struct oci_error *err)
{
	const struct oci_bundle_create_options *options = job->options;
	size_t count;

	oci_event_phase(options->observer, "list", 0, options->references->count);
	for (size_t i = 0; i < options->references->count; i++)
		if (oci_bundle_images_open(&job->images, options->references->items[i], options->store, err) < 0)
			return -1;
	count = job->images.count;
	for (size_t i = 0; i < count; i++) {
		if (oci_graph_add(&job->graph, job->images.items[i].store, &job->images.items[i].root,
			    options->referrers, err) < 0)
			return oci_fail_side(err, OCI_SIDE_SOURCE);
	}
	if (add_tagged_images(job, count, err) < 0 || write_lists(job, err) < 0)
		return -1;
	return oci_graph_sort(&job->graph, err);
}

static int list_base(struct job *job, struct oci_error *err)
{
	const struct oci_bundle_create_options *options = job->options;

	for (size_t i = 0; i < options->base->count; i++)
		if (oci_bundle_base_add(&job->base, options->base->items[i], options->store, err) < 0)
			return oci_wrap(err, "base");
	if (options->have && oci_bundle_base_read(&job->base, options->have, err) < 0)
		return -1;
	oci_bundle_base_sort(&job->base);
	return 0;
}

static int make_map(struct job *job, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index = {0};

	for (size_t i = 0; i < job->graph.count; i++) {
		const struct oci_graph_node *node = &job->graph.nodes[i];
		const struct oci_descriptor *d = &node->descriptor;
		bool document = node->kind == OCI_GRAPH_MANIFEST;
		bool needed = !document && oci_bundle_base_has(&job->base, &d->digest);

		if ((needed ? oci_bundle_map_need : oci_bundle_map_add)(&job->map, &d->digest, d->size_bytes, err) < 0)
			return -1;
		job->map.documents += document;
		*(needed ? &job->report->needed_bytes : &job->report->blob_bytes) += d->size_bytes;
	}
	if (oci_bundle_images_index(&job->images, job->lists, job->list_count, &index, err) < 0 ||
		oci_bundle_map_seal(&job->map, &index, err) < 0)
		return -1;
	return oci_bundle_parts_plan(&job->map, job->options->part_bytes, &job->parts, err);
}

static int fetch(struct copy *copy, const struct oci_graph_node *node, size_t item, struct oci_error *err)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = NULL;
	const struct oci_bundle_create_options *options = copy->job->options;

	reader = oci_store_fetch(node->store, &node->descriptor, err);
	if (!reader)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	return oci_bundle_writer_blob(copy->writer, item, reader, options->observer, options->cancel, err);
}

/* Bytes may change on their way: once more. */
static int fetch_twice(struct copy *copy, const struct oci_graph_node *node, size_t item, struct oci_error *err)
{
	struct oci_error first = {0};

	if (fetch(copy, node, item, &first) == 0)
		return 0;
	if (first.code == OCI_E_DIGEST)
		return fetch(copy, node, item, err);
	*err = first;
	return -1;
}

static int copy_blob(struct copy *copy, size_t item, struct oci_error *err)
{
	struct job *job = copy->job;
	const struct oci_bundle_blob *blob = &job->map.blobs[item];
	const struct oci_graph_node *node = oci_graph_find(&job->graph, &blob->digest);
	char text[OCI_DIGEST_TEXT_MAX];
	bool kept = false;

	oci_digest_format(&blob->digest, text);
	if (oci_bundle_writer_kept(copy->writer, item, &kept, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	if (kept) {
		atomic_fetch_add(&job->kept_bytes, blob->size_bytes);
		oci_event_bytes(job->options->observer, blob->size_bytes);
	} else if (fetch_twice(copy, node, item, err) < 0) {
		return oci_wrap(err, "blob '%s'", text);
	}
	oci_event_done(job->options->observer, text, blob->size_bytes, kept ? "kept" : "written");
	return 0;
}

static int copy_item(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct copy *copy = worker->ctx;
	struct oci_error own = {0};

	if (oci_bundle_writer_gap(copy->writer, item, &own) < 0 ||
		(item < copy->job->map.count && copy_blob(copy, item, &own) < 0) ||
		oci_bundle_writer_done(copy->writer, item, &own) < 0) {
		*err = own;
		return -1;
	}
	return 0;
}

static int add_file(struct job *job, const char *path, struct oci_error *err)
{
	return oci_strings_add(&job->report->files, path, err);
}

static int report_files(struct job *job, struct oci_error *err)
{
	for (size_t number = 1; number <= job->parts.count; number++) {
		oci_autofree char *name = oci_bundle_parts_name(&job->parts, job->options->file, number);

		if (!name)
			return oci_fail_nomem(err);
		if (add_file(job, name, err) < 0)
			return -1;
		job->report->bundle_bytes += oci_bundle_parts_file_bytes(&job->parts, number);
	}
	job->report->carried = job->parts.count;
	for (size_t i = 0; i < job->images.count; i++) {
		oci_autofree char *line = oci_bundle_image_text(&job->images.items[i], true);

		if (!line)
			return oci_fail_nomem(err);
		if (oci_strings_add(&job->report->images, line, err) < 0)
			return -1;
	}
	job->report->id = job->map.id;
	job->report->blob_count = job->map.count;
	job->report->needed_count = job->map.needed_count;
	return 0;
}

static int write_files(struct job *job, struct oci_bundle_writer *writer, struct oci_error *err)
{
	const struct oci_bundle_create_options *options = job->options;
	struct copy copy = {job, writer};

	oci_event_phase(options->observer, "write", job->report->blob_bytes, job->map.count);
	if (oci_workers_run(job->jobs, job->map.count + 1, copy_item, &copy, options->cancel, err) < 0)
		return oci_wrap(err, "what is written stays, run again to go on");
	if (oci_bundle_writer_finish(writer, job->jobs, options->cancel, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	job->report->kept_bytes = job->kept_bytes;
	return oci_bundle_inventory_write(writer, &job->images, options->file, &job->report->files, err);
}

static int run(struct job *job, struct oci_error *err)
{
	struct oci_bundle_writer writer;
	int status;

	if (list_images(job, err) < 0 || list_base(job, err) < 0 || make_map(job, err) < 0 || report_files(job, err) < 0)
		return -1;
	if (job->options->dry_run)
		return 0;
	status = oci_bundle_writer_open(&writer, job->options->file, &job->parts, job->options->force, err);
	if (status == 0)
		status = write_files(job, &writer, err);
	else
		oci_fail_side(err, OCI_SIDE_DEST);
	oci_bundle_writer_close(&writer);
	return status;
}

static void job_clear(struct job *job)
{
	for (size_t i = 0; i < job->list_count; i++) {
		free(job->lists[i].tag);
		oci_descriptor_clear(&job->lists[i].descriptor);
	}
	free(job->lists);
	oci_bundle_map_clear(&job->map);
	oci_bundle_base_clear(&job->base);
	oci_graph_clear(&job->graph);
	oci_bundle_images_clear(&job->images);
	oci_store_close(job->memory);
}

int oci_bundle_create(const struct oci_bundle_create_options *options, struct oci_bundle_create_report *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(job_clear) struct job job = {.options = options, .report = ret,
		.jobs = options->jobs ? options->jobs : oci_workers_cpus()};
	struct oci_error own = {0};

	*ret = (struct oci_bundle_create_report){0};
	oci_graph_init(&job.graph);
	oci_bundle_map_init(&job.map);
	if (run(&job, &own) == 0)
		return 0;
	if (err)
		*err = own;
	return -1;
}

void oci_bundle_create_report_clear(struct oci_bundle_create_report *report)
{
	oci_strings_clear(&report->files);
	oci_strings_clear(&report->images);
}
