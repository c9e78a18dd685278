#include "engine/pack_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/mediatype.h"
#include "engine/pack_job.h"
#include "store/blob.h"
#include "store/ops.h"

struct pack_store {
	struct oci_store base;
	struct pack_job job;
};

static int refuse_write(struct oci_error *err)
{
	return oci_fail(err, OCI_E_UNSUPPORTED, "a plain directory is only read as an image");
}

/* what it holds */

static const struct oci_document *find_document(const struct pack_job *job, const struct oci_digest *digest)
{
	for (size_t i = 0; i < job->documents.count; i++)
		if (oci_digest_equal(&job->documents.items[i].descriptor.digest, digest))
			return &job->documents.items[i];
	return NULL;
}

/* The number of the layer, the index layer last; own_count: there is none. */
static size_t find_layer(const struct pack_job *job, const struct oci_digest *digest)
{
	size_t i = 0;

	while (i < job->own_count && !oci_digest_equal(&job->own[i].descriptor.digest, digest))
		i++;
	return i;
}

static int store_exists(struct oci_store *base, const struct oci_descriptor *d, bool *ret, struct oci_error *err)
{
	const struct pack_job *job = &((struct pack_store *)base)->job;
	const struct oci_document *document = find_document(job, &d->digest);
	size_t layer = find_layer(job, &d->digest);

	*ret = document ? document->descriptor.size_bytes == d->size_bytes
		: layer < job->own_count && job->own[layer].descriptor.size_bytes == d->size_bytes;
	return 0;
}

/* a part of a layer, from the files */

struct extent {
	struct oci_reader base;
	struct pack_source source;
	struct oci_reader *layer;
	uint64_t left;
};

static ssize_t extent_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct extent *r = (struct extent *)base;
	ssize_t n;

	if (r->left == 0)
		return 0;
	n = oci_reader_read(r->layer, data, size < r->left ? size : (size_t)r->left, err);
	if (n > 0)
		r->left -= (uint64_t)n;
	return n;
}

static void extent_close(struct oci_reader *base)
{
	struct extent *r = (struct extent *)base;

	oci_reader_close(r->layer);
	free(r);
}

static struct oci_reader *open_layer(struct pack_job *job, size_t layer, uint64_t offset, uint64_t length,
	struct oci_error *err)
{
	static const struct oci_reader_ops ops = {extent_read, extent_close};
	oci_autofree struct extent *r = calloc(1, sizeof *r);

	if (!r) {
		oci_fail_nomem(err);
		return NULL;
	}
	*r = (struct extent){.base.ops = &ops, .source = {.job = job, .layer = layer}, .left = length};
	r->layer = pack_layer_reader(&r->source, offset, err);
	return r->layer ? &oci_steal(&r)->base : NULL;
}

static struct oci_reader *open_memory(const struct oci_buf *bytes, const struct oci_descriptor *d, uint64_t offset,
	uint64_t length, struct oci_error *err)
{
	if (oci_blob_check_size(d, bytes->len, err) < 0)
		return NULL;
	return oci_reader_memory((const char *)bytes->data + offset, length, err);
}

static struct oci_reader *store_open(struct oci_store *base, const struct oci_descriptor *d, uint64_t offset,
	uint64_t length, struct oci_error *err)
{
	struct pack_job *job = &((struct pack_store *)base)->job;
	const struct oci_document *document = find_document(job, &d->digest);
	size_t layer = find_layer(job, &d->digest);

	if (oci_blob_check_range(d, offset, length, err) < 0)
		return NULL;
	if (document)
		return open_memory(&document->bytes, d, offset, length, err);
	if (layer == job->own_count) {
		oci_blob_fail_missing(&d->digest, err);
		return NULL;
	}
	if (layer == job->plan.count)
		return open_memory(&job->index_bytes, d, offset, length, err);
	if (oci_blob_check_size(d, job->plan.layers[layer].size_bytes, err) < 0)
		return NULL;
	return open_layer(job, layer, offset, length, err);
}

