/* First pass over the bytes: each layer's digest and checkpoints, and the
 * digests of files that share a layer or are small. */
#include "engine/pack_job.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/workers.h"

static size_t dir_number(const struct pack_source *source, size_t file)
{
	return source->job->plan.layers[source->layer].files[file];
}

static int open_file(void *ctx, size_t file, struct oci_error *err)
{
	const struct pack_source *source = ctx;

	return oci_dir_open_file(&source->job->dir, dir_number(source, file), err);
}

static int check_file(void *ctx, size_t file, int fd, struct oci_error *err)
{
	const struct pack_source *source = ctx;
	size_t number = dir_number(source, file);
	const struct oci_dir_file *checked = &source->job->dir.files[number];

	if (oci_dir_check(&source->job->dir, number, fd, err) < 0)
		return -1;
	if (source->first_pass)
		oci_event_done(source->job->options->observer, checked->path, checked->size_bytes, "hashed");
	return 0;
}

static bool wants_digest(const struct pack_job *job, const struct oci_plan_layer *layer, size_t file)
{
	return layer->shape.count > 1 || layer->shape.files[file].size_bytes < OCI_PLAN_SMALL ||
		job->options->file_digests;
}

static void hash_piece(void *ctx, size_t file, const void *data, size_t len)
{
	struct pack_source *source = ctx;
	const struct oci_plan_layer *layer = &source->job->plan.layers[source->layer];

	if (!wants_digest(source->job, layer, file))
		return;
	if (source->left == 0) {
		oci_hash_init(&source->hash, OCI_SHA256);
		source->left = layer->shape.files[file].size_bytes;
	}
	oci_hash_update(&source->hash, data, len);
	source->left -= len;
	if (source->left == 0)
		oci_hash_final(&source->hash, &source->job->digests[dir_number(source, file)]);
}

struct oci_reader *pack_layer_reader(struct pack_source *source, uint64_t offset, struct oci_error *err)
{
	const struct oci_layer_source from = {
		.open = open_file,
		.check = check_file,
		.tap = source->first_pass ? hash_piece : NULL,
		.ctx = source};

	return oci_layer_reader(&source->job->plan.layers[source->layer].shape, &from, offset, err);
}

static int hash_layer(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct pack_job *job = worker->ctx;
	struct pack_layer *layer = &job->layers[item];
	struct pack_source source = {.job = job, .layer = item, .first_pass = true};
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = pack_layer_reader(&source, 0, err);

	if (!reader)
		return -1;
	oci_block_index_tape_init(&layer->tape, job->plan.layers[item].start);
	if (oci_scan_stream(&job->scan, worker, reader, &layer->tape, err) < 0)
		return -1;
	oci_block_index_tape_final(&layer->tape, &layer->digest);
	return 0;
}

static void hash_empty_files(struct pack_job *job)
{
	struct oci_digest empty;

	oci_digest_of(OCI_SHA256, "", 0, &empty);
	for (size_t i = 0; i < job->dir.count; i++) {
		if (job->dir.files[i].size_bytes > 0)
			continue;
		job->digests[i] = empty;
		oci_event_done(job->options->observer, job->dir.files[i].path, 0, "hashed");
	}
}

int pack_hash(struct pack_job *job, struct oci_error *err)
{
	uint64_t total = 0;

	job->digests = calloc(job->dir.count + 1, sizeof *job->digests);
	job->layers = calloc(job->plan.count + 1, sizeof *job->layers);
	if (!job->digests || !job->layers)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < job->plan.count; i++)
		total += job->plan.layers[i].size_bytes;
	oci_event_phase(job->options->observer, "hash", total, job->dir.count);
	hash_empty_files(job);
	return oci_workers_run(job->scan.threads, job->plan.count, hash_layer, job, job->options->cancel, err);
}
