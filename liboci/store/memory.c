#include <pthread.h>

#include "base/cleanup.h"
#include "store/blob.h"
#include "store/index.h"
#include "store/ops.h"

struct blob {
	struct blob *next;
	struct oci_digest digest;
	struct oci_buf bytes;
};

struct memory {
	struct oci_store base;
	pthread_mutex_t lock; /* guards the list and the index; a blob never changes */
	struct blob *blobs;
	struct oci_buf index;
};

struct memory_sink {
	struct oci_sink base;
	struct memory *memory;
	struct oci_tally tally;
	struct blob *blob;
};

static void blob_free(struct blob *blob)
{
	oci_buf_clear(&blob->bytes);
	free(blob);
}

static struct blob *find_blob(struct memory *m, const struct oci_digest *digest)
{
	struct blob *blob;

	pthread_mutex_lock(&m->lock);
	for (blob = m->blobs; blob; blob = blob->next)
		if (oci_digest_equal(&blob->digest, digest))
			break;
	pthread_mutex_unlock(&m->lock);
	return blob;
}

static int memory_exists(struct oci_store *s, const struct oci_descriptor *d, bool *ret,
	struct oci_error *err)
{
	const struct blob *blob = find_blob((struct memory *)s, &d->digest);

	*ret = blob && blob->bytes.len == d->size_bytes;
	return 0;
}

static struct oci_reader *memory_open(struct oci_store *s, const struct oci_descriptor *d, uint64_t offset,
	uint64_t length, struct oci_error *err)
{
	const struct blob *blob = find_blob((struct memory *)s, &d->digest);

	if (!blob) {
		oci_blob_fail_missing(&d->digest, err);
		return NULL;
	}
	if (oci_blob_check_size(d, blob->bytes.len, err) < 0 || oci_blob_check_range(d, offset, length,
		err) < 0)
		return NULL;
	return oci_reader_memory(oci_buf_text(&blob->bytes) + offset, length, err);
}

static void sink_abort(struct oci_sink *base)
{
	struct memory_sink *sink = (struct memory_sink *)base;

	if (sink->blob)
		blob_free(sink->blob);
	free(sink);
}

static int sink_write(struct oci_sink *base, const void *data, size_t len, struct oci_error *err)
{
	struct memory_sink *sink = (struct memory_sink *)base;

	if (oci_tally_add(&sink->tally, data, len, err) < 0)
		return -1;
	return oci_buf_append(&sink->blob->bytes, data, len, err);
}

static int sink_commit(struct oci_sink *base, const struct oci_digest *digest, struct oci_error *err)
{
	struct memory_sink *sink = (struct memory_sink *)base;
	struct memory *m = sink->memory;

	if (oci_tally_check(&sink->tally, digest, err) < 0) {
		sink_abort(base);
		return -1;
	}
	if (!find_blob(m, digest)) {
		struct blob *blob = oci_steal(&sink->blob);

		blob->digest = *digest;
		pthread_mutex_lock(&m->lock);
		blob->next = m->blobs;
		m->blobs = blob;
		pthread_mutex_unlock(&m->lock);
	}
	sink_abort(base);
	return 0;
}

static void sink_trust(struct oci_sink *base)
{
	oci_tally_trust(&((struct memory_sink *)base)->tally);
}

static const struct oci_sink_ops sink_ops = {
	.write = sink_write,
	.commit = sink_commit,
	.abort = sink_abort,
	.trust = sink_trust,
};

static struct oci_sink *memory_begin(struct oci_store *s, const struct oci_descriptor *want,
	struct oci_error *err)
{
	oci_autofree struct memory_sink *sink = calloc(1, sizeof *sink);
	struct blob *blob = calloc(1, sizeof *blob);

	if (!sink || !blob) {
		free(blob);
		oci_fail_nomem(err);
		return NULL;
	}
	oci_buf_init(&blob->bytes, want->size_bytes);
	oci_tally_start(&sink->tally, want);
	sink->base.ops = &sink_ops;
	sink->memory = (struct memory *)s;
	sink->blob = blob;
	return &oci_steal(&sink)->base;
}

static int size_of(struct oci_store *s, const struct oci_digest *digest, uint64_t *ret, struct oci_error *err)
{
	const struct blob *blob = find_blob((struct memory *)s, digest);

	if (!blob)
		return oci_blob_fail_missing(digest, err);
	*ret = blob->bytes.len;
	return 0;
}

/* A copy of the index, so that no lock is held while it is read. */
static int copy_index(struct memory *m, struct oci_buf *ret, struct oci_error *err)
{
	int status;

	oci_buf_init(ret, OCI_INDEX_MAX);
	pthread_mutex_lock(&m->lock);
	status = oci_buf_append(ret, m->index.data, m->index.len, err);
	pthread_mutex_unlock(&m->lock);
	return status;
}

static int memory_resolve(struct oci_store *s, const char *name, struct oci_descriptor *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index;

	if (copy_index((struct memory *)s, &index, err) < 0)
		return -1;
	return oci_index_resolve(s, &index, name, size_of, ret, err);
}

/* `d` NULL: it is taken out. */
static int change_index(struct memory *m, const struct oci_descriptor *d, const char *tag, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index;
	int status;

	oci_buf_init(&index, OCI_INDEX_MAX);
	pthread_mutex_lock(&m->lock);
	status = oci_index_set(&m->index, d, tag, &index, err);
	if (status == 0) {
		struct oci_buf old = m->index;

		m->index = index;
		index = old;
	}
	pthread_mutex_unlock(&m->lock);
	return status;
}

static int memory_tag(struct oci_store *s, const struct oci_descriptor *d, const char *tag,
	struct oci_error *err)
{
	bool exists = false;

	if (memory_exists(s, d, &exists, err) < 0)
		return -1;
	return exists ? change_index((struct memory *)s, d, tag, err) : oci_blob_fail_missing(&d->digest, err);
}

static int memory_untag(struct oci_store *s, const struct oci_descriptor *d, const char *tag,
	struct oci_error *err)
{
	return change_index((struct memory *)s, NULL, tag, err);
}

static int memory_tags(struct oci_store *s, struct oci_strings *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index;

	if (copy_index((struct memory *)s, &index, err) < 0)
		return -1;
	return oci_index_tags(&index, ret, err);
}

static int memory_finish(struct oci_store *s, struct oci_error *err)
{
	return 0;
}

static void memory_close(struct oci_store *s)
{
	struct memory *m = (struct memory *)s;
	struct blob *next;

	for (struct blob *blob = m->blobs; blob; blob = next) {
		next = blob->next;
		blob_free(blob);
	}
	oci_buf_clear(&m->index);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static const struct oci_store_ops memory_ops = {
	.kind = "memory",
	.exists = memory_exists,
	.open = memory_open,
	.begin = memory_begin,
	.resolve = memory_resolve,
	.tag = memory_tag,
	.tags = memory_tags,
	.untag = memory_untag,
	.finish = memory_finish,
	.close = memory_close,
};

struct oci_store *oci_store_memory(struct oci_error *err)
{
	struct memory *m = calloc(1, sizeof *m);

	if (!m) {
		oci_fail_nomem(err);
		return NULL;
	}
	m->base.ops = &memory_ops;
	pthread_mutex_init(&m->lock, NULL);
	oci_buf_init(&m->index, OCI_INDEX_MAX);
	if (oci_buf_puts(&m->index, OCI_INDEX_EMPTY_TEXT, err) < 0) {
		memory_close(&m->base);
		return NULL;
	}
	return &m->base;
}
