/* The bytes of a planned layer, and what is learned from them on their way:
 * its digest and checkpoints, and the digests of files that share a layer or are
 * small. */
#include "engine/pack_job.h"

#include <stdlib.h>

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

/* Pieces come in order; after a cut some come again. */
static void hash_piece(void *ctx, size_t file, uint64_t offset, const void *data, size_t len)
{
	struct pack_source *source = ctx;
	const struct oci_plan_layer *layer = &source->job->plan.layers[source->layer];
	struct oci_digest *digest = &source->job->digests[dir_number(source, file)];

	if (!wants_digest(source->job, layer, file) || digest->alg)
		return;
	if (offset == 0) {
		oci_hash_init(&source->hash, OCI_SHA256);
		source->hashed_bytes = 0;
	}
	if (offset + len <= source->hashed_bytes)
		return;
	size_t fresh = (size_t)(offset + len - source->hashed_bytes);
	oci_digest_pool_update(&source->job->scan.pool, &source->hash, (const char *)data + (len - fresh), fresh);
	source->hashed_bytes += fresh;
	if (source->hashed_bytes == layer->shape.files[file].size_bytes)
		oci_hash_final(&source->hash, digest);
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

/* Content that hashes itself. */
struct taping {
	struct oci_reader base;
	struct oci_reader *inner;
	struct oci_block_index_tape *tape;
	uint64_t position;
};

static ssize_t taping_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct taping *r = (struct taping *)base;
	ssize_t n = oci_reader_read(r->inner, data, size, err);

	if (n <= 0)
		return n;
	r->position += (uint64_t)n;
	if (r->position > r->tape->done) {
		size_t fresh = (size_t)(r->position - r->tape->done);

		if (oci_block_index_tape_update(r->tape, (char *)data + ((size_t)n - fresh), fresh, err) < 0)
			return -1;
	}
	return n;
}

static void taping_close(struct oci_reader *base)
{
	struct taping *r = (struct taping *)base;

	oci_reader_close(r->inner);
	free(r);
}

static struct oci_reader *open_taping(void *ctx, uint64_t offset, struct oci_error *err)
{
	static const struct oci_reader_ops ops = {taping_read, taping_close};
	struct pack_source *source = ctx;
	struct oci_block_index_tape *tape = &source->job->layers[source->layer].tape;
	struct taping *r = NULL;

	if (offset > tape->done) {
		oci_fail(err, OCI_E_BUG, "a layer is hashed from its beginning");
		return NULL;
	}
	r = calloc(1, sizeof *r);
	if (!r) {
		oci_fail_nomem(err);
		return NULL;
	}
	*r = (struct taping){.base.ops = &ops, .tape = tape, .position = offset};
	r->inner = pack_layer_reader(source, offset, err);
	if (r->inner)
		return &r->base;
	free(r);
	return NULL;
}

static int taped_digest(void *ctx, struct oci_digest *ret, struct oci_error *err)
{
	const struct pack_source *source = ctx;
	struct pack_layer *layer = &source->job->layers[source->layer];

	if (layer->tape.done != source->job->plan.layers[source->layer].size_bytes)
		return oci_fail(err, OCI_E_BUG, "the digest of a layer before its end");
	if (!layer->digest.alg) {
		oci_block_index_tape_final(&layer->tape, &layer->digest);
		pack_remember(source->job, source->layer); /* before the destination may have it */
	}
	*ret = layer->digest;
	return 0;
}

struct oci_content pack_taping_content(struct pack_source *source)
{
	struct pack_layer *layer = &source->job->layers[source->layer];

	oci_block_index_tape_init(&layer->tape, source->job->plan.layers[source->layer].start);
	layer->tape.pool = &source->job->scan.pool;
	return (struct oci_content){
		.open = open_taping, .digest = taped_digest, .identity = &layer->identity, .ctx = source};
}
