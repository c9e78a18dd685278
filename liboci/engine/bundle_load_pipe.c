/* From a stream that comes once: manifests are held, blobs go through. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "core/mediatype.h"
#include "engine/bundle_load_job.h"
#include "store/index.h"

#define STEP_BYTES OCI_MIB
#define DOCUMENTS_MAX (64 * OCI_MIB)

struct flow {
	struct oci_bundle_load_job *job;
	struct oci_bundle_pipe pipe;
	char *step;
};

static void flow_clear(struct flow *flow)
{
	oci_bundle_pipe_close(&flow->pipe);
	free(flow->step);
}

static int check_cancel(const struct flow *flow, struct oci_error *err)
{
	const atomic_int *cancel = flow->job->options->cancel;
	int number = cancel ? atomic_load_explicit(cancel, memory_order_relaxed) : 0;

	return number ? oci_fail(err, OCI_E_CANCELLED, "cancelled by signal %d", number) : 0;
}

/* The part that made a blob wrong, or the blob. */
static int fail_blob(struct flow *flow, const struct oci_bundle_blob *blob, struct oci_error *why, struct oci_error *err)
{
	char text[OCI_DIGEST_TEXT_MAX];

	if (why->code == OCI_E_DIGEST && oci_bundle_pipe_blame(&flow->pipe, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	if (err && !err->code)
		*err = *why;
	return oci_wrap(err, "blob '%s'", oci_digest_format(&blob->digest, text));
}

/* Its next `size` bytes, to a sink or to nowhere. */
static int pump(struct flow *flow, uint64_t size, struct oci_sink *sink, struct oci_error *err)
{
	while (size > 0) {
		size_t len = size < STEP_BYTES ? (size_t)size : STEP_BYTES;

		if (check_cancel(flow, err) < 0)
			return -1;
		if (oci_bundle_pipe_read(&flow->pipe, flow->step, len, err) < 0)
			return oci_fail_side(err, OCI_SIDE_SOURCE);
		if (sink && oci_sink_write(sink, flow->step, len, err) < 0)
			return -1;
		if (sink)
			oci_event_bytes(flow->job->options->observer, len);
		size -= len;
	}
	return 0;
}

static int put_blob(struct flow *flow, struct oci_store *to, const struct oci_descriptor *d,
	const struct oci_bundle_blob *blob, struct oci_error *err)
{
	struct oci_error why = {0};
	struct oci_sink *sink = oci_store_begin(to, d, &why);

	if (!sink)
		return fail_blob(flow, blob, &why, err);
	if (pump(flow, blob->size_bytes, sink, &why) < 0) {
		oci_sink_abort(sink);
		return fail_blob(flow, blob, &why, err);
	}
	return oci_sink_commit(sink, &d->digest, &why) < 0 ? fail_blob(flow, blob, &why, err) : 0;
}

static int hold_document(struct flow *flow, const struct oci_bundle_blob *blob, struct oci_error *err)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {
		.digest = blob->digest, .size_bytes = blob->size_bytes};

	if (oci_str_set(&d.media_type, OCI_MT_MANIFEST, err) < 0)
		return -1;
	return put_blob(flow, flow->job->store, &d, blob, err);
}

static int tag_document(struct flow *flow, const struct oci_descriptor *d, struct oci_error *err)
{
	const char *tag = oci_annotations_get(&d->annotations, OCI_INDEX_REF_NAME);
	char text[OCI_DIGEST_TEXT_MAX];
	bool there = false;

	if (oci_store_exists(flow->job->store, d, &there, err) < 0)
		return -1;
	if (!there)
		return oci_fail(err, OCI_E_FORMAT, "'index.json' names '%s', which is not among the manifests",
			oci_digest_format(&d->digest, text));
	return tag && oci_reference_tag_ok(tag) ? oci_store_tag(flow->job->store, d, tag, err) : 0;
}

/* Manifests stand first. Lists of referrers are found by their tags. */
static int hold_documents(struct flow *flow, struct oci_error *err)
{
	const struct oci_bundle_map *map = &flow->pipe.map;
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest index = {0};
	uint64_t total = 0;

	for (size_t i = 0; i < map->documents; i++) {
		total += map->blobs[i].size_bytes;
		if (total > DOCUMENTS_MAX)
			return oci_fail(err, OCI_E_UNSUPPORTED, "too many manifests to read from a pipe, save the bundle to a file");
		if (oci_bundle_pipe_gap(&flow->pipe, i, err) < 0 || hold_document(flow, &map->blobs[i], err) < 0)
			return -1;
	}
	if (oci_manifest_parse(oci_buf_text(&map->index), map->index.len, OCI_MT_INDEX, &index, err) < 0)
		return oci_wrap(err, "'index.json'");
	for (size_t i = 0; i < index.manifest_count; i++)
		if (tag_document(flow, &index.manifests[i], err) < 0)
			return -1;
	return 0;
}

/* NULL: nobody wants it. */
static const struct oci_bundle_parcel *parcel_of(const struct oci_bundle_load_job *job,
	const struct oci_bundle_blob *blob, size_t *next)
{
	if (*next < job->parcel_count && job->parcels[*next].blob == blob)
		return &job->parcels[(*next)++];
	return NULL;
}

static int pass_blob(struct flow *flow, const struct oci_bundle_blob *blob, const struct oci_bundle_parcel *parcel,
	struct oci_error *err)
{
	struct oci_bundle_load_job *job = flow->job;
	size_t first = parcel && parcel->lacking ? oci_bundle_load_first(job, parcel) : 0;
	char text[OCI_DIGEST_TEXT_MAX];
	bool there = true;

	if (!parcel || !parcel->lacking)
		return pump(flow, blob->size_bytes, NULL, err);
	if (oci_store_exists(job->targets.items[first].store, parcel->descriptor, &there, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	if (there) {
		if (pump(flow, blob->size_bytes, NULL, err) < 0)
			return -1;
	} else {
		if (put_blob(flow, job->targets.items[first].store, parcel->descriptor, blob, err) < 0)
			return -1;
		atomic_fetch_add(&job->moved_bytes[OCI_COPY_SENT], blob->size_bytes);
	}
	oci_event_done(job->options->observer, oci_digest_format(&blob->digest, text), blob->size_bytes,
		there ? "exists" : "sent");
	return oci_bundle_load_spread(job, parcel, first, err);
}

static int pass_blobs(struct flow *flow, struct oci_error *err)
{
	const struct oci_bundle_map *map = &flow->pipe.map;
	struct oci_bundle_load_job *job = flow->job;
	uint64_t total = 0;
	size_t next = 0;

	for (size_t i = 0; i < job->parcel_count; i++)
		total += job->parcels[i].lacking ? job->parcels[i].blob->size_bytes : 0;
	oci_event_phase(job->options->observer, "load", total, job->parcel_count);
	for (size_t i = map->documents; i < map->count; i++)
		if (oci_bundle_pipe_gap(&flow->pipe, i, err) < 0 ||
			pass_blob(flow, &map->blobs[i], parcel_of(job, &map->blobs[i], &next), err) < 0)
			return -1;
	return oci_bundle_pipe_end(&flow->pipe, err);
}

static int open_flow(struct flow *flow, const char *path, struct oci_error *err)
{
	struct oci_bundle_load_job *job = flow->job;

	if (oci_bundle_pipe_open(&flow->pipe, path, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	flow->step = malloc(STEP_BYTES);
	if (!flow->step)
		return oci_fail_nomem(err);
	job->store = oci_store_memory(err);
	if (!job->store || oci_bundle_images_of_index(&job->images, job->store, &flow->pipe.map.index, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	return oci_bundle_load_places(job, err) < 0 ? -1 : hold_documents(flow, err);
}

int oci_bundle_load_pipe(struct oci_bundle_load_job *job, const char *path, struct oci_error *err)
{
	OCI_CLEANUP(flow_clear) struct flow flow = {.job = job, .pipe.fd = -1};

	if (open_flow(&flow, path, err) < 0 || oci_bundle_load_walk(job, err) < 0 ||
		oci_bundle_load_ask(job, &flow.pipe.map, err) < 0)
		return -1;
	if (job->options->dry_run)
		return 0;
	if (pass_blobs(&flow, err) < 0)
		return oci_wrap(err, "what is there stays, run again to go on");
	free(oci_steal(&job->parcels)); /* they borrow from the pipe's map */
	job->parcel_count = 0;
	return 0;
}
