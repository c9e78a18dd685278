#include "store/store.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "store/pump.h"
#include "stream/verify.h"

void oci_store_close(struct oci_store *s)
{
	if (s)
		s->ops->close(s);
}

void oci_store_cleanup(struct oci_store **s)
{
	oci_store_close(*s);
	*s = NULL;
}

int oci_store_exists(struct oci_store *s, const struct oci_descriptor *d, bool *ret, struct oci_error *err)
{
	return s->ops->exists(s, d, ret, err);
}

int oci_store_resolve(struct oci_store *s, const char *name, struct oci_descriptor *ret,
	struct oci_error *err)
{
	return s->ops->resolve(s, name ? name : "latest", ret, err);
}

int oci_store_tag(struct oci_store *s, const struct oci_descriptor *d, const char *tag, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];

	if (!oci_reference_tag_ok(tag))
		return oci_fail(err, OCI_E_USAGE, "'%s' is not a tag", oci_str_escape(tag, shown));
	return s->ops->tag(s, d, tag, err);
}

int oci_store_finish(struct oci_store *s, struct oci_error *err)
{
	return s->ops->finish(s, err);
}

struct oci_reader *oci_store_fetch(struct oci_store *s, const struct oci_descriptor *d, struct oci_error *err)
{
	struct oci_reader *bytes = s->ops->open(s, d, 0, d->size_bytes, err);

	return bytes ? oci_verify_reader_take(bytes, d, err) : NULL;
}

static int read_once(struct oci_store *s, const struct oci_descriptor *d, struct oci_buf *out,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = oci_store_fetch(s, d, err);

	return reader ? oci_reader_slurp(reader, out, err) : -1;
}

int oci_store_read(struct oci_store *s, const struct oci_descriptor *d, struct oci_buf *out,
	struct oci_error *err)
{
	struct oci_error first = {0};
	size_t before = out->len;
	char text[OCI_DIGEST_TEXT_MAX];

	if (d->size_bytes > out->max - out->len)
		return oci_fail(err, OCI_E_FORMAT,
			"blob '%s' of %" PRIu64 " bytes is larger than what is allowed here",
			oci_digest_format(&d->digest, text), d->size_bytes);
	if (read_once(s, d, out, &first) == 0)
		return 0;
	if (first.code == OCI_E_DIGEST) { /* bytes may change on the way: once more */
		out->len = before;
		return read_once(s, d, out, err);
	}
	if (err)
		*err = first;
	return -1;
}

struct oci_sink *oci_store_begin(struct oci_store *s, const struct oci_descriptor *want,
	struct oci_error *err)
{
	return s->ops->begin(s, want, err);
}

int oci_sink_write(struct oci_sink *sink, const void *data, size_t len, struct oci_error *err)
{
	return sink->ops->write(sink, data, len, err);
}

int oci_sink_commit(struct oci_sink *sink, const struct oci_digest *digest, struct oci_error *err)
{
	return sink->ops->commit(sink, digest, err);
}

void oci_sink_abort(struct oci_sink *sink)
{
	if (sink)
		sink->ops->abort(sink);
}

int oci_store_preflight(struct oci_store *s, const struct oci_store_load *load, struct oci_error *err)
{
	return s->ops->preflight ? s->ops->preflight(s, load, err) : 0;
}

int oci_store_put(struct oci_store *s, const struct oci_descriptor *d, const struct oci_content *content,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_error *err)
{
	return (s->ops->put ? s->ops->put : oci_store_pump)(s, d, content, observer, cancel, err);
}

struct memory {
	const unsigned char *data;
	size_t len;
};

static struct oci_reader *open_memory(void *ctx, uint64_t offset, struct oci_error *err)
{
	const struct memory *m = ctx;

	return oci_reader_memory(m->data + offset, m->len - offset, err);
}

int oci_store_write(struct oci_store *s, const struct oci_descriptor *d, const void *data, size_t len,
	struct oci_error *err)
{
	struct memory memory = {data, len};
	struct oci_content content = {open_memory, &memory};
	bool exists = false;

	if (oci_store_exists(s, d, &exists, err) < 0)
		return -1;
	return exists ? 0 : oci_store_put(s, d, &content, NULL, NULL, err);
}
