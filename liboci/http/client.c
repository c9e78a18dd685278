#include "http/client.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "http/exchange.h"
#include "http/outage.h"
#include "http/proxy.h"
#include "http/retry.h"
#include "http/tls.h"
#include "http/warning.h"

#define REDIRECTS_MAX 10
#define LOGINS_MAX 2
#define CHALLENGES_MAX 8
#define HUB_HOST "docker.io"

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* "https://host:443" and "https://host" are one origin; URLs are built from the typed form. */
static int set_origin(struct oci_http *http, const char *scheme, const char *host, struct oci_error *err)
{
	free(http->base);
	http->base = oci_str_printf("%s%s", scheme, host);
	if (!http->base)
		return oci_fail_nomem(err);
	if (oci_url_parse(http->base, &http->origin, err) < 0)
		return oci_wrap(err, "registry '%s'", host);
	return 0;
}

static const char *after_scheme(const char *host)
{
	const char *end = strstr(host, "://");
	return end ? end + 3 : host;
}

static int choose_origin(struct oci_http *http, const struct oci_http_options *o, struct oci_error *err)
{
	const struct oci_certs *certs = &http->certs;
	bool tls_wanted = certs->ca_files.count > 0 || certs->cert_file || o->tls_insecure;

	if (after_scheme(o->host) != o->host)
		return set_origin(http, "", o->host, err);
	if (set_origin(http, "https://", o->host, err) < 0)
		return -1;
	if (!o->plain_http && (tls_wanted || !oci_url_is_loopback(&http->origin)))
		return 0;
	if (!o->plain_http && oci_url_parse(http->base, &http->secure, err) < 0)
		return -1;
	return set_origin(http, "http://", o->host, err);
}

static int choose_certs(struct oci_http *http, const struct oci_http_options *o, struct oci_error *err)
{
	if (o->ca_file && oci_strings_add(&http->certs.ca_files, o->ca_file, err) < 0)
		return -1;
	if (oci_str_set(&http->certs.cert_file, o->cert_file, err) < 0 ||
	    oci_str_set(&http->certs.key_file, o->key_file, err) < 0)
		return -1;
	return oci_certs_find(after_scheme(o->host), &http->certs, err);
}

static int fill(struct oci_http *http, const struct oci_http_options *o, struct oci_error *err)
{
	if (choose_certs(http, o, err) < 0 || choose_origin(http, o, err) < 0)
		return -1;
	for (size_t i = 0; o->headers && i < o->headers->count; i++)
		if (oci_strings_add(&http->headers, o->headers->items[i], err) < 0)
			return -1;
	if (http->tls_insecure && http->origin.tls)
		oci_event_warn(http->observer, "the certificate of '%s' is not checked: whoever sits between can read "
			"and change everything, passwords too; --ca-file is the safe way", after_scheme(o->host));
	http->auth = oci_auth_new(http, o, err);
	return http->auth ? 0 : -1;
}

struct oci_http *oci_http_new(const struct oci_http_options *options, struct oci_error *err)
{
	pthread_once(&curl_once, start_curl);

	struct oci_http *http = calloc(1, sizeof *http);
	if (!http) {
		oci_fail_nomem(err);
		return NULL;
	}
	pthread_mutex_init(&http->lock, NULL);
	oci_pace_init(&http->pace);
	atomic_init(&http->reach, OCI_REACH_PUBLIC);
	atomic_init(&http->served, false);
	atomic_init(&http->outage_told, false);
	atomic_init(&http->odd, false);
	atomic_init(&http->is_secure, false);
	http->tls_insecure = options->tls_insecure;
	http->cancel = options->cancel;
	http->observer = options->observer;
	http->rate = options->rate;
	http->stall_ms = options->stall_ms ? options->stall_ms : OCI_HTTP_STALL_MS;
	http->retry_for_ms = options->retry_for_ms ? options->retry_for_ms : OCI_HTTP_RETRY_FOR_MS;
	if (fill(http, options, err) < 0) {
		oci_http_free(http);
		return NULL;
	}
	return http;
}

void oci_http_free(struct oci_http *http)
{
	if (!http)
		return;
	for (size_t i = 0; i < http->idle_count; i++)
		oci_http_link_free(http->idle[i]);
	oci_auth_free(http->auth);
	oci_url_clear(&http->origin);
	oci_url_clear(&http->secure);
	free(http->base);
	oci_certs_clear(&http->certs);
	oci_tls_trust_free(http->trust);
	oci_strings_clear(&http->headers);
	oci_strings_clear(&http->warnings);
	oci_pace_clear(&http->pace);
	pthread_mutex_destroy(&http->lock);
	free(http);
}

