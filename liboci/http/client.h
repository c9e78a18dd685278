/* client.h - requests to one registry, shared by threads
 *
 *     http = oci_http_new(&options, err);
 *
 *     OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;
 *     oci_http_response_init(&answer, 4 * OCI_MIB);
 *     struct oci_http_request ask = {.method = "GET", .url = url, .scope = "repository:a/b:pull"};
 *     if (oci_http_perform(http, &ask, &answer, err) < 0) ...        no answer at all
 *     if (oci_http_expect(&ask, &answer, 200, err) < 0) ...          an answer we do not want
 *
 * What the client takes care of:
 * - Credentials (auth.h) go to the registry's own origin only; a client
 *   certificate too. A request without scope never carries any.
 * - GET and HEAD follow at most 10 redirects, by hand: http and https only,
 *   never from https to http, and Authorization stays at home.
 * - Another origin may not be on a more private network than the registry
 *   (reach.h): a token service of a public registry not on 10.0.0.1, a redirect
 *   not on this machine, neither on the link-local network of the metadata
 *   services. A redirect to a private network is allowed: it gets no secret.
 *   What goes through a proxy of the user's is judged by the URL alone.
 * - Requests marked `retry` are tried up to 5 times on a failed connection and
 *   on 408, 429, 500, 502, 503, 504, with backoff and Retry-After (at most four
 *   times stall_ms). Those marked `patient` are, too, and for `retry_for_ms` when
 *   the registry has served something before.
 * - Timeouts follow from `stall_ms`, 30 s: a connection without a byte for so
 *   long is given up. Connecting may take half of that; the first byte of an
 *   answer twice that, unless the request says otherwise; and over twice that a
 *   transfer must come to 1 KiB a second, not counted what --limit-rate or the
 *   caller keeps waiting. The cancel flag is looked at ten times a second.
 * - Proxies of the environment (proxy.h), certificates of the system, of
 *   SSL_CERT_FILE and SSL_CERT_DIR, and of certs.d (certs.h).
 * - After a 429 all requests of the client slow down together (pace.h), and
 *   all bytes keep to the rate (rate.h).
 * - A Warning of the registry is a warn event, once a text (warning.h), and the
 *   end of each request a trace event (trace.h).
 * - HTTP/1.1: transfers in parallel must not share one connection.
 *
 * Errors: OCI_E_NETWORK (connection, timeout, server errors), OCI_E_TLS,
 * OCI_E_AUTH (401, 403), OCI_E_NOT_FOUND, OCI_E_RATE, OCI_E_FORMAT (an answer
 * that breaks the protocol or a bound), OCI_E_CANCELLED. Texts name method and
 * URL without query.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/event.h"
#include "base/str.h"

struct oci_credentials;
struct oci_http;
struct oci_rate;

struct oci_http_options {
	const char *host;            /* host[:port] to talk to; http:// or https:// before it decides */
	const char *credentials_for; /* host/repository as the user's credential files know it */
	bool plain_http;             /* http also for hosts other than localhost */
	bool tls_insecure;
	const char *ca_file, *cert_file, *key_file; /* PEM; NULL: none */
	const struct oci_strings *authfiles; /* NULL or empty: the documented search */
	const struct oci_credentials *credentials; /* these, and no file is read; NULL: those of the files */
	const struct oci_strings *headers; /* "Name: value" for the registry's own origin; NULL: none */
	struct oci_rate *rate;       /* rate.h; NULL: no limit */
	uint64_t stall_ms;           /* 0: 30 s */
	uint64_t retry_for_ms;       /* 0: 15 min */
	const atomic_int *cancel;    /* non-zero: stop; NULL: none */
	const struct oci_observer *observer;
};

/* Strings are copied; cancel, observer and rate are borrowed. https, but http
 * for localhost unless a TLS option is set, certs.h knows the host, or its first answer says
 * that it wants https. */
struct oci_http *oci_http_new(const struct oci_http_options *options, struct oci_error *err);
void oci_http_free(struct oci_http *http);
/* "https://host:port", without a slash at its end. */
const char *oci_http_origin(const struct oci_http *http);
/* As far as is known, can it be sent bytes of a file that are not read here? (upload.h) */
bool oci_http_takes_files(const struct oci_http *http);
/* How long the first byte of an answer may take. */
uint64_t oci_http_answer_ms(const struct oci_http *http);
/* Downloads that failed before a byte came, and were or will be tried again. */
unsigned oci_http_failures(const struct oci_http *http);
/* How long a transfer may go without progress. */
uint64_t oci_http_retry_for_ms(const struct oci_http *http);
/* Docker Hub goes by several names: what it is called in references and credential
 * files, and where it is asked. Other hosts are themselves. */
const char *oci_http_known_as(const char *host);
const char *oci_http_asked_at(const char *host);
/* Is this absolute URL the registry's own? Upload sessions and further pages
 * must be: what is sent there is ours. */
bool oci_http_is_home(const struct oci_http *http, const char *url);

struct oci_http_request {
	const char *method;        /* GET HEAD PUT POST PATCH DELETE */
	const char *url;           /* absolute */
	const char *scope;         /* what a token must allow, "repository:a/b:pull"; NULL: no credentials */
	const char *accept;        /* these three NULL: no such header */
	const char *content_type;
	const char *content_range;
	const char *range;         /* "first-last" */
	const void *body;          /* sent whole, may be sent again; NULL: none */
	size_t body_len;
	uint64_t answer_ms;        /* wait for the answer's first byte; 0: oci_http_answer_ms() */
	bool retry;                /* sending it twice does no harm */
	bool patient;              /* do, and what was done so far would be a pity to lose */
	uint64_t grace_ms;         /* how long it may go on after the cancel flag rose */
	bool direct;               /* a body worth no copy: oci_http_exchange_receive(), where it goes */
	const char *authorization; /* instead of a scope: sent as it is, redirects are not followed */
};

struct oci_http_response {
	int status;
	struct oci_buf body;       /* a body beyond its maximum is OCI_E_FORMAT; errors keep 64 KiB */
	char *url;                 /* what answered, after redirects */
	char *location;            /* absolute; these NULL: absent */
	char *content_type;        /* without parameters */
	char *content_digest;      /* Docker-Content-Digest */
	char *range;               /* Range of an upload session */
	char *link;                /* the target of rel="next", absolute */
	uint64_t content_length;   /* UINT64_MAX: absent */
	uint64_t chunk_min;        /* OCI-Chunk-Min-Length, 0: absent */
	uint64_t retry_after_ms;   /* 0: absent */
};

void oci_http_response_init(struct oci_http_response *response, size_t body_max);
void oci_http_response_clear(struct oci_http_response *response);

int oci_http_perform(struct oci_http *http, const struct oci_http_request *request,
	struct oci_http_response *ret, struct oci_error *err);

/* 0 when the status is `want` (200 also allows 206), else the failure that the status and the
 * registry's own words mean. A web page as the answer to GET is OCI_E_FORMAT. */
int oci_http_expect(const struct oci_http_request *request, const struct oci_http_response *response,
	int want, struct oci_error *err);
