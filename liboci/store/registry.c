#include "store/ops.h"
#include "store/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/json.h"
#include "core/manifest.h"
#include "core/mediatype.h"
#include "http/reader.h"
#include "http/url.h"
#include "store/blob.h"
#include "store/chunk.h"
#include "store/registry_list.h"
#include "store/registry_limits.h"
#include "store/registry_names.h"
#include "store/registry_put.h"
#include "store/registry_session.h"
#include "store/registry_sink.h"
#include "store/upload_state.h"

#define ANSWER_MAX (64 * OCI_KIB)
#define CANCEL_MS 5000

int oci_registry_url(const struct oci_registry *r, const char *kind, const char *name, struct oci_buf *out,
	struct oci_error *err)
{
	return oci_buf_printf(out, err, "%s/v2/%s/%s/%s", oci_http_origin(r->http), r->repository, kind, name);
}

bool oci_registry_is_document(const struct oci_descriptor *d)
{
	return oci_media_is_manifest(d->media_type) || oci_media_is_index(d->media_type);
}

static int content_url(const struct oci_registry *r, const struct oci_descriptor *d, struct oci_buf *out,
	struct oci_error *err)
{
	char digest[OCI_DIGEST_TEXT_MAX];
	const char *kind = oci_registry_is_document(d) ? "manifests" : "blobs";
	return oci_registry_url(r, kind, oci_digest_format(&d->digest, digest), out, err);
}

int oci_registry_exists(struct oci_registry *r, const struct oci_descriptor *d, bool patient, bool *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;

	oci_buf_init(&url, OCI_URL_MAX);
	oci_http_response_init(&answer, ANSWER_MAX);
	if (content_url(r, d, &url, err) < 0)
		return -1;
	struct oci_http_request ask = {
		.method = "HEAD", .url = url.data, .scope = r->scope, .retry = true, .patient = patient,
		.accept = oci_registry_is_document(d) ? OCI_MT_ACCEPT : NULL,
	};
	if (oci_http_perform(r->http, &ask, &answer, err) < 0)
		return -1;
	if (answer.status != 404 && oci_http_expect(&ask, &answer, 200, err) < 0)
		return -1;
	*ret = answer.status != 404;
	return 0;
}

static int registry_exists(struct oci_store *s, const struct oci_descriptor *d, bool *ret,
	struct oci_error *err)
{
	struct oci_registry *r = (struct oci_registry *)s;

	if (oci_registry_exists(r, d, true, ret, err) < 0)
		return -1;
	if (*ret)
		oci_upload_state_forget(r->state_dir, oci_http_origin(r->http), r->repository, &d->digest);
	return 0;
}

/* reading */

/* Bytes of the memo, which may be forgotten there before they are read. */
struct kept_reader {
	struct oci_reader base;
	struct oci_buf bytes;
	size_t at, end;
};

static ssize_t kept_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct kept_reader *k = (struct kept_reader *)base;
	size_t len = size < k->end - k->at ? size : k->end - k->at;
	memcpy(data, k->bytes.data + k->at, len);
	k->at += len;
	return (ssize_t)len;
}

static void kept_close(struct oci_reader *base)
{
	struct kept_reader *k = (struct kept_reader *)base;
	oci_buf_clear(&k->bytes);
	free(k);
}

static const struct oci_reader_ops kept_ops = {.read = kept_read, .close = kept_close};

/* 1: *ret reads it from memory; 0: it is not there. */
static int open_kept(struct oci_registry *r, const struct oci_descriptor *d, uint64_t offset, uint64_t length,
	struct oci_reader **ret, struct oci_error *err)
{
	struct kept_reader *k = calloc(1, sizeof *k);

	if (!k)
		return oci_fail_nomem(err);
	k->base.ops = &kept_ops;
	oci_buf_init(&k->bytes, OCI_MANIFEST_MAX);
	int rc = oci_memo_get(&r->memo, &d->digest, &k->bytes, err);
	if (rc == 1 && oci_blob_check_size(d, k->bytes.len, err) < 0)
		rc = -1;
	if (rc < 1) {
		kept_close(&k->base);
		return rc;
	}
	k->at = offset;
	k->end = offset + length;
	*ret = &k->base;
	return 1;
}

