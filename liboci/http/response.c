#include "http/exchange.h"

#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "core/json.h"

void oci_http_response_init(struct oci_http_response *response, size_t body_max)
{
	*response = (struct oci_http_response){.content_length = UINT64_MAX};
	oci_buf_init(&response->body, body_max);
}

void oci_http_response_clear(struct oci_http_response *response)
{
	size_t max = response->body.max;

	oci_buf_clear(&response->body);
	free(response->url);
	free(response->location);
	free(response->content_type);
	free(response->content_digest);
	free(response->range);
	free(response->link);
	oci_http_response_init(response, max);
}

enum oci_http_taken oci_http_response_take(void *ctx, const void *data, size_t len)
{
	struct oci_http_response *r = ctx;
	size_t max = r->body.max;

	if (r->status >= 300 && max > OCI_HTTP_ERROR_BODY_MAX)
		max = OCI_HTTP_ERROR_BODY_MAX;
	if (len > max - r->body.len)
		return OCI_BODY_CUT;
	return oci_buf_append(&r->body, data, len, NULL) < 0 ? OCI_BODY_CUT : OCI_BODY_TAKEN;
}

static int set_absolute(char **ret, const struct oci_url *base, const char *target, struct oci_error *err)
{
	OCI_CLEANUP(oci_url_clear) struct oci_url url = {0};
	if (oci_url_join(base, target, &url, err) < 0)
		return -1;
	return oci_str_set(ret, url.text, err);
}

/* `<target>; rel="next"`: the only relation a registry sends. */
static int read_link(struct oci_http_response *ret, const struct oci_http_exchange *x, struct oci_error *err)
{
	const char *link = oci_http_exchange_header(x, "Link", 0);
	if (!link || *link != '<')
		return 0;
	const char *end = strchr(link, '>');
	if (!end || !strcasestr(end, "next"))
		return 0;
	oci_autofree char *target = strndup(link + 1, (size_t)(end - link - 1));
	if (!target)
		return oci_fail_nomem(err);
	return set_absolute(&ret->link, &x->url, target, err);
}

static int read_content_type(struct oci_http_response *ret, const struct oci_http_exchange *x,
	struct oci_error *err)
{
	const char *type = oci_http_exchange_header(x, "Content-Type", 0);
	if (!type)
		return 0;
	ret->content_type = strndup(type, strcspn(type, "; \t"));
	return ret->content_type ? 0 : oci_fail_nomem(err);
}

int oci_http_response_read(struct oci_http_response *ret, const struct oci_http_exchange *x,
	struct oci_error *err)
{
	const char *location = oci_http_exchange_header(x, "Location", 0);
	const char *length = oci_http_exchange_header(x, "Content-Length", 0);
	const char *chunk_min = oci_http_exchange_header(x, "OCI-Chunk-Min-Length", 0);

	oci_http_response_clear(ret);
	ret->status = x->status;
	ret->retry_after_ms = oci_http_exchange_retry_after_ms(x);
	if (length && !oci_str_u64(length, &ret->content_length))
		return oci_http_fail(x->request, err, OCI_E_FORMAT, "a Content-Length that is no number");
	if (chunk_min && !oci_str_u64(chunk_min, &ret->chunk_min))
		return oci_http_fail(x->request, err, OCI_E_FORMAT, "an OCI-Chunk-Min-Length that is no number");
	if (location && set_absolute(&ret->location, &x->url, location, err) < 0)
		return oci_wrap(err, "the answer's Location");
	if (read_link(ret, x, err) < 0)
		return oci_wrap(err, "the answer's Link");
	if (read_content_type(ret, x, err) < 0 || oci_str_set(&ret->url, x->url.text, err) < 0)
		return -1;
	if (oci_str_set(&ret->range, oci_http_exchange_header(x, "Range", 0), err) < 0)
		return -1;
	return oci_str_set(&ret->content_digest, oci_http_exchange_header(x, "Docker-Content-Digest", 0), err);
}

/* expect: a status and the registry's own words to a code and a sentence */

