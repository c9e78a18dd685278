/* Send what the destination lacks, and make sure that it still has the rest. */
#include "engine/pack_parcel.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/copy.h"

#define LONG_MS (60 * 1000)
#define ROUNDS_MAX 3

/* Content that turned out to be other than in the first pass is the source's
 * fault, not the destination's. */
static int explain(struct pack_job *job, const struct parcel *parcel, struct oci_error *err)
{
	if (err && err->code == OCI_E_DIGEST) {
		oci_layer_cache_forget(&job->cache, &job->layers[parcel->plan_layer].identity);
		err->code = OCI_E_SOURCE;
		return oci_wrap(err, "'%s' changed while it was packed; run again", parcel->title);
	}
	return -1;
}

static struct oci_reader *open_planned(void *ctx, uint64_t offset, struct oci_error *err)
{
	return pack_layer_reader(ctx, offset, err);
}

static int send_planned(struct pack_job *job, const struct parcel *parcel, struct oci_error *err)
{
	struct pack_source source = {.job = job, .layer = parcel->plan_layer};
	struct oci_content content = {
		.open = open_planned, .identity = &job->layers[parcel->plan_layer].identity, .ctx = &source};

	if (oci_store_put(job->target, parcel->descriptor, &content, job->options->observer,
		    job->options->cancel, err) < 0)
		return explain(job, parcel, err);
	return 0;
}

static int send_base(struct pack_job *job, struct parcel *parcel, struct oci_error *err)
{
	enum oci_copy_how how;

	if (oci_copy_blob(job->base_store, job->target, parcel->descriptor, job->options->observer,
		    job->options->cancel, &how, err) < 0)
		return oci_wrap(err, "base layer");
	if (how == OCI_COPY_MOUNTED)
		parcel->state = OCI_PACK_MOUNTED;
	return 0;
}

static int send_new(struct pack_job *job, struct parcel *parcel, struct oci_error *err)
{
	parcel->state = OCI_PACK_NEW;
	switch (parcel->kind) {
	case BASE:
		return send_base(job, parcel, err);
	case PLANNED:
		return send_planned(job, parcel, err);
	default:
		return oci_store_write(job->target, parcel->descriptor, job->index_bytes.data,
			job->index_bytes.len, err);
	}
}

static int send_parcel(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	static const char *const words[] = {"sent", "exists", "mounted"};
	struct parcels *parcels = worker->ctx;
	struct pack_job *job = parcels->job;
	struct parcel *parcel = &parcels->items[item];

	if (!parcel->there) {
		if (send_new(job, parcel, err) < 0)
			return -1;
		parcel->there = true;
		parcel->sent = false;
		pack_keep_add(job, parcel->descriptor, true);
	}
	if (!parcel->sent)
		oci_event_done(job->options->observer, parcel->title, parcel->descriptor->size_bytes,
			words[parcel->state]);
	return 0;
}

int pack_ask_parcel(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct parcels *parcels = worker->ctx;
	struct parcel *parcel = &parcels->items[item];
	struct oci_store *target = parcels->job->target;

	parcel->there = false;
	if (target && oci_store_exists(target, parcel->descriptor, &parcel->there, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	return 0;
}

static int send_missing(struct parcels *parcels, struct oci_error *err)
{
	struct pack_job *job = parcels->job;
	uint64_t total = 0;

	for (size_t i = 0; i < parcels->count; i++)
		if (!parcels->items[i].there)
			total += parcels->items[i].descriptor->size_bytes;
	oci_event_phase(job->options->observer, "send", total, parcels->count);
	return oci_workers_run(job->send_jobs, parcels->count, send_parcel, parcels, job->options->cancel, err);
}

/* How many of the blobs the destination does not have (any more). */
static int count_missing(struct parcels *parcels, size_t *ret, struct oci_error *err)
{
	struct pack_job *job = parcels->job;

	if (oci_workers_run(job->jobs, parcels->count, pack_ask_parcel, parcels, job->options->cancel, err) < 0)
		return -1;
	*ret = 0;
	for (size_t i = 0; i < parcels->count; i++)
		*ret += !parcels->items[i].there;
	return 0;
}

/* Each file was read whole; together they are the model only if none was replaced meanwhile. */
static int check_files(const struct pack_job *job, struct oci_error *err)
{
	for (size_t i = 0; i < job->dir.count; i++) {
		oci_autoclose int fd = oci_dir_open_file(&job->dir, i, err);

		if (fd < 0)
			return -1;
	}
	return 0;
}

static int write_documents(struct pack_job *job, struct oci_error *err)
{
	if (check_files(job, err) < 0)
		return -1;
	for (size_t i = 0; i < job->documents.count; i++) {
		const struct oci_document *document = &job->documents.items[i];

		if (oci_store_write(job->target, &document->descriptor, document->bytes.data,
			    document->bytes.len, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
	}
	return 0;
}

/* Refused as a registry refuses a manifest whose blobs it does not know. */
static bool may_lack_blobs(const struct oci_error *failure)
{
	return failure->http == 400 || failure->http == 404;
}

/* 1: written; 0: *missing blobs must be sent again first. */
static int finish(struct parcels *parcels, bool ask_first, size_t *missing, struct oci_error *err)
{
	struct oci_error failure = {0};

	*missing = 0;
	if (ask_first && count_missing(parcels, missing, err) < 0)
		return -1;
	if (*missing > 0)
		return 0;
	if (write_documents(parcels->job, &failure) == 0)
		return 1;
	if (may_lack_blobs(&failure) && count_missing(parcels, missing, err) < 0)
		return -1;
	if (*missing > 0)
		return 0;
	if (err && !err->code)
		*err = failure;
	return -1;
}

int pack_publish(struct parcels *parcels, struct oci_error *err)
{
	const struct pack_job *job = parcels->job;

	for (int round = 0; round < ROUNDS_MAX; round++) {
		uint64_t start_ms = round == 0 && job->ahead_ms ? job->ahead_ms : oci_clock_ms();
		size_t missing;

		if (send_missing(parcels, err) < 0)
			return -1;
		int rc = finish(parcels, oci_clock_ms() - start_ms >= LONG_MS, &missing, err);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
		oci_event_note(job->options->observer, "the registry has lost %zu blobs that it had; sending them again", missing);
	}
	oci_fail(err, OCI_E_NETWORK, "the registry keeps losing blobs while they are sent; use --checkpoint-tag");
	return oci_fail_side(err, OCI_SIDE_DEST);
}