static struct oci_reader *registry_open(struct oci_store *s, const struct oci_descriptor *d, uint64_t offset,
	uint64_t length, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	struct oci_registry *r = (struct oci_registry *)s;
	bool document = oci_registry_is_document(d);
	struct oci_reader *kept = NULL;

	oci_buf_init(&url, OCI_URL_MAX);
	if (oci_blob_check_range(d, offset, length, err) < 0 || content_url(r, d, &url, err) < 0)
		return NULL;
	if (document && open_kept(r, d, offset, length, &kept, err) != 0)
		return kept;
	struct oci_http_blob blob = {
		.url = url.data, .scope = r->scope, .accept = document ? OCI_MT_ACCEPT : NULL,
		.size_bytes = d->size_bytes,
	};
	if (r->mirrors)
		return oci_mirrors_open(r->mirrors, r->http, &blob, document ? "manifests" : "blobs", &d->digest, offset,
			length, err);
	return oci_http_reader_open(r->http, &blob, offset, length, err);
}

/* resolving */

/* The registry's word and the name, where they hold a digest, agree with the bytes. */
static int check_digest(const char *promised, const struct oci_buf *body, struct oci_digest *ret,
	struct oci_error *err)
{
	char found[OCI_DIGEST_TEXT_MAX], shown[OCI_STR_ESCAPE_MAX];
	struct oci_digest want, got;

	if (oci_digest_parse(promised, &want, err) < 0)
		return -1;
	oci_digest_of(want.alg, body->data, body->len, &got);
	if (!oci_digest_equal(&want, &got))
		return oci_fail(err, OCI_E_DIGEST, "manifest '%s' hashes to '%s'", oci_str_escape(promised, shown),
			oci_digest_format(&got, found));
	*ret = got;
	return 0;
}

static int describe(const struct oci_http_response *answer, const char *name, struct oci_descriptor *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest manifest = {0};
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
	struct oci_descriptor typed = {.media_type = answer->content_type};
	const struct oci_buf *body = &answer->body;
	struct oci_digest promised, named;
	bool by_digest = strchr(name, ':') != NULL;

	/* bytes that changed on the way are no malformed manifest */
	if ((answer->content_digest && check_digest(answer->content_digest, body, &promised, err) < 0) ||
	    (by_digest && check_digest(name, body, &named, err) < 0))
		return -1;
	/* a content type that says nothing leaves the word to the document */
	bool known = answer->content_type && oci_registry_is_document(&typed);
	const char *type = known ? answer->content_type : NULL;
	if (oci_manifest_parse(oci_buf_text(body), body->len, type, &manifest, err) < 0)
		return -1;
	if (oci_descriptor_of(manifest.media_type, body->data, body->len, &d, err) < 0)
		return -1;
	if (by_digest)
		d.digest = named;
	oci_descriptor_clear(ret);
	*ret = d;
	d = (struct oci_descriptor){0};
	return 0;
}

static int ask_manifest(struct oci_registry *r, const char *name, struct oci_http_response *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;

	oci_buf_init(&url, OCI_URL_MAX);
	if (oci_registry_url(r, "manifests", name, &url, err) < 0)
		return -1;
	struct oci_http_request ask = {
		.method = "GET", .url = url.data, .scope = r->scope, .accept = OCI_MT_ACCEPT, .patient = true,
	};
	if (oci_http_perform(r->http, &ask, ret, err) < 0)
		return -1;
	return oci_http_expect(&ask, ret, 200, err);
}

static int registry_resolve(struct oci_store *s, const char *name, struct oci_descriptor *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;
	struct oci_registry *r = (struct oci_registry *)s;
	struct oci_digest digest;

	oci_http_response_init(&answer, OCI_MANIFEST_MAX);
	if (strchr(name, ':') ? oci_digest_parse(name, &digest, err) < 0 : !oci_reference_tag_ok(name))
		return oci_fail(err, OCI_E_USAGE, "neither a tag nor a digest");
	int rc = r->mirrors && strchr(name, ':') ? oci_mirrors_ask(r->mirrors, &digest, &answer, err) : 0;
	if (rc < 0)
		return -1;
	if (rc == 0 && ask_manifest(r, name, &answer, err) < 0)
		return err && err->code == OCI_E_NOT_FOUND ?
			oci_append(err, "; 'modelcar tags %s/%s' lists what there is", r->host, r->repository) : -1;
	if (describe(&answer, name, ret, err) < 0)
		return oci_wrap(err, "%s/%s", r->host, r->repository);
	oci_memo_put(&r->memo, &ret->digest, answer.body.data, answer.body.len);
	return 0;
}