/* its name */

static int store_resolve(struct oci_store *base, const char *name, struct oci_descriptor *ret, struct oci_error *err)
{
	const struct pack_job *job = &((struct pack_store *)base)->job;
	const struct oci_descriptor *root = &job->documents.items[job->documents.count - 1].descriptor;
	const struct oci_document *document;
	struct oci_digest digest;
	char text[OCI_DIGEST_TEXT_MAX];

	if (strcmp(name, "latest") == 0)
		return oci_descriptor_copy(ret, root, err);
	if (oci_digest_parse(name, &digest, NULL) < 0)
		return oci_fail(err, OCI_E_NOT_FOUND, "a plain directory has no tag '%s'", name);
	document = find_document(job, &digest);
	if (document)
		return oci_descriptor_copy(ret, &document->descriptor, err);
	return oci_fail(err, OCI_E_SOURCE, "'%s' is not %s: its files make %s", job->options->source, name,
		oci_digest_format(&root->digest, text));
}

/* What the cache knew of these files was wrong. */
static void store_distrust(struct oci_store *base, const struct oci_descriptor *d)
{
	const struct pack_job *job = &((struct pack_store *)base)->job;
	size_t layer = find_layer(job, &d->digest);

	if (layer < job->plan.count)
		oci_layer_cache_forget(&job->cache, &job->layers[layer].identity);
}

/* writing */

static struct oci_sink *store_begin(struct oci_store *base, const struct oci_descriptor *want, struct oci_error *err)
{
	refuse_write(err);
	return NULL;
}

static int store_tag(struct oci_store *base, const struct oci_descriptor *d, const char *tag, struct oci_error *err)
{
	return refuse_write(err);
}

static int store_finish(struct oci_store *base, struct oci_error *err)
{
	return 0;
}

static void store_close(struct oci_store *base)
{
	struct pack_store *s = (struct pack_store *)base;

	pack_job_clear(&s->job);
	free(s);
}

static const struct oci_store_ops store_ops = {
	.kind = "directory",
	.exists = store_exists,
	.open = store_open,
	.begin = store_begin,
	.resolve = store_resolve,
	.tag = store_tag,
	.finish = store_finish,
	.distrust = store_distrust,
	.close = store_close,
};

struct oci_store *oci_pack_store(const struct oci_pack_options *options, struct oci_error *err)
{
	struct pack_store *s = calloc(1, sizeof *s);

	if (!s) {
		oci_fail_nomem(err);
		return NULL;
	}
	s->base.ops = &store_ops;
	pack_job_init(&s->job, options);
	if (pack_begin(&s->job, err) == 0 && pack_hash(&s->job, err) == 0 && pack_describe(&s->job, err) == 0)
		return &s->base;
	store_close(&s->base);
	return NULL;
}

const struct oci_dir *oci_pack_store_dir(const struct oci_store *store)
{
	return &((const struct pack_store *)store)->job.dir;
}

int oci_pack_store_check(const struct oci_store *store, struct oci_error *err)
{
	const struct pack_job *job = &((const struct pack_store *)store)->job;
	struct oci_dir now = {0};
	int rc;

	if (oci_dir_scan(job->options->source, &job->options->dir, &now, err) < 0)
		return -1;
	rc = oci_dir_compare(&job->dir, &now, err);
	oci_dir_clear(&now);
	return rc;
}

static int compare_path(const void *path, const void *file)
{
	return strcmp(path, ((const struct oci_dir_file *)file)->path);
}

int oci_pack_store_open_file(const struct oci_store *store, const char *path, struct oci_error *err)
{
	const struct oci_dir *dir = oci_pack_store_dir(store);
	const struct oci_dir_file *file = bsearch(path, dir->files, dir->count, sizeof *dir->files, compare_path);

	if (!file)
		return oci_fail(err, OCI_E_NOT_FOUND, "no file '%s'", path);
	return oci_dir_open_file(dir, (size_t)(file - dir->files), err);
}