struct meaning {
	int status;
	enum oci_errc code;
	const char *text;
};

static const struct meaning meanings[] = {
	{401, OCI_E_AUTH, "the registry wants other credentials; use --authfile, modelcar login or docker login"},
	{403, OCI_E_AUTH, "these credentials do not allow it; use --authfile, modelcar login or docker login"},
	{404, OCI_E_NOT_FOUND, "not found"},
	{405, OCI_E_UNSUPPORTED, "the registry does not allow this"},
	{407, OCI_E_AUTH, "the proxy wants a login; write it into HTTP_PROXY as http://user:password@host:port"},
	{408, OCI_E_NETWORK, "the server gave up waiting"},
	{413, OCI_E_UNSUPPORTED, "too large for the registry or a proxy before it"},
	{429, OCI_E_RATE, "too many requests; wait, or log in for a higher limit"},
	{501, OCI_E_UNSUPPORTED, "the registry cannot do this"},
	{507, OCI_E_NOSPACE, "the registry is out of space"},
};

static bool writes(const struct oci_http_request *request)
{
	const char *method = request->method;
	return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
}

static struct meaning meaning_of(const struct oci_http_request *request, int status)
{
	if (status == 405 && writes(request))
		return (struct meaning){status, OCI_E_PERM,
			"the registry takes no content, it is read-only; push elsewhere or ask who runs it"};
	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
		if (meanings[i].status == status)
			return meanings[i];
	if (status >= 500)
		return (struct meaning){status, OCI_E_NETWORK, "the server failed"};
	if (status >= 400)
		return (struct meaning){status, OCI_E_UNSUPPORTED, "refused by the registry"};
	return (struct meaning){status, OCI_E_FORMAT, "an answer that is not in the protocol"};
}

/* The first error of {"errors":[{"code","message"}]}, escaped; "" when there is none. */
static void registry_words(const struct oci_http_response *r, char *out, size_t size)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
	char code[OCI_STR_ESCAPE_MAX], message[OCI_STR_ESCAPE_MAX];

	out[0] = '\0';
	if (r->body.len == 0)
		return;
	doc = oci_json_parse(r->body.data, r->body.len, &OCI_JSON_SMALL, NULL);
	struct oci_json *first = oci_json_at(oci_json_get(doc, "errors"), 0);
	const char *code_text = oci_json_text(first, "code");
	const char *message_text = oci_json_text(first, "message");
	if (code_text)
		snprintf(out, size, " (%.40s: %.120s)", oci_str_escape(code_text, code),
			oci_str_escape(message_text ? message_text : "", message));
}

static bool https_expected(const struct oci_http_request *request, const struct oci_http_response *r)
{
	return r->status == 400 && oci_str_starts(request->url, "http:") && r->body.len > 0 &&
		strcasestr(oci_buf_text(&r->body), "https");
}

/* A login page before the registry, or no registry at all, answers everything with 200. */
static int check_page(const struct oci_http_request *request, const struct oci_http_response *r,
	struct oci_error *err)
{
	bool page = r->content_type && strcmp(r->content_type, "text/html") == 0;

	if (!page || strcmp(request->method, "GET") != 0)
		return 0;
	return oci_http_fail(request, err, OCI_E_FORMAT,
		"a web page is the answer; is this a registry, and is no login page or proxy before it?");
}

int oci_http_expect(const struct oci_http_request *request, const struct oci_http_response *response,
	int want, struct oci_error *err)
{
	char words[200];

	if (response->status == want || (want == 200 && response->status == 206))
		return check_page(request, response, err);
	if (err && !err->code)
		err->http = response->status;
	if (https_expected(request, response))
		return oci_http_fail(request, err, OCI_E_TLS,
			"the server speaks https; leave out --plain-http, or name its authority with --ca-file");
	struct meaning m = meaning_of(request, response->status);
	registry_words(response, words, sizeof words);
	return oci_http_fail(request, err, m.code, "status %d, %s%s", response->status, m.text, words);
}