/* writing names */

int oci_registry_put_manifest(struct oci_registry *r, const char *name, const char *media_type,
	const void *data, size_t len, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;

	oci_buf_init(&url, OCI_URL_MAX);
	oci_http_response_init(&answer, ANSWER_MAX);
	if (oci_registry_url(r, "manifests", name, &url, err) < 0)
		return -1;
	struct oci_http_request ask = {
		.method = "PUT", .url = url.data, .scope = r->scope, .content_type = media_type,
		.body = data, .body_len = len, .patient = true,
	};
	if (oci_http_perform(r->http, &ask, &answer, err) < 0)
		return -1;
	return answer.status == 200 ? 0 : oci_http_expect(&ask, &answer, 201, err);
}

static int registry_tag(struct oci_store *s, const struct oci_descriptor *d, const char *tag,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	struct oci_registry *r = (struct oci_registry *)s;

	oci_buf_init(&bytes, OCI_MANIFEST_MAX);
	if (oci_store_read(s, d, &bytes, err) < 0)
		return -1;
	return oci_registry_put_manifest(r, tag, d->media_type, oci_buf_text(&bytes), bytes.len, err);
}

static int registry_finish(struct oci_store *s, struct oci_error *err)
{
	return 0;
}

void oci_registry_cancel(struct oci_registry *r, const char *session)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;

	oci_http_response_init(&answer, ANSWER_MAX);
	if (!session || !oci_http_is_home(r->http, session))
		return;
	struct oci_http_request ask = {
		.method = "DELETE", .url = session, .scope = r->scope, .answer_ms = CANCEL_MS,
	};
	(void)oci_http_perform(r->http, &ask, &answer, NULL);
}

static int registry_preflight(struct oci_store *s, const struct oci_store_load *load, struct oci_error *err)
{
	struct oci_registry *r = (struct oci_registry *)s;

	if (oci_registry_check_limits(r->host, load, err) < 0)
		return -1;
	return r->writes && load->largest_bytes > 0 ? oci_session_probe(r, err) : 0;
}

/* mounting */

static int mount_url(struct oci_registry *r, const struct oci_descriptor *d, const char *from,
	struct oci_buf *url, struct oci_error *err)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	if (oci_registry_url(r, "blobs", "uploads/", url, err) < 0)
		return -1;
	if (oci_url_add_query(url, "mount", oci_digest_format(&d->digest, digest), err) < 0)
		return -1;
	return from ? oci_url_add_query(url, "from", from, err) : 0;
}

/* `from` is a repository of this registry, or NULL: the registry looks for itself. */
static int try_mount(struct oci_registry *r, const struct oci_descriptor *d, const char *from, bool *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;
	oci_autofree char *scope =
		from ? oci_str_printf("%s repository:%s:pull", r->scope, from) : strdup(r->scope);
	struct oci_error ignored = {0};

	oci_buf_init(&url, OCI_URL_MAX);
	oci_http_response_init(&answer, ANSWER_MAX);
	if (!scope)
		return oci_fail_nomem(err);
	if (mount_url(r, d, from, &url, err) < 0)
		return -1;
	struct oci_http_request ask = {.method = "POST", .url = url.data, .scope = scope};
	if (oci_http_perform(r->http, &ask, &answer, &ignored) < 0)
		return ignored.code == OCI_E_CANCELLED ? oci_fail(err, OCI_E_CANCELLED, "cancelled") : 0;
	if (answer.status == 202)
		oci_registry_cancel(r, answer.location);
	*ret = answer.status == 201;
	return 0;
}

static int registry_mount(struct oci_store *s, const struct oci_descriptor *d, struct oci_store *from,
	bool *ret, struct oci_error *err)
{
	struct oci_registry *r = (struct oci_registry *)s;
	const struct oci_registry *other = (const struct oci_registry *)from;
	bool same_host = from->ops == s->ops && strcmp(r->host, other->host) == 0;

	*ret = false;
	if (oci_registry_is_document(d))
		return 0;
	if (same_host && try_mount(r, d, other->repository, ret, err) < 0)
		return -1;
	return *ret ? 0 : try_mount(r, d, NULL, ret, err);
}

