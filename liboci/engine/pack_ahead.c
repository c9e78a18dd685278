/* Layers that are believed to be new are sent while they are hashed: their bytes
 * are read once, and the digest comes with the last of them. */
#include "engine/pack_job.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/workers.h"
#include "core/mediatype.h"
#include "engine/image.h"
#include "store/ops.h"

/* Smaller ones are read twice: that costs less than a transfer in vain. */
#define AHEAD_MIN (4 * OCI_MIB)
#define TAGS_ASKED 4

/* Is there a layer of this path and size among those? */
static bool is_listed(const struct pack_job *job, size_t i, const struct oci_manifest *m)
{
	const struct oci_plan_layer *planned = &job->plan.layers[i];
	bool alone = planned->title[0] == '\0';
	const char *key = alone ? "io.modelcar.file.path" : "org.opencontainers.image.title";
	const char *want = alone ? planned->shape.files[0].path : planned->title;

	for (size_t l = 0; l < m->layer_count; l++) {
		const char *name = oci_annotations_get(&m->layers[l].annotations, key);

		if (m->layers[l].size_bytes == planned->size_bytes && name && strcmp(name, want) == 0)
			return true;
	}
	return false;
}

static void hint_from(struct pack_job *job, const struct oci_manifest *m)
{
	for (size_t i = 0; i < job->plan.count; i++)
		job->layers[i].hinted = job->layers[i].hinted || is_listed(job, i, m);
}

/* Only hints: what cannot be read gives none. */
static void look_at_tag(struct pack_job *job, const char *tag, bool *there)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor root = {0};
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0}, first = {0};
	struct oci_error failure = {0};

	*there = oci_store_resolve(job->target, tag, &root, &failure) == 0 || failure.code != OCI_E_NOT_FOUND;
	if (!root.digest.alg || oci_image_read_manifest(job->target, &root, &m, NULL) < 0)
		return;
	if (!m.is_index)
		hint_from(job, &m);
	else if (m.manifest_count > 0 && oci_image_read_manifest(job->target, &m.manifests[0], &first, NULL) == 0)
		hint_from(job, &first);
}

/* A new tag often has most of its layers from the one before. */
static void look_at_others(struct pack_job *job)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0};
	bool there;

	if (!job->target->ops->tags || oci_store_tags(job->target, &tags, NULL) < 0)
		return;
	for (size_t i = tags.count > TAGS_ASKED ? tags.count - TAGS_ASKED : 0; i < tags.count; i++)
		look_at_tag(job, tags.items[i], &there);
}

static int look_at_written(struct pack_job *job, const char *tag, bool *any, struct oci_error *err)
{
	oci_autofree char *second = oci_str_printf("%s-modelpack", tag);
	bool first_there = false, second_there = false;

	if (!second)
		return oci_fail_nomem(err);
	look_at_tag(job, tag, &first_there);
	if (job->options->modelpack)
		look_at_tag(job, second, &second_there);
	*any = *any || first_there || second_there;
	return 0;
}

/* Where nothing can be remembered, a push that is killed would send what it had
 * finished once more; unless the user wants no memory. */
static bool may_go_ahead(const struct pack_job *job)
{
	const struct oci_pack_options *options = job->options;
	bool unwanted = options->cache_dir && !*options->cache_dir;

	return !options->dry_run && (unwanted || oci_layer_cache_remembers(&job->cache));
}

static bool is_candidate(const struct pack_job *job, size_t i)
{
	return !job->layers[i].digest.alg && !job->layers[i].hinted && job->plan.layers[i].size_bytes >= AHEAD_MIN;
}

static bool has_candidates(const struct pack_job *job)
{
	for (size_t i = 0; i < job->plan.count; i++)
		if (is_candidate(job, i))
			return true;
	return false;
}

int pack_survey(struct pack_job *job, struct oci_error *err)
{
	const struct oci_pack_options *options = job->options;
	const struct oci_strings *more = options->tags;
	bool any = false;

	if (!may_go_ahead(job) || !has_candidates(job))
		return 0;
	if (pack_open_target(job, err) < 0)
		return -1;
	if (look_at_written(job, options->target->tag, &any, err) < 0)
		return -1;
	for (size_t i = 0; more && i < more->count; i++)
		if (look_at_written(job, more->items[i], &any, err) < 0)
			return -1;
	if (any && !options->force)
		return 0;
	if (!any)
		look_at_others(job);
	for (size_t i = 0; i < job->plan.count; i++)
		job->layers[i].ahead = is_candidate(job, i);
	return 0;
}

static int send_layer(struct pack_job *job, size_t number, struct oci_descriptor *d, struct oci_error *err)
{
	struct pack_source source = {.job = job, .layer = number, .first_pass = true};
	struct oci_content content = pack_taping_content(&source);
	int rc;

	oci_digest_pool_join(&job->scan.pool);
	rc = oci_store_put(job->target, d, &content, job->options->observer, job->options->cancel, err);
	oci_digest_pool_leave(&job->scan.pool);
	return rc;
}

static int send_ahead(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	const struct pack_queue *queue = worker->ctx;
	struct pack_job *job = queue->job;
	size_t number = queue->layers[item];
	const struct oci_plan_layer *planned = &job->plan.layers[number];
	struct pack_layer *layer = &job->layers[number];
	struct oci_descriptor d = {
		.media_type = (char *)(planned->shape.raw ? "application/octet-stream" : OCI_MT_LAYER_TAR),
		.size_bytes = planned->size_bytes};
	const char *title = planned->title[0] ? planned->title : planned->shape.files[0].path;

	if (send_layer(job, number, &d, err) < 0)
		return -1;
	d.digest = layer->digest;
	layer->sent = true;
	pack_keep_add(job, &d, true);
	oci_event_done(job->options->observer, title, planned->size_bytes, "sent");
	return 0;
}

int pack_ahead(struct pack_job *job, struct oci_error *err)
{
	OCI_CLEANUP(pack_queue_clear) struct pack_queue queue = {0};
	struct oci_store_load load = {.layer_count = job->plan.count, .observer = job->options->observer};

	if (pack_queue_init(&queue, job, true, err) < 0)
		return -1;
	if (queue.count == 0)
		return 0;
	load.largest_bytes = job->plan.layers[queue.layers[0]].size_bytes;
	if (pack_keep_check(job, err) < 0 || oci_store_preflight(job->target, &load, err) < 0)
		return -1;
	job->ahead_ms = oci_clock_ms();
	oci_event_phase(job->options->observer, "send", queue.bytes, queue.count);
	return oci_workers_run(job->send_jobs, queue.count, send_ahead, &queue, job->options->cancel, err);
}
