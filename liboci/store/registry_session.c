#include "store/registry_session.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/json.h"
#include "http/url.h"

#define CLOSE_BYTES_PER_MS 50000 /* 50 MB/s: what a registry hashes at least */

bool oci_session_stored(int status)
{
	return status == 200 || status == 201 || status == 204;
}

uint64_t oci_session_close_ms(const struct oci_session *session, uint64_t size_bytes)
{
	return oci_http_answer_ms(session->registry->http) + size_bytes / CLOSE_BYTES_PER_MS;
}

bool oci_session_said(const struct oci_http_response *answer, const char *code)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;

	if (answer->body.len == 0)
		return false;
	doc = oci_json_parse(answer->body.data, answer->body.len, &OCI_JSON_SMALL, NULL);
	const char *said = oci_json_text(oci_json_at(oci_json_get(doc, "errors"), 0), "code");
	return said && strcmp(said, code) == 0;
}

int oci_session_move(struct oci_session *session, const char *location, struct oci_error *err)
{
	if (!location)
		return session->url ? 0 : oci_fail(err, OCI_E_FORMAT, "the registry opened an upload without Location");
	if (!oci_http_is_home(session->registry->http, location))
		return oci_fail(err, OCI_E_FORMAT, "the registry sends the upload to another host, port or scheme; "
			"behind a proxy it must know its outer address");
	return oci_str_set(&session->url, location, err);
}

static bool take_spare(struct oci_session *session)
{
	struct oci_registry *r = session->registry;

	pthread_mutex_lock(&r->lock);
	char *url = oci_steal(&r->spare_session);
	session->chunk_min = r->spare_chunk_min;
	pthread_mutex_unlock(&r->lock);
	if (!url)
		return false;
	free(session->url);
	session->url = url;
	return true;
}

int oci_session_probe(struct oci_registry *r, struct oci_error *err)
{
	OCI_CLEANUP(oci_session_clear) struct oci_session session = {.registry = r};
	struct oci_error failure = {0};

	if (oci_session_start(&session, &failure) == 0) {
		pthread_mutex_lock(&r->lock);
		free(r->spare_session);
		r->spare_session = oci_steal(&session.url);
		r->spare_chunk_min = session.chunk_min;
		pthread_mutex_unlock(&r->lock);
		return 0;
	}
	if (failure.code != OCI_E_AUTH && failure.code != OCI_E_PERM && failure.code != OCI_E_CANCELLED)
		return 0;
	if (err && !err->code)
		*err = failure;
	return oci_fail_side(err, OCI_SIDE_DEST);
}

int oci_session_start(struct oci_session *session, struct oci_error *err)
{
	if (take_spare(session))
		return 0;

	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	struct oci_registry *r = session->registry;

	oci_buf_init(&url, OCI_URL_MAX);
	oci_http_response_init(&answer, OCI_SESSION_ANSWER_MAX);
	if (oci_registry_url(r, "blobs", "uploads/", &url, err) < 0)
		return -1;
	struct oci_http_request ask = {.method = "POST", .url = url.data, .scope = r->scope, .retry = !session->once};
	if (oci_http_perform(r->http, &ask, &answer, err) < 0 || oci_http_expect(&ask, &answer, 202, err) < 0)
		return -1;
	session->chunk_min = answer.chunk_min;
	oci_session_clear(session);
	return oci_session_move(session, answer.location, err);
}

bool oci_session_parse_range(const char *range, uint64_t *ret)
{
	uint64_t last;

	if (!range)
		return false;
	if (oci_str_starts(range, "bytes="))
		range += strlen("bytes=");
	if (!oci_str_starts(range, "0-") || !oci_str_u64(range + 2, &last) || last >= INT64_MAX)
		return false;
	*ret = last ? last + 1 : 0;
	return true;
}

int oci_session_ask(struct oci_session *session, uint64_t *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;
	struct oci_registry *r = session->registry;

	oci_http_response_init(&answer, OCI_SESSION_ANSWER_MAX);
	struct oci_http_request ask = {.method = "GET", .url = session->url, .scope = r->scope, .retry = true};
	if (oci_http_perform(r->http, &ask, &answer, err) < 0)
		return -1;
	bool known = answer.status == 204 || answer.status == 200 || answer.status == 202;
	/* a plain 500, after all tries, is a session that is broken */
	bool passing = answer.status == 401 || answer.status == 403 || answer.status == 408 ||
		answer.status == 429 || answer.status > 501;
	if (!known)
		return passing ? oci_http_expect(&ask, &answer, 204, err) : 0;
	if (!oci_session_parse_range(answer.range, ret))
		return 0;
	return oci_session_move(session, answer.location, err) < 0 ? -1 : 1;
}

int oci_session_close_url(const struct oci_session *session, const struct oci_digest *digest,
	struct oci_buf *url, struct oci_error *err)
{
	char text[OCI_DIGEST_TEXT_MAX];

	oci_buf_reset(url);
	if (oci_buf_puts(url, session->url, err) < 0)
		return -1;
	return oci_url_add_query(url, "digest", oci_digest_format(digest, text), err);
}

void oci_session_cancel(struct oci_session *session)
{
	oci_registry_cancel(session->registry, session->url);
	oci_session_clear(session);
}

void oci_session_clear(struct oci_session *session)
{
	free(session->url);
	session->url = NULL;
}
