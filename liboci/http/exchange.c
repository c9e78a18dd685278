#include "http/exchange.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "http/direct.h"
#include "http/retry.h"
#include "http/tls.h"
#include "http/trace.h"

#define LEAST_BYTES_PER_SECOND 1024

int oci_http_fail(const struct oci_http_request *request, struct oci_error *err, enum oci_errc code,
	const char *format, ...)
{
	char reason[400];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof reason, format, args);
	va_end(args);
	int url_len = (int)strcspn(request->url, "?#");
	return oci_fail(err, code, "%s %.*s: %s", request->method, url_len > 200 ? 200 : url_len, request->url,
		reason);
}

/* links */

void oci_http_link_free(struct oci_http_link *link)
{
	if (!link)
		return;
	if (link->origin && link->multi)
		curl_multi_remove_handle(link->multi, link->easy);
	curl_easy_cleanup(link->easy);
	curl_multi_cleanup(link->multi);
	free(link->origin);
	free(link);
}

struct oci_http_link *oci_http_link_new(void)
{
	struct oci_http_link *link = calloc(1, sizeof *link);

	if (!link)
		return NULL;
	link->multi = curl_multi_init();
	link->easy = curl_easy_init();
	if (!link->multi || !link->easy) {
		oci_http_link_free(link);
		return NULL;
	}
	curl_multi_setopt(link->multi, CURLMOPT_MAXCONNECTS, 3L);
	return link;
}

static bool leads_to(const struct oci_http_link *link, const char *origin)
{
	return origin ? link->origin && strcmp(link->origin, origin) == 0 : !link->origin;
}

struct oci_http_link *oci_http_link_idle(struct oci_http *http, const char *origin)
{
	struct oci_http_link *link = NULL;

	pthread_mutex_lock(&http->lock);
	for (size_t i = http->idle_count; i > 0 && !link; i--) {
		if (!leads_to(http->idle[i - 1], origin))
			continue;
		link = http->idle[i - 1];
		http->idle[i - 1] = http->idle[--http->idle_count];
	}
	pthread_mutex_unlock(&http->lock);
	return link;
}

void oci_http_link_keep(struct oci_http *http, struct oci_http_link *link)
{
	pthread_mutex_lock(&http->lock);
	if (http->idle_count < OCI_HTTP_LINKS_IDLE) {
		http->idle[http->idle_count++] = link;
		link = NULL;
	}
	pthread_mutex_unlock(&http->lock);
	oci_http_link_free(link);
}

static int begin_in_library(struct oci_http_exchange *x, struct oci_error *err)
{
	x->link = oci_http_link_idle(x->http, NULL);
	if (!x->link)
		x->link = oci_http_link_new();
	if (!x->link)
		return oci_fail_nomem(err);
	x->link->reason[0] = '\0';
	if (oci_http_exchange_add_headers(x, err) < 0 || oci_http_exchange_set_up(x, err) < 0)
		return -1;
	if (curl_multi_add_handle(x->link->multi, x->link->easy) != CURLM_OK)
		return oci_fail_nomem(err);
	return 0;
}

int oci_http_exchange_begin(struct oci_http_exchange *x, const char *authorization, struct oci_error *err)
{
	x->status = 0;
	x->headers_in = x->head_begun = x->wanted = x->done = x->flowing = x->cut = x->too_private = x->resting = false;
	x->bad_ca = NULL;
	x->authorization = authorization;
	x->header_bytes = 0;
	x->moved = x->received = x->streamed = x->slow_ms = x->slow_moved = 0;
	x->interim_bytes = 0;
	x->begun_ms = x->moved_ms = x->seen_ms = oci_clock_ms();
	return oci_http_direct_may(x) ? oci_http_direct_begin(x, err) : begin_in_library(x, err);
}

/* running */

int oci_http_exchange_resume(struct oci_http_exchange *x, struct oci_error *err)
{
	x->flowing = true;
	x->moved_ms = x->seen_ms = oci_clock_ms();
	if (x->phase == OCI_DIRECT_NOT && !x->done && curl_easy_pause(x->link->easy, CURLPAUSE_CONT) == CURLE_OUT_OF_MEMORY)
		return oci_fail_nomem(err);
	return 0;
}

