/* Second pass: ask the destination, send what it lacks, tag. */
#include "engine/pack_parcel.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static bool listed(const struct parcels *parcels, const struct oci_digest *digest)
{
	for (size_t i = 0; i < parcels->count; i++)
		if (oci_digest_equal(&parcels->items[i].descriptor->digest, digest))
			return true;
	return false;
}

static void add_base_parcels(struct parcels *parcels, const struct oci_base_platform *platform)
{
	for (size_t i = 0; i < platform->count; i++)
		if (!listed(parcels, &platform->layers[i].descriptor.digest))
			parcels->items[parcels->count++] =
				(struct parcel){.descriptor = &platform->layers[i].descriptor,
					.kind = BASE,
					.title = platform->layers[i].history,
					.file_kind = "base"};
}

static int list_parcels(struct pack_job *job, struct parcels *parcels, struct oci_error *err)
{
	size_t room = job->own_count;

	for (size_t p = 0; p < job->base.count; p++)
		room += job->base.platforms[p].count;
	parcels->items = calloc(room + 1, sizeof *parcels->items);
	if (!parcels->items)
		return oci_fail_nomem(err);
	for (size_t p = 0; p < job->base.count; p++)
		add_base_parcels(parcels, &job->base.platforms[p]);
	for (size_t i = 0; i < job->own_count; i++) {
		bool index = i == job->plan.count;

		if (!listed(parcels, &job->own[i].descriptor.digest))
			parcels->items[parcels->count++] = (struct parcel){.descriptor = &job->own[i].descriptor,
				.sent = !index && job->layers[i].sent,
				.kind = index ? INDEX : PLANNED,
				.plan_layer = i,
				.title = index ? "index" : job->layers[i].title,
				.file_kind = index ? "index" : oci_file_kind_name(job->own[i].kind)};
	}
	return 0;
}

/* A tag at the destination: free, ours already, or somebody's. */
static int check_tag(struct pack_job *job, const char *tag, const struct oci_descriptor *root, bool *same,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor found = {0};
	struct oci_error failure = {0};
	char text[OCI_DIGEST_TEXT_MAX];

	*same = false;
	if (!job->target)
		return 0;
	if (oci_store_resolve(job->target, tag, &found, &failure) < 0) {
		if (failure.code == OCI_E_NOT_FOUND)
			return 0;
		if (err)
			*err = failure;
		return -1;
	}
	*same = oci_digest_equal(&found.digest, &root->digest);
	if (*same || job->options->force)
		return 0;
	return oci_fail(err, OCI_E_EXISTS,
		"tag '%s' exists with other content (%s); choose another tag or replace it with --force", tag,
		oci_digest_format(&found.digest, text));
}

static const struct oci_document *root_document(const struct pack_job *job)
{
	return &job->documents.items[job->documents.count - 1];
}

/* Calls `each` for every tag and the document that it names. */
typedef int (*tag_fn)(struct pack_job *job, const char *tag, const struct oci_descriptor *d, void *ctx,
	struct oci_error *err);

static int with_tag(struct pack_job *job, const char *tag, tag_fn each, void *ctx, struct oci_error *err)
{
	oci_autofree char *second = NULL;

	if (each(job, tag, &root_document(job)->descriptor, ctx, err) < 0)
		return -1;
	if (!job->options->modelpack || !job->documents.modelpack)
		return 0;
	second = oci_str_printf("%s-modelpack", tag);
	if (!second)
		return oci_fail_nomem(err);
	return each(job, second, &job->documents.items[job->documents.modelpack - 1].descriptor, ctx, err);
}

static int for_each_tag(struct pack_job *job, tag_fn each, void *ctx, struct oci_error *err)
{
	const struct oci_strings *more = job->options->tags;

	if (with_tag(job, job->options->target->tag, each, ctx, err) < 0)
		return -1;
	for (size_t i = 0; more && i < more->count; i++)
		if (with_tag(job, more->items[i], each, ctx, err) < 0)
			return -1;
	return 0;
}

static int check_one(struct pack_job *job, const char *tag, const struct oci_descriptor *d, void *ctx,
	struct oci_error *err)
{
	bool *unchanged = ctx, same;

	if (check_tag(job, tag, d, &same, err) < 0)
		return -1;
	*unchanged = *unchanged && same;
	return 0;
}

static int tag_one(struct pack_job *job, const char *tag, const struct oci_descriptor *d, void *ctx,
	struct oci_error *err)
{
	return oci_store_tag(job->target, d, tag, err);
}

/* An archive is written whole: one that exists is kept unless it is the same. */
static int check_archive(struct pack_job *job, struct oci_error *err)
{
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *old = NULL;
	const struct oci_reference *target = job->options->target;

	if (target->transport != OCI_TRANSPORT_ARCHIVE || job->options->force)
		return 0;
	old = oci_store_open(target, OCI_STORE_READ, job->options->store, NULL);
	if (!old)
		return 0;
	return oci_fail(err, OCI_E_EXISTS, "'%s' exists with other content; remove it or replace it with --force",
		target->path);
}

