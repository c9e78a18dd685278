#include "engine/verify.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/workers.h"
#include "engine/image.h"
#include "engine/scan.h"
#include "store/ops.h"

#define DEPTH_MAX 4

struct blob {
	struct oci_descriptor descriptor;
	bool has_index;               /* described by indexes[index] */
	size_t index;
};

struct checking {
	struct oci_store *store;
	const struct oci_observer *observer;
	struct oci_scan scan;
	struct blob *blobs;
	size_t count;
	struct oci_block_index *indexes;
	size_t index_count;
	size_t documents;
};

static int add_blob(struct checking *c, const struct oci_descriptor *d, const size_t *index, struct oci_error *err)
{
	struct blob *grown;

	for (size_t i = 0; i < c->count; i++)
		if (oci_digest_equal(&c->blobs[i].descriptor.digest, &d->digest)) {
			if (index && !c->blobs[i].has_index) {
				c->blobs[i].has_index = true;
				c->blobs[i].index = *index;
			}
			return 0;
		}
	grown = reallocarray(c->blobs, c->count + 1, sizeof *grown);
	if (!grown)
		return oci_fail_nomem(err);
	c->blobs = grown;
	grown[c->count] = (struct blob){.has_index = index != NULL, .index = index ? *index : 0};
	if (oci_descriptor_copy(&grown[c->count].descriptor, d, err) < 0)
		return -1;
	c->count++;
	return 0;
}

static int read_index(struct checking *c, const struct oci_descriptor *d, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_block_index *grown = reallocarray(c->indexes, c->index_count + 1, sizeof *grown);

	if (!grown)
		return oci_fail_nomem(err);
	c->indexes = grown;
	grown[c->index_count] = (struct oci_block_index){0};
	oci_buf_init(&buf, OCI_BLOCK_INDEX_MAX);
	if (oci_store_read(c->store, d, &buf, err) < 0 ||
		oci_block_index_parse(buf.data, buf.len, &grown[c->index_count], err) < 0)
		return -1;
	c->index_count++;
	return 0;
}

static int add_manifest(struct checking *c, const struct oci_manifest *m, struct oci_error *err)
{
	const struct oci_descriptor *last = m->layer_count ? &m->layers[m->layer_count - 1] : NULL;
	bool indexed = last && oci_block_index_is(last);
	size_t number = c->index_count;

	if (indexed && read_index(c, last, err) < 0)
		return -1;
	if (add_blob(c, &m->config, NULL, err) < 0)
		return -1;
	for (size_t i = 0; i < m->layer_count; i++) {
		bool described = indexed && oci_block_index_find(&c->indexes[number], &m->layers[i].digest);

		if (add_blob(c, &m->layers[i], described ? &number : NULL, err) < 0)
			return -1;
	}
	return 0;
}

static int collect(struct checking *c, const struct oci_descriptor *d, unsigned depth, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};

	if (depth > DEPTH_MAX)
		return oci_fail(err, OCI_E_FORMAT, "indexes are nested more than %d deep", DEPTH_MAX);
	if (oci_image_read_manifest(c->store, d, &m, err) < 0)
		return -1;
	c->documents++;
	if (!m.is_index)
		return add_manifest(c, &m, err);
	for (size_t i = 0; i < m.manifest_count; i++)
		if (collect(c, &m.manifests[i], depth + 1, err) < 0)
			return -1;
	return 0;
}

/* The checkpoints that the index has of the blob are those that were found on the way. */
static int check_chains(const struct oci_block_index *index, const struct oci_block_index_layer *layer,
	const struct oci_block_index_tape *tape, struct oci_error *err)
{
	uint64_t blocks = oci_block_index_blocks(layer->size_bytes, layer->start);
	const unsigned char *want = index->chains + layer->first * OCI_CHAIN_BYTES;

	if (tape->chains.len == blocks * OCI_CHAIN_BYTES && memcmp(tape->chains.data, want, tape->chains.len) == 0)
		return 0;
	return oci_fail(err, OCI_E_FORMAT, "is right but its checkpoints are not");
}

/* Read to its end, hashed once: for its digest and its checkpoints. */
static int read_through(struct checking *c, const struct oci_worker *worker, const struct oci_descriptor *d,
	struct oci_block_index_tape *tape, struct oci_error *err)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader =
		c->store->ops->open(c->store, d, 0, d->size_bytes, err);
	char text[OCI_DIGEST_TEXT_MAX];
	struct oci_digest digest;

	if (!reader || oci_scan_stream(&c->scan, worker, reader, tape, err) < 0)
		return -1;
	if (tape->done != d->size_bytes)
		return oci_fail(err, OCI_E_DIGEST, "ended after %llu of %llu bytes", (unsigned long long)tape->done,
			(unsigned long long)d->size_bytes);
	oci_block_index_tape_final(tape, &digest);
	if (oci_digest_equal(&digest, &d->digest))
		return 0;
	oci_store_distrust(c->store, d);
	return oci_fail(err, OCI_E_DIGEST, "hashes to '%s'", oci_digest_format(&digest, text));
}

static int check_blob(struct oci_worker *worker, size_t i, struct oci_error *err)
{
	struct checking *c = worker->ctx;
	const struct blob *blob = &c->blobs[i];
	const struct oci_block_index *index = blob->has_index ? &c->indexes[blob->index] : NULL;
	const struct oci_block_index_layer *layer = index ? oci_block_index_find(index, &blob->descriptor.digest) : NULL;
	OCI_CLEANUP(oci_block_index_tape_clear) struct oci_block_index_tape tape;
	char text[OCI_DIGEST_TEXT_MAX];

	oci_digest_format(&blob->descriptor.digest, text);
	oci_block_index_tape_init(&tape, layer ? layer->start : OCI_BLOCK_INDEX_NO_START);
	oci_hash_init(&tape.hash, blob->descriptor.digest.alg);
	if (read_through(c, worker, &blob->descriptor, &tape, err) < 0 ||
		(layer && check_chains(index, layer, &tape, err) < 0))
		return oci_wrap(err, "blob %s", text);
	oci_event_done(c->observer, text, blob->descriptor.size_bytes, "verified");
	return 0;
}

static void clear(struct checking *c)
{
	for (size_t i = 0; i < c->count; i++)
		oci_descriptor_clear(&c->blobs[i].descriptor);
	for (size_t i = 0; i < c->index_count; i++)
		oci_block_index_clear(&c->indexes[i]);
	free(c->blobs);
	free(c->indexes);
	oci_scan_clear(&c->scan);
}

int oci_verify_image(struct oci_store *store, const char *name, unsigned jobs, const struct oci_observer *observer,
	const atomic_int *cancel, struct oci_verify_report *ret, struct oci_error *err)
{
	OCI_CLEANUP(clear) struct checking c = {.store = store, .observer = observer};
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor root = {0};
	uint64_t total = 0;

	oci_scan_init(&c.scan, jobs, observer);
	if (oci_store_resolve(store, name, &root, err) < 0 || collect(&c, &root, 0, err) < 0)
		return -1;
	for (size_t i = 0; i < c.count; i++)
		total += c.blobs[i].descriptor.size_bytes;
	oci_event_phase(observer, "verify", total, c.count);
	if (oci_workers_run(c.scan.threads, c.count, check_blob, &c, cancel, err) < 0)
		return -1;
	ret->blob_count = c.count + c.documents;
	ret->bytes = total;
	return 0;
}