/* In TLS 1.3 the server says so once the handshake is over for us. */
static bool wants_certificate(const char *reason)
{
	return strstr(reason, "alert certificate") || strstr(reason, "alert bad certificate") ||
		strstr(reason, "alert unknown ca");
}

static int fail_tls(const struct oci_http_exchange *x, CURLcode code, struct oci_error *err)
{
	const char *reason = x->link->reason;
	char safe[OCI_STR_ESCAPE_MAX];
	long verify = 0;

	if (strstr(reason, "wrong version number") || strstr(reason, "packet length too long"))
		return oci_http_fail(x->request, err, OCI_E_TLS,
			"the server does not speak TLS; if it is meant to be plain http, use --plain-http");
	if (code == CURLE_SSL_CACERT_BADFILE)
		return oci_http_fail(x->request, err, OCI_E_TLS, "cannot read certificates from the CA file '%s'",
			x->bad_ca ? x->bad_ca : "of the system, or of SSL_CERT_FILE");
	if (code == CURLE_SSL_CERTPROBLEM)
		return oci_http_fail(x->request, err, OCI_E_TLS, "the client certificate or its key: %s",
			oci_str_escape(reason, safe));
	if (wants_certificate(reason))
		return oci_http_fail(x->request, err, OCI_E_TLS, "%s", x->http->certs.cert_file ?
			"the server refused the client certificate; name another with --cert and --key" :
			"the server wants a client certificate; name one with --cert and --key");
	if (strstr(reason, "subject name"))
		return oci_http_fail(x->request, err, OCI_E_TLS, "%s", oci_tls_reason_host());
	curl_easy_getinfo(x->link->easy, CURLINFO_SSL_VERIFYRESULT, &verify);
	const char *why = oci_tls_reason(verify);
	return oci_http_fail(x->request, err, OCI_E_TLS, "%s", why ? why : oci_str_escape(reason, safe));
}

static bool is_tls(CURLcode code, const char *reason)
{
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return true;
	case CURLE_SSL_CONNECT_ERROR: /* a connection cut in the handshake is the network's fault */
		return !strstr(reason, "SYSCALL") && !strstr(reason, "eof");
	default:
		return wants_certificate(reason);
	}
}

/* The transfer library's own words may hold the proxy's URL, and that a password. */
static int fail_proxy(const struct oci_http_exchange *x, CURLcode code, struct oci_error *err)
{
	long status = 0;

	curl_easy_getinfo(x->link->easy, CURLINFO_HTTP_CONNECTCODE, &status);
	if (strstr(x->link->reason, "Unsupported proxy"))
		return oci_http_fail(x->request, err, OCI_E_USAGE,
			"the proxy's address makes no sense; see HTTPS_PROXY and HTTP_PROXY");
	if (code == CURLE_COULDNT_RESOLVE_PROXY)
		return oci_http_fail(x->request, err, OCI_E_NETWORK,
			"the host name of the proxy is unknown; see HTTPS_PROXY and HTTP_PROXY");
	if (status == 407)
		return oci_http_fail(x->request, err, OCI_E_AUTH,
			"the proxy wants a login; write it into HTTPS_PROXY as http://user:password@host:port");
	if (status >= 300)
		return oci_http_fail(x->request, err, OCI_E_NETWORK,
			"the proxy refused the connection with status %ld; see HTTPS_PROXY and NO_PROXY", status);
	return oci_http_fail(x->request, err, OCI_E_NETWORK,
		"the proxy cannot be used; see HTTPS_PROXY, HTTP_PROXY and NO_PROXY");
}

static bool is_proxy(const struct oci_http_exchange *x, CURLcode code, const char *reason)
{
	return x->proxied && (code == CURLE_COULDNT_RESOLVE_PROXY || strcasestr(reason, "proxy") ||
		strstr(reason, "CONNECT tunnel"));
}

