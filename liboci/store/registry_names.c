#include "store/registry_names.h"

#include "base/cleanup.h"
#include "core/mediatype.h"
#include "http/url.h"
#include "store/registry_sink.h"

#define ANSWER_MAX (64 * OCI_KIB)

/* A HEAD, which registries with a quota do not count. */
int oci_registry_peek(struct oci_store *s, const char *name, struct oci_digest *ret, bool *known,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;
	struct oci_registry *r = (struct oci_registry *)s;

	oci_buf_init(&url, OCI_URL_MAX);
	oci_http_response_init(&answer, ANSWER_MAX);
	if (oci_registry_url(r, "manifests", name, &url, err) < 0)
		return -1;
	struct oci_http_request ask = {
		.method = "HEAD", .url = url.data, .scope = r->scope, .accept = OCI_MT_ACCEPT, .retry = true,
	};
	if (oci_http_perform(r->http, &ask, &answer, err) < 0)
		return -1;
	if (answer.status == 404)
		return oci_fail(err, OCI_E_NOT_FOUND, "%s/%s has no '%s'", r->host, r->repository, name);
	*known = answer.status == 200 && answer.content_digest && oci_digest_parse(answer.content_digest, ret, NULL) == 0;
	return 0;
}

static int delete_manifest(struct oci_registry *r, const char *name, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;

	oci_buf_init(&url, OCI_URL_MAX);
	oci_http_response_init(&answer, ANSWER_MAX);
	oci_autofree char *scope = oci_str_printf("repository:%s:pull,delete", r->repository);
	if (!scope)
		return oci_fail_nomem(err);
	if (oci_registry_url(r, "manifests", name, &url, err) < 0)
		return -1;
	struct oci_http_request ask = {.method = "DELETE", .url = url.data, .scope = scope, .retry = true};
	if (oci_http_perform(r->http, &ask, &answer, err) < 0)
		return -1;
	return answer.status == 404 || answer.status == 200 ? 0 : oci_http_expect(&ask, &answer, 202, err);
}

int oci_registry_untag(struct oci_store *s, const struct oci_descriptor *d, const char *tag,
	struct oci_error *err)
{
	struct oci_registry *r = (struct oci_registry *)s;
	char digest[OCI_DIGEST_TEXT_MAX];

	if (!d)
		return delete_manifest(r, tag, err);
	if (delete_manifest(r, tag, NULL) == 0)
		return 0;
	return delete_manifest(r, oci_digest_format(&d->digest, digest), err);
}