const char *oci_http_origin(const struct oci_http *http)
{
	return http->base;
}

const struct oci_url *oci_http_home(const struct oci_http *http)
{
	return atomic_load(&http->is_secure) ? &http->secure : &http->origin;
}

bool oci_http_takes_files(const struct oci_http *http)
{
	const struct oci_url *home = oci_http_home(http);

	return !home->tls && !atomic_load(&http->odd) && !oci_proxy_for(home);
}

uint64_t oci_http_answer_ms(const struct oci_http *http)
{
	return 2 * http->stall_ms;
}

unsigned oci_http_failures(const struct oci_http *http)
{
	return atomic_load(&http->failures);
}

uint64_t oci_http_retry_for_ms(const struct oci_http *http)
{
	return http->retry_for_ms;
}

const char *oci_http_known_as(const char *host)
{
	return strcmp(host, "index." HUB_HOST) == 0 ? HUB_HOST : host;
}

const char *oci_http_asked_at(const char *host)
{
	return strcmp(oci_http_known_as(host), HUB_HOST) == 0 ? "registry-1." HUB_HOST : host;
}

bool oci_http_is_home(const struct oci_http *http, const char *url)
{
	OCI_CLEANUP(oci_url_clear) struct oci_url parsed = {0};
	return oci_url_parse(url, &parsed, NULL) == 0 && oci_url_same_origin(&parsed, oci_http_home(http));
}

/* opening: logins and redirects */

static bool is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool may_follow(const struct oci_http_request *r)
{
	return !r->authorization && (strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0);
}

static int follow(struct oci_http_exchange *x, struct oci_error *err)
{
	OCI_CLEANUP(oci_url_clear) struct oci_url next = {0};
	const char *location = oci_http_exchange_header(x, "Location", 0);

	if (!location)
		return oci_http_fail(x->request, err, OCI_E_FORMAT, "a redirect without Location");
	if (++x->hops > REDIRECTS_MAX)
		return oci_http_fail(x->request, err, OCI_E_NETWORK, "more than %d redirects", REDIRECTS_MAX);
	if (oci_url_join(&x->url, location, &next, err) < 0)
		return oci_wrap(err, "redirect");
	if (x->url.tls && !next.tls)
		return oci_http_fail(x->request, err, OCI_E_FORMAT, "refused a redirect from https to '%s'",
			next.origin);
	oci_http_exchange_discard(x);
	oci_url_clear(&x->url);
	x->url = next;
	next = (struct oci_url){0};
	return 0;
}

static int login(struct oci_http_exchange *x, const char *sent, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings headers = {0};
	const char *header;

	for (size_t i = 0; i < CHALLENGES_MAX; i++) {
		header = oci_http_exchange_header(x, "WWW-Authenticate", i);
		if (!header)
			break;
		if (oci_strings_add(&headers, header, err) < 0)
			return -1;
	}
	oci_http_exchange_discard(x);
	if (oci_auth_answer(x->http->auth, x->request->scope, sent, &headers, err) < 0)
		return oci_wrap(err, "%s", x->http->base);
	return 0;
}

static void look_at(struct oci_http_exchange *x)
{
	uint64_t after_ms = oci_http_exchange_retry_after_ms(x);

	oci_pace_tell(&x->http->pace, x->status, after_ms);
	if (x->status < 400)
		atomic_store(&x->http->served, true);
	oci_warning_show(x);
}

/* This machine's registry was asked by http because nobody said otherwise: Go
 * and nginx answer so where it is https. */
static bool is_https_after_all(const struct oci_http_exchange *x)
{
	const char *type = oci_http_exchange_header(x, "Content-Type", 0);

	return x->status == 400 && x->http->secure.tls && !x->url.tls && x->own_origin && may_follow(x->request) &&
		!atomic_load(&x->http->served) && (!type || oci_str_starts(type, "text/html"));
}

/* URLs that were made before that was known are of the same registry. */
static int go_home(struct oci_http_exchange *x, struct oci_error *err)
{
	OCI_CLEANUP(oci_url_clear) struct oci_url plain = x->url;

	if (!atomic_load(&x->http->is_secure) || !oci_url_same_origin(&plain, &x->http->origin)) {
		plain = (struct oci_url){0};
		return 0;
	}
	x->url = (struct oci_url){0};
	oci_autofree char *text = oci_str_printf("https%s", plain.text + strlen("http"));
	return text ? oci_url_parse(text, &x->url, err) : oci_fail_nomem(err);
}