/* opening */

static void registry_close(struct oci_store *s)
{
	struct oci_registry *r = (struct oci_registry *)s;

	if (r->spare_session)
		oci_registry_cancel(r, r->spare_session);
	free(r->spare_session);
	pthread_mutex_destroy(&r->lock);
	oci_mirrors_free(r->mirrors);
	oci_http_free(r->http);
	oci_memo_clear(&r->memo);
	free(r->host);
	free(r->repository);
	free(r->scope);
	free(r->state_dir);
	free(r);
}

static void registry_distrust(struct oci_store *s, const struct oci_descriptor *d)
{
	struct oci_registry *r = (struct oci_registry *)s;

	if (r->mirrors)
		oci_mirrors_distrust(r->mirrors, &d->digest);
}

static unsigned registry_failures(struct oci_store *s)
{
	return oci_http_failures(((struct oci_registry *)s)->http);
}

static const struct oci_store_ops registry_ops = {
	.kind = "registry",
	.exists = registry_exists,
	.open = registry_open,
	.begin = oci_registry_begin,
	.resolve = registry_resolve,
	.tag = registry_tag,
	.finish = registry_finish,
	.close = registry_close,
	.mount = registry_mount,
	.tags = oci_registry_tags,
	.referrers = oci_registry_referrers,
	.untag = oci_registry_untag,
	.peek = oci_registry_peek,
	.distrust = registry_distrust,
	.failures = registry_failures,
	.preflight = registry_preflight,
	.put = oci_registry_put,
};

static int start_client(struct oci_registry *r, enum oci_store_mode mode, const struct oci_store_options *o,
	struct oci_error *err)
{
	const char *host = oci_http_known_as(r->host);
	oci_autofree char *resource = oci_str_printf("%s/%s", host, r->repository);

	if (!resource)
		return oci_fail_nomem(err);
	struct oci_http_options options = {
		.host = oci_http_asked_at(host), .credentials_for = resource,
		.plain_http = o->plain_http, .tls_insecure = o->tls_insecure, .ca_file = o->ca_file,
		.cert_file = o->cert_file, .key_file = o->key_file, .authfiles = o->authfiles, .rate = o->rate,
		.stall_ms = o->stall_ms, .retry_for_ms = o->retry_for_ms, .cancel = o->cancel, .observer = o->observer,
	};
	r->http = oci_http_new(&options, err);
	if (!r->http)
		return -1;
	return mode == OCI_STORE_READ ? oci_mirrors_new(host, r->repository, o, &r->mirrors, err) : 0;
}

/* Only who writes has uploads. */
static int set_state_dir(struct oci_registry *r, enum oci_store_mode mode, const char *dir, struct oci_error *err)
{
	if (mode == OCI_STORE_READ)
		return 0;
	oci_autofree char *usual = dir ? NULL : oci_upload_state_default_dir();
	return oci_str_set(&r->state_dir, dir ? dir : usual, err);
}

struct oci_store *oci_store_registry(const char *host, const char *repository, enum oci_store_mode mode,
	const struct oci_store_options *options, struct oci_error *err)
{
	struct oci_registry *r = calloc(1, sizeof *r);

	if (!r) {
		oci_fail_nomem(err);
		return NULL;
	}
	r->base.ops = &registry_ops;
	pthread_mutex_init(&r->lock, NULL);
	atomic_init(&r->one_request, oci_registry_takes_no_pieces(host));
	atomic_init(&r->chunk_ceiling, OCI_CHUNK_START);
	r->writes = mode == OCI_STORE_WRITE;
	oci_memo_init(&r->memo);
	r->scope = oci_str_printf("repository:%s:%s", repository, mode == OCI_STORE_WRITE ? "pull,push" : "pull");
	if (!r->scope)
		oci_fail_nomem(err);
	if (!r->scope || oci_str_set(&r->host, host, err) < 0 || oci_str_set(&r->repository, repository, err) < 0 ||
	    set_state_dir(r, mode, options->state_dir, err) < 0 || start_client(r, mode, options, err) < 0) {
		registry_close(&r->base);
		return NULL;
	}
	return &r->base;
}
