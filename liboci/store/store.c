#include "store/ops.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

void oci_store_forsake(struct oci_store *s)
{
	if (s && s->ops->forsake)
		s->ops->forsake(s);
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

/* Some places answer to "latest" with whatever they have. */
static int check_latest(struct oci_store *s, const char *name, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0};

	if (strcmp(name, "latest") != 0 || !s->ops->tags)
		return 0;
	if (oci_store_tags(s, &tags, err) < 0)
		return -1;
	for (size_t i = 0; i < tags.count; i++)
		if (strcmp(tags.items[i], name) == 0 || oci_str_ends(tags.items[i], ":latest"))
			return 0;
	return oci_fail(err, OCI_E_NOT_FOUND, "no tag 'latest'");
}

int oci_store_peek(struct oci_store *s, const char *name, struct oci_digest *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
	bool known = false;

	if (s->ops->peek && s->ops->peek(s, name, ret, &known, err) < 0)
		return -1;
	if (known)
		return 0;
	if (check_latest(s, name, err) < 0 || oci_store_resolve(s, name, &d, err) < 0)
		return -1;
	*ret = d.digest;
	return 0;
}

int oci_store_untag(struct oci_store *s, const char *name, struct oci_error *err)
{
	if (!s->ops->untag)
		return oci_fail(err, OCI_E_UNSUPPORTED, "nothing can be removed from this kind of place");
	return s->ops->untag(s, NULL, name, err);
}

int oci_store_finish(struct oci_store *s, struct oci_error *err)
{
	return s->ops->finish(s, err);
}

struct oci_reader *oci_store_extent(struct oci_store *s, const struct oci_descriptor *d, uint64_t offset,
	uint64_t length, struct oci_error *err)
{
	return s->ops->open(s, d, offset, length, err);
}

void oci_store_distrust(struct oci_store *s, const struct oci_descriptor *d)
{
	if (s->ops->distrust)
		s->ops->distrust(s, d);
}

/* A verifying reader that tells the store what it finds. */
struct fetched {
	struct oci_reader base;
	struct oci_store *store;
	struct oci_descriptor d;
	struct oci_reader *verified;
};

static ssize_t fetched_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct fetched *f = (struct fetched *)base;
	struct oci_error why = {0};
	ssize_t n = oci_reader_read(f->verified, data, size, &why);

	if (n >= 0)
		return n;
	if (why.code == OCI_E_DIGEST)
		oci_store_distrust(f->store, &f->d);
	if (err && !err->code)
		*err = why;
	return -1;
}

static void fetched_close(struct oci_reader *base)
{
	struct fetched *f = (struct fetched *)base;

	oci_reader_close(f->verified);
	oci_descriptor_clear(&f->d);
	free(f);
}

static const struct oci_reader_ops fetched_ops = {.read = fetched_read, .close = fetched_close};

struct oci_reader *oci_store_fetch_along(struct oci_store *s, const struct oci_descriptor *d,
	struct oci_verify_trail *trail, struct oci_error *err)
{
	uint64_t offset = trail ? trail->from.offset : 0;
	struct oci_reader *bytes = s->ops->open(s, d, offset, d->size_bytes - offset, err);
	struct oci_reader *verified = bytes ? oci_verify_reader_along_take(bytes, d, trail, err) : NULL;

	if (!verified || !s->ops->distrust)
		return verified;
	struct fetched *f = calloc(1, sizeof *f);
	if (!f) {
		oci_reader_close(verified);
		oci_fail_nomem(err);
		return NULL;
	}
	*f = (struct fetched){.base.ops = &fetched_ops, .store = s, .verified = verified};
	if (oci_descriptor_copy(&f->d, d, err) < 0) {
		fetched_close(&f->base);
		return NULL;
	}
	return &f->base;
}

struct oci_reader *oci_store_fetch(struct oci_store *s, const struct oci_descriptor *d, struct oci_error *err)
{
	return oci_store_fetch_along(s, d, NULL, err);
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