/* One request as far as its headers; *sent is the Authorization that went with it. */
static int ask(struct oci_http_exchange *x, struct oci_buf *sent, struct oci_error *err)
{
	const struct oci_http_request *r = x->request;

	if (go_home(x, err) < 0)
		return -1;
	x->own_origin = oci_url_same_origin(&x->url, oci_http_home(x->http));
	oci_buf_reset(sent);
	if (r->authorization && oci_buf_puts(sent, r->authorization, err) < 0)
		return -1;
	if (x->own_origin && r->scope && oci_auth_header(x->http->auth, r->scope, sent, err) < 0)
		return -1;
	if (oci_pace_wait(&x->http->pace, x->http->cancel, err) < 0)
		return -1;
	if (oci_http_exchange_begin(x, sent->len ? sent->data : NULL, err) < 0)
		return -1;
	while (!x->headers_in && !x->wanted && !x->done)
		if (oci_http_exchange_step(x, err) < 0)
			return -1;
	if (x->own_origin && x->headers_in)
		look_at(x);
	if (x->own_origin && x->headers_in && r->scope && sent->len && x->status != 401)
		oci_auth_prove(x->http->auth, r->scope, sent->data);
	return 0;
}

int oci_http_open(struct oci_http *http, const struct oci_http_request *request,
	struct oci_http_exchange *x, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf sent;
	unsigned logins = 0;

	oci_buf_init(&sent, OCI_AUTH_HEADER_MAX);
	x->http = http;
	x->request = request;
	x->hops = 0;
	if (oci_url_parse(request->url, &x->url, err) < 0)
		return -1;
	for (;;) {
		if (ask(x, &sent, err) < 0)
			return -1;
		if (x->status == 401 && x->own_origin && request->scope && logins++ < LOGINS_MAX) {
			if (login(x, oci_buf_text(&sent), err) < 0)
				return -1;
		} else if (is_redirect(x->status) && may_follow(request)) {
			if (follow(x, err) < 0)
				return -1;
		} else if (is_https_after_all(x)) {
			oci_http_exchange_discard(x);
			atomic_store(&x->http->is_secure, true);
		} else {
			return 0;
		}
	}
}

/* whole documents */

static int finish(struct oci_http_exchange *x, struct oci_http_response *ret, struct oci_error *err)
{
	if (oci_http_response_read(ret, x, err) < 0 || oci_http_exchange_resume(x, err) < 0)
		return -1;
	while (!x->done)
		if (oci_http_exchange_step(x, err) < 0)
			return -1;
	if (x->cut && ret->status < 300)
		return oci_http_fail(x->request, err, OCI_E_FORMAT, "an answer over %zu bytes", ret->body.max);
	return 0;
}

static int perform_once(struct oci_http *http, const struct oci_http_request *request, unsigned attempt,
	struct oci_http_response *ret, struct oci_error *err)
{
	struct oci_http_exchange x = {.on_body = oci_http_response_take, .ctx = ret, .attempt = attempt};

	int rc = oci_http_open(http, request, &x, err);
	if (rc == 0)
		rc = finish(&x, ret, err);
	oci_http_exchange_end(&x);
	oci_url_clear(&x.url);
	return rc;
}

/* `now` is filled when there was no answer at all. */
static bool is_worth_another(struct oci_http *http, const struct oci_http_request *request, unsigned attempt,
	uint64_t since_ms, int rc, const struct oci_http_response *answer, const struct oci_error *now)
{
	struct oci_error why = *now;

	if (!request->retry && !request->patient)
		return false;
	if (rc < 0 ? !oci_retry_failure(now) : !oci_retry_status(answer->status))
		return false;
	if (!request->patient)
		return attempt + 1 < OCI_RETRY_TRIES;
	if (rc == 0)
		(void)oci_http_expect(request, answer, 0, &why);
	return !oci_outage_is_over_long(http, attempt + 1, since_ms, &why);
}

int oci_http_perform(struct oci_http *http, const struct oci_http_request *request,
	struct oci_http_response *ret, struct oci_error *err)
{
	uint64_t since_ms = oci_clock_ms();

	for (unsigned attempt = 0;; attempt++) {
		struct oci_error now = {0};
		oci_http_response_clear(ret);
		int rc = perform_once(http, request, attempt, ret, &now);
		if (!is_worth_another(http, request, attempt, since_ms, rc, ret, &now)) {
			if (rc < 0 && err && !err->code)
				*err = now;
			return rc;
		}
		if (oci_retry_wait(attempt, ret->retry_after_ms, http->cancel, err) < 0)
			return -1;
	}
}
