/* What layers are made of: known from an earlier time, or read and hashed now. */
#include "engine/pack_job.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/workers.h"

static void hash_empty_files(struct pack_job *job)
{
	struct oci_digest empty;

	oci_digest_of(OCI_SHA256, "", 0, &empty);
	for (size_t i = 0; i < job->dir.count; i++)
		if (job->dir.files[i].size_bytes == 0)
			job->digests[i] = empty;
}

/* Files have a digest of their own unless they are large and alone. */
static bool has_digests(const struct pack_job *job, const struct oci_layer_entry *entry)
{
	for (size_t i = 0; i < entry->file_count; i++)
		if (!entry->files[i].alg && job->options->file_digests)
			return false;
	return true;
}

/* An entry is of these very files, and complete. */
static bool fits(const struct pack_job *job, size_t i, const struct oci_layer_entry *entry)
{
	const struct oci_plan_layer *planned = &job->plan.layers[i];
	uint64_t blocks = oci_block_index_blocks(planned->size_bytes, planned->start);

	return entry->size_bytes == planned->size_bytes && entry->file_count == planned->shape.count &&
		entry->chains.len == blocks * OCI_CHAIN_BYTES && has_digests(job, entry);
}

static void recall_layer(struct pack_job *job, size_t i)
{
	OCI_CLEANUP(oci_layer_entry_clear) struct oci_layer_entry entry = {0};
	const struct oci_plan_layer *planned = &job->plan.layers[i];
	struct pack_layer *layer = &job->layers[i];

	oci_layer_identity(&planned->shape, job->dir.files, planned->files, &layer->identity);
	if (!oci_layer_cache_load(&job->cache, &layer->identity, &entry) || !fits(job, i, &entry))
		return;
	layer->hinted = true;
	if (oci_layer_entry_recent(&entry, job->dir.files, planned->files))
		return;
	layer->digest = entry.digest;
	layer->tape.chains = entry.chains;
	entry.chains = (struct oci_buf){0};
	for (size_t f = 0; f < entry.file_count; f++)
		job->digests[planned->files[f]] = entry.files[f];
}

int pack_recall(struct pack_job *job, struct oci_error *err)
{
	oci_autofree char *usual = job->options->cache_dir ? NULL : oci_layer_cache_default_dir();

	job->digests = calloc(job->dir.count + 1, sizeof *job->digests);
	job->layers = calloc(job->plan.count + 1, sizeof *job->layers);
	if (!job->digests || !job->layers)
		return oci_fail_nomem(err);
	oci_layer_cache_open(&job->cache, usual ? usual : job->options->cache_dir);
	hash_empty_files(job);
	for (size_t i = 0; i < job->plan.count; i++)
		recall_layer(job, i);
	return 0;
}

void pack_remember(struct pack_job *job, size_t i)
{
	const struct oci_plan_layer *planned = &job->plan.layers[i];
	const struct pack_layer *layer = &job->layers[i];
	oci_autofree struct oci_digest *files = calloc(planned->shape.count + 1, sizeof *files);
	const struct oci_layer_entry entry = {.started_ns = job->started_ns,
		.digest = layer->digest,
		.size_bytes = planned->size_bytes,
		.files = files,
		.file_count = planned->shape.count,
		.chains = layer->tape.chains}; /* borrowed */

	if (!files)
		return;
	for (size_t f = 0; f < planned->shape.count; f++)
		files[f] = job->digests[planned->files[f]];
	oci_layer_cache_save(&job->cache, &layer->identity, &entry);
}

static int compare_sizes(const void *a, const void *b, void *ctx)
{
	const struct oci_plan_layer *layers = ctx;
	uint64_t x = layers[*(const size_t *)a].size_bytes, y = layers[*(const size_t *)b].size_bytes;

	return (x < y) - (x > y);
}

int pack_queue_init(struct pack_queue *queue, struct pack_job *job, bool ahead, struct oci_error *err)
{
	*queue = (struct pack_queue){.job = job, .layers = calloc(job->plan.count + 1, sizeof *queue->layers)};
	if (!queue->layers)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < job->plan.count; i++) {
		if (job->layers[i].digest.alg || job->layers[i].ahead != ahead)
			continue;
		queue->layers[queue->count++] = i;
		queue->bytes += job->plan.layers[i].size_bytes;
	}
	qsort_r(queue->layers, queue->count, sizeof *queue->layers, compare_sizes, job->plan.layers);
	return 0;
}

void pack_queue_clear(struct pack_queue *queue)
{
	free(queue->layers);
}

static int hash_layer(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	const struct pack_queue *queue = worker->ctx;
	struct pack_job *job = queue->job;
	size_t number = queue->layers[item];
	struct pack_layer *layer = &job->layers[number];
	struct pack_source source = {.job = job, .layer = number, .first_pass = true};
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = pack_layer_reader(&source, 0, err);

	if (!reader)
		return -1;
	oci_block_index_tape_init(&layer->tape, job->plan.layers[number].start);
	if (oci_scan_stream(&job->scan, worker, reader, &layer->tape, err) < 0)
		return -1;
	oci_block_index_tape_final(&layer->tape, &layer->digest);
	pack_remember(job, number);
	return 0;
}

int pack_hash(struct pack_job *job, struct oci_error *err)
{
	OCI_CLEANUP(pack_queue_clear) struct pack_queue queue = {0};

	if (pack_queue_init(&queue, job, false, err) < 0)
		return -1;
	oci_event_phase(job->options->observer, "hash", queue.bytes, job->dir.count);
	return oci_workers_run(job->scan.threads, queue.count, hash_layer, &queue, job->options->cancel, err);
}