static int publish(struct pack_job *job, struct parcels *parcels, struct oci_error *err)
{
	if (pack_publish(parcels, err) < 0)
		return -1;
	oci_event_phase(job->options->observer, "tag", 0, 0);
	if (for_each_tag(job, tag_one, NULL, err) < 0 || oci_store_finish(job->target, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	pack_keep_end(job);
	return 0;
}

static int report_layers(const struct parcels *parcels, struct oci_pack_report *report, struct oci_error *err)
{
	report->layers = calloc(parcels->count + 1, sizeof *report->layers);
	if (!report->layers)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < parcels->count; i++) {
		const struct parcel *parcel = &parcels->items[i];
		struct oci_pack_layer *layer = &report->layers[report->layer_count++];

		*layer = (struct oci_pack_layer){.digest = parcel->descriptor->digest,
			.size_bytes = parcel->descriptor->size_bytes,
			.kind = parcel->file_kind,
			.state = parcel->state};
		*(parcel->state == OCI_PACK_NEW ? &report->bytes_new : &report->bytes_shared) +=
			layer->size_bytes;
		if (oci_str_set(&layer->title, parcel->title, err) < 0)
			return -1;
	}
	return 0;
}

/* What the documents add: few bytes, but a new tag on known content has none. */
static int ask_documents(struct pack_job *job, struct oci_pack_report *report, struct oci_error *err)
{
	for (size_t i = 0; i < job->documents.count; i++) {
		const struct oci_descriptor *d = &job->documents.items[i].descriptor;
		bool there = false;

		if (job->target && oci_store_exists(job->target, d, &there, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
		*(there ? &report->bytes_shared : &report->bytes_new) += d->size_bytes;
	}
	return 0;
}

static int fill_report(struct pack_job *job, struct oci_pack_report *report, struct oci_error *err)
{
	if (oci_descriptor_copy(&report->root, &root_document(job)->descriptor, err) < 0)
		return -1;
	if (job->documents.modelpack &&
		oci_descriptor_copy(&report->modelpack,
			&job->documents.items[job->documents.modelpack - 1].descriptor, err) < 0)
		return -1;
	return 0;
}

static void parcels_clear(struct parcels *parcels)
{
	free(parcels->items);
}

static int ask_parcel(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct parcels *parcels = worker->ctx;

	parcels->items[item].there = parcels->items[item].sent;
	return parcels->items[item].sent ? 0 : pack_ask_parcel(worker, item, err);
}

/* What is there already, and what that means for the report and for the place. */
static int ask(struct parcels *parcels, struct oci_pack_report *report, struct oci_error *err)
{
	struct pack_job *job = parcels->job;
	struct oci_store_load load = {.observer = job->options->observer};

	oci_event_phase(job->options->observer, "ask", 0, parcels->count);
	if (oci_workers_run(job->jobs, parcels->count, ask_parcel, parcels, job->options->cancel, err) < 0)
		return -1;
	for (size_t i = 0; i < parcels->count; i++) {
		struct parcel *parcel = &parcels->items[i];
		uint64_t size_bytes = parcel->descriptor->size_bytes;

		parcel->state = parcel->there && !parcel->sent ? OCI_PACK_SHARED : OCI_PACK_NEW;
		if (parcel->state == OCI_PACK_SHARED)
			pack_keep_add(job, parcel->descriptor, false);
		if (!parcel->there && size_bytes > load.largest_bytes)
			load.largest_bytes = size_bytes;
	}
	load.layer_count = parcels->count;
	if (ask_documents(job, report, err) < 0)
		return -1;
	return job->target ? oci_store_preflight(job->target, &load, err) : 0;
}

int pack_send(struct pack_job *job, struct oci_pack_report *report, struct oci_error *err)
{
	OCI_CLEANUP(parcels_clear) struct parcels parcels = {.job = job};
	bool unchanged = job->target != NULL;

	if (for_each_tag(job, check_one, &unchanged, err) < 0)
		return -1;
	if (!unchanged && (check_archive(job, err) < 0 || pack_keep_check(job, err) < 0))
		return -1;
	if (list_parcels(job, &parcels, err) < 0 || ask(&parcels, report, err) < 0)
		return -1;
	report->unchanged = unchanged;
	if (unchanged && !job->options->dry_run && pack_keep_check(job, NULL) == 0)
		pack_keep_end(job); /* of a run that was killed when all was there */
	if (!unchanged && !job->options->dry_run && publish(job, &parcels, err) < 0)
		return -1;
	if (report_layers(&parcels, report, err) < 0)
		return -1;
	return fill_report(job, report, err);
}