static const char *advice(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return "; check the host in the reference, and the name service of this machine or pod";
	case CURLE_COULDNT_CONNECT:
		return "; does the registry run there, and may this machine or pod reach it (network policy, proxy)?";
	default:
		return "";
	}
}

int oci_http_exchange_failed(const struct oci_http_exchange *x, CURLcode code, struct oci_error *err)
{
	const char *reason = x->link->reason[0] ? x->link->reason : curl_easy_strerror(code);
	char safe[OCI_STR_ESCAPE_MAX];

	/* its word for a header line beyond its own bound, too */
	if (code == CURLE_OUT_OF_MEMORY && !x->headers_in && x->header_bytes > 0)
		return oci_http_fail(x->request, err, OCI_E_FORMAT, "a header line too long to be one");
	if (code == CURLE_OUT_OF_MEMORY)
		return oci_fail_nomem(err);
	if (is_proxy(x, code, reason))
		return fail_proxy(x, code, err);
	if (is_tls(code, reason))
		return fail_tls(x, code, err);
	if (x->header_bytes > OCI_HTTP_HEADERS_MAX)
		return oci_http_fail(x->request, err, OCI_E_FORMAT, "headers over 256 KiB");
	if (code == CURLE_COULDNT_CONNECT && x->too_private)
		return oci_http_exchange_too_private(x, err);
	enum oci_errc errc = code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_UNSUPPORTED_PROTOCOL ?
		OCI_E_FORMAT : OCI_E_NETWORK;
	return oci_http_fail(x->request, err, errc, "%s%s", oci_str_escape(reason, safe), advice(code));
}

static int collect(struct oci_http_exchange *x, struct oci_error *err)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(x->link->multi, &left))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		CURLcode code = message->data.result;
		x->done = true;
		if (code != CURLE_OK && !x->cut)
			return oci_http_exchange_failed(x, code, err);
		if (!x->headers_in) /* the library takes what came for all of it */
			return oci_http_fail(x->request, err, OCI_E_NETWORK, "the answer ended within its head");
	}
	return 0;
}

/* A byte now and then is a stall, too. Counted is the time that we spent on it. */
static int check_speed(struct oci_http_exchange *x, uint64_t moved, uint64_t now, struct oci_error *err)
{
	uint64_t window_ms = 2 * x->http->stall_ms;

	x->slow_ms += now - x->seen_ms;
	if (x->slow_ms < window_ms)
		return 0;
	if (moved - x->slow_moved < window_ms * LEAST_BYTES_PER_SECOND / 1000)
		return oci_http_fail(x->request, err, OCI_E_NETWORK, "%" PRIu64 " bytes moved in %u s",
			moved - x->slow_moved, (unsigned)(window_ms / 1000));
	x->slow_ms = 0;
	x->slow_moved = moved;
	return 0;
}

