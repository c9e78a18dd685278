/* A push of hours outlives the garbage collection of some registries, which
 * takes blobs that no manifest names. So finished ones get a manifest early. */
#include "engine/pack_job.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "core/manifest.h"
#include "core/mediatype.h"
#include "store/ops.h"

#define KEEP_TYPE "application/vnd.modelcar.checkpoint.v1"
#define KEEP_BYTES OCI_GIB          /* a blob of this size is worth a manifest of its own */
#define KEEP_MS (5 * 60 * 1000)

void pack_keep_init(struct pack_keep *keep)
{
	*keep = (struct pack_keep){.kept_ms = oci_clock_ms()};
	pthread_mutex_init(&keep->lock, NULL);
}

void pack_keep_clear(struct pack_keep *keep)
{
	pthread_mutex_destroy(&keep->lock);
	oci_descriptor_clear(&keep->manifest);
	for (size_t i = 0; i < keep->count; i++)
		oci_descriptor_clear(&keep->blobs[i]);
	free(keep->blobs);
}

static int note(struct pack_keep *keep, const struct oci_descriptor *d, struct oci_error *err)
{
	for (size_t i = 0; i < keep->count; i++)
		if (oci_digest_equal(&keep->blobs[i].digest, &d->digest))
			return 0;

	struct oci_descriptor *grown = reallocarray(keep->blobs, keep->count + 1, sizeof *grown);

	if (!grown)
		return oci_fail_nomem(err);
	keep->blobs = grown;
	grown[keep->count] = (struct oci_descriptor){0};
	if (oci_descriptor_copy(&grown[keep->count], d, err) < 0)
		return -1;
	keep->count++;
	return 0;
}

/* What the tag of an earlier run keeps, it keeps on: a manifest of what is not there would be refused. */
static int take_over(struct pack_job *job, const struct oci_manifest *manifest, struct oci_error *err)
{
	for (size_t i = 0; i < manifest->layer_count; i++) {
		bool there = false;

		if (oci_store_exists(job->target, &manifest->layers[i], &there, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
		if (there && note(&job->keep, &manifest->layers[i], err) < 0)
			return -1;
	}
	return 0;
}

int pack_keep_check(struct pack_job *job, struct oci_error *err)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor found = {0};
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest manifest = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	const char *tag = job->options->checkpoint_tag;
	struct oci_error failure = {0};

	oci_buf_init(&bytes, OCI_MANIFEST_MAX);
	if (!tag || !job->target || job->keep.manifest.digest.alg)
		return 0;
	if (oci_store_resolve(job->target, tag, &found, &failure) < 0) {
		if (failure.code == OCI_E_NOT_FOUND)
			return 0;
		if (err && !err->code)
			*err = failure;
		return oci_fail_side(err, OCI_SIDE_DEST);
	}
	if (oci_store_read(job->target, &found, &bytes, err) < 0 ||
		oci_manifest_parse(oci_buf_text(&bytes), bytes.len, found.media_type, &manifest, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	if (manifest.artifact_type && strcmp(manifest.artifact_type, KEEP_TYPE) == 0)
		return take_over(job, &manifest, err) < 0 ? -1 : oci_descriptor_copy(&job->keep.manifest, &found, err);
	return oci_fail(err, OCI_E_EXISTS, "tag '%s' is not a checkpoint of an upload; choose another --checkpoint-tag",
		tag);
}

static int set_descriptor(struct oci_descriptor *to, const char *media_type, const struct oci_digest *digest,
	uint64_t size_bytes, struct oci_error *err)
{
	to->digest = *digest;
	to->size_bytes = size_bytes;
	return oci_str_set(&to->media_type, media_type, err);
}

static int list_layers(const struct pack_keep *keep, struct oci_manifest *manifest, struct oci_error *err)
{
	for (size_t i = 0; i < keep->count; i++) {
		const struct oci_descriptor *d = &keep->blobs[i];
		struct oci_descriptor *layer = oci_manifest_add_layer(manifest, err);

		if (!layer || set_descriptor(layer, d->media_type, &d->digest, d->size_bytes, err) < 0)
			return -1;
	}
	return 0;
}

static int write_tag(struct pack_job *job, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest manifest = {0};
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor root = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	struct oci_digest empty;

	oci_buf_init(&bytes, OCI_MANIFEST_MAX);
	oci_digest_of(OCI_SHA256, "{}", 2, &empty);
	if (oci_str_set(&manifest.artifact_type, KEEP_TYPE, err) < 0 ||
		set_descriptor(&manifest.config, OCI_MT_EMPTY, &empty, 2, err) < 0 ||
		list_layers(&job->keep, &manifest, err) < 0 || oci_manifest_format(&manifest, &bytes, err) < 0 ||
		oci_descriptor_of(OCI_MT_MANIFEST, bytes.data, bytes.len, &root, err) < 0)
		return -1;
	if (oci_store_write(job->target, &manifest.config, "{}", 2, err) < 0 ||
		oci_store_write(job->target, &root, bytes.data, bytes.len, err) < 0 ||
		oci_store_tag(job->target, &root, job->options->checkpoint_tag, err) < 0)
		return -1;
	oci_descriptor_clear(&job->keep.manifest);
	job->keep.manifest = root;
	root = (struct oci_descriptor){0};
	return 0;
}

void pack_keep_add(struct pack_job *job, const struct oci_descriptor *d, bool fresh)
{
	const struct oci_pack_options *options = job->options;
	struct pack_keep *keep = &job->keep;
	struct oci_error failure = {0};

	if (!options->checkpoint_tag)
		return;
	pthread_mutex_lock(&keep->lock);
	int rc = note(keep, d, &failure);
	if (rc == 0 && fresh && (d->size_bytes >= KEEP_BYTES || oci_clock_ms() - keep->kept_ms >= KEEP_MS)) {
		keep->kept_ms = oci_clock_ms();
		rc = write_tag(job, &failure);
	}
	if (rc < 0)
		oci_event_warn(options->observer, "checkpoint tag '%s': %s", options->checkpoint_tag, failure.text);
	pthread_mutex_unlock(&keep->lock);
}

void pack_keep_end(struct pack_job *job)
{
	const struct oci_pack_options *options = job->options;
	struct oci_store *target = job->target;
	struct oci_error failure = {0};

	if (!job->keep.manifest.digest.alg || !target->ops->untag)
		return;
	if (target->ops->untag(target, &job->keep.manifest, options->checkpoint_tag, &failure) < 0)
		oci_event_note(options->observer, "the checkpoint tag '%s' stays: %s", options->checkpoint_tag,
			failure.text);
}