uint64_t oci_http_exchange_moved(const struct oci_http_exchange *x)
{
	curl_off_t up = 0, down = 0;

	if (x->phase != OCI_DIRECT_NOT)
		return x->streamed + x->received;
	curl_easy_getinfo(x->link->easy, CURLINFO_SIZE_UPLOAD_T, &up);
	curl_easy_getinfo(x->link->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	return (uint64_t)up + (uint64_t)down;
}

int oci_http_exchange_progress(struct oci_http_exchange *x, struct oci_error *err)
{
	uint64_t bytes = oci_http_exchange_moved(x);
	uint64_t moved = bytes + x->header_bytes;
	uint64_t now = oci_clock_ms();
	bool waiting = !x->head_begun && bytes >= x->stream_bytes;
	if (!waiting && check_speed(x, moved, now, err) < 0)
		return -1;
	x->seen_ms = now;
	if (moved != x->moved) {
		x->moved = moved;
		x->moved_ms = now;
		return 1;
	}
	uint64_t answer_ms = x->request->answer_ms ? x->request->answer_ms : oci_http_answer_ms(x->http);
	uint64_t limit_ms = waiting ? answer_ms : x->http->stall_ms;
	if (now - x->moved_ms > limit_ms)
		return oci_http_fail(x->request, err, OCI_E_NETWORK, "%s for %u s",
			waiting ? "no answer" : "no byte moved", (unsigned)(limit_ms / 1000));
	return 0;
}

bool oci_http_exchange_cancelled(struct oci_http_exchange *x)
{
	const atomic_int *cancel = x->http->cancel;

	if (!cancel || !atomic_load(cancel))
		return false;
	if (!x->cancelled_ms)
		x->cancelled_ms = oci_clock_ms();
	return oci_clock_ms() - x->cancelled_ms >= x->request->grace_ms;
}

bool oci_http_exchange_rests(struct oci_http_exchange *x)
{
	uint64_t wait_ms = oci_rate_wait_ms(x->http->rate);

	if (wait_ms == 0)
		return false;
	x->moved_ms = x->seen_ms = oci_clock_ms();
	oci_clock_sleep_ms(wait_ms < OCI_HTTP_POLL_MS ? wait_ms : OCI_HTTP_POLL_MS);
	return true;
}

/* False once bytes may flow again. */
static bool rest(struct oci_http_exchange *x)
{
	if (oci_http_exchange_rests(x))
		return true;
	x->moved_ms = x->seen_ms = oci_clock_ms();
	x->resting = false;
	curl_easy_pause(x->link->easy, CURLPAUSE_CONT);
	return false;
}

int oci_http_exchange_step(struct oci_http_exchange *x, struct oci_error *err)
{
	int running;

	if (oci_http_exchange_cancelled(x))
		return oci_fail(err, OCI_E_CANCELLED, "cancelled");
	if (x->resting && rest(x))
		return 0;
	if (x->phase != OCI_DIRECT_NOT)
		return oci_http_direct_step(x, err);
	x->stirred = false;
	if (curl_multi_perform(x->link->multi, &running) != CURLM_OK)
		return oci_http_fail(x->request, err, OCI_E_BUG, "the transfer library failed");
	if (collect(x, err) < 0)
		return -1;
	if (x->done)
		return 0;
	int moved = oci_http_exchange_progress(x, err);
	if (moved < 0)
		return -1;
	if (!moved && !x->stirred)
		curl_multi_poll(x->link->multi, NULL, 0, OCI_HTTP_POLL_MS, NULL);
	return 0;
}

const char *oci_http_exchange_header(const struct oci_http_exchange *x, const char *name, size_t index)
{
	struct curl_header *header = NULL;

	if (x->phase != OCI_DIRECT_NOT)
		return oci_http_head_get(&x->head, name, index);
	if (curl_easy_header(x->link->easy, name, index, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return NULL;
	return header->value;
}

uint64_t oci_http_exchange_retry_after_ms(const struct oci_http_exchange *x)
{
	return oci_retry_after_ms(oci_http_exchange_header(x, "Retry-After", 0), 4 * x->http->stall_ms);
}

static enum oci_http_taken drop(void *ctx, const void *data, size_t len)
{
	size_t *left = ctx;
	if (len > *left)
		return OCI_BODY_CUT;
	*left -= len;
	return OCI_BODY_TAKEN;
}

void oci_http_exchange_discard(struct oci_http_exchange *x)
{
	enum oci_http_taken (*on_body)(void *, const void *, size_t) = x->on_body;
	void *ctx = x->ctx;
	size_t left = OCI_HTTP_ERROR_BODY_MAX;

	x->on_body = drop;
	x->ctx = &left;
	if (oci_http_exchange_resume(x, NULL) == 0)
		while (!x->done && oci_http_exchange_step(x, NULL) == 0)
			;
	oci_http_exchange_end(x);
	x->on_body = on_body;
	x->ctx = ctx;
}

void oci_http_exchange_end(struct oci_http_exchange *x)
{
	if (x->link)
		oci_trace_show(x);
	if (x->phase != OCI_DIRECT_NOT) {
		oci_http_direct_end(x);
	} else if (x->link) {
		curl_multi_remove_handle(x->link->multi, x->link->easy);
		curl_easy_reset(x->link->easy);
		oci_http_link_keep(x->http, oci_steal(&x->link));
	}
	curl_slist_free_all(x->headers);
	x->headers = NULL;
}
