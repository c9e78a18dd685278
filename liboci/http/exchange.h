/* exchange.h - one request and its answer on one connection; private to http/
 *
 *     struct oci_http_exchange x = {.on_body = take, .ctx = me};
 *     oci_http_open(http, &request, &x, err);   credentials, redirects; headers are in
 *     x.status, oci_http_exchange_header(&x, "location", 0)
 *     oci_http_exchange_resume(&x);             only now the body flows
 *     while (!x.done && oci_http_exchange_step(&x, err) == 0) ...
 *     oci_http_exchange_end(&x);                always, also after a failure
 *
 * A streamed body (`stream_bytes` > 0) is pushed: set out and out_len, resume,
 * step until out_len is 0. open() returns as soon as the server wants the
 * first byte (100 Continue, or one second) or has answered.
 *
 * Where x.phase is not OCI_DIRECT_NOT and the scheme is http, a file may be out: out_file, out_len.
 *
 * A body that was asked for with `direct` goes straight into a buffer instead,
 * where x.phase says OCI_DIRECT_READS once the headers are in (http/direct.h):
 *
 *     while (!x.done && (n = oci_http_exchange_receive(&x, data, size, err)) >= 0) ...
 *
 * Connections are kept by the client and reused by the next exchange.
 */
#pragma once

#include <curl/curl.h>
#include <pthread.h>

#include "http/auth.h"
#include "http/certs.h"
#include "http/client.h"
#include "http/head.h"
#include "http/pace.h"
#include "http/rate.h"
#include "http/reach.h"
#include "http/url.h"

#define OCI_HTTP_LINKS_IDLE 32
#define OCI_HTTP_POLL_MS 100
#define OCI_HTTP_HEADERS_MAX (256 * OCI_KIB)
#define OCI_HTTP_ERROR_BODY_MAX (64 * OCI_KIB)
#define OCI_HTTP_STALL_MS 30000
#define OCI_HTTP_RETRY_FOR_MS (15 * 60 * 1000)

struct oci_http_link {
	CURLM *multi; /* holds the connections; used by one exchange at a time */
	CURL *easy;
	char *origin; /* where a connection of a direct exchange leads; NULL: the library's own */
	curl_socket_t socket; /* its */
	int least;            /* bytes that wake us up; 0: as the system does */
	char reason[CURL_ERROR_SIZE];
};

struct oci_http {
	struct oci_url origin;
	char *base; /* the origin as typed: what URLs begin with */
	struct oci_url secure; /* where http is a guess: the origin if it is https after all; else empty */
	atomic_bool is_secure; /* and it is */
	struct oci_certs certs;
	bool tls_insecure;
	struct oci_strings headers; /* for the own origin */
	const atomic_int *cancel;
	const struct oci_observer *observer;
	struct oci_rate *rate;
	uint64_t stall_ms, retry_for_ms;
	struct oci_auth *auth;
	struct oci_pace pace;
	atomic_int reach; /* of the registry's own address, once known */
	atomic_uint failures;    /* of downloads, without a byte */
	atomic_bool served;      /* it has answered a request as it was asked to */
	atomic_bool outage_told; /* outage.h */
	atomic_bool no_expect;   /* it knows nothing of 100 Continue */
	atomic_bool odd;         /* its answers are for the library: direct.h */
	pthread_mutex_t lock; /* guards what follows */
	struct oci_strings warnings; /* already shown */
	struct oci_tls_trust *trust; /* NULL: not read yet */
	struct oci_http_link *idle[OCI_HTTP_LINKS_IDLE];
	size_t idle_count;
};

/* Bytes of a file that are to be sent. */
struct oci_http_file {
	int fd, failed;  /* errno of reading it; ENODATA: it ended */
	uint64_t offset; /* moves on */
	bool copies;     /* no sendfile() from there */
};

enum oci_http_taken {
	OCI_BODY_TAKEN,
	OCI_BODY_FULL, /* nothing taken: again after resume */
	OCI_BODY_CUT,  /* want no more of it */
};

struct oci_http_exchange {
	/* set by the caller before open; */
	enum oci_http_taken (*on_body)(void *ctx, const void *data, size_t len);
	void *ctx;
	uint64_t stream_bytes;
	unsigned attempt; /* how often it was tried before: for the trace alone */

	/* bytes to send next, of a stream; */
	const unsigned char *out;
	struct oci_http_file *out_file; /* NULL: they are at `out` */
	size_t out_len;

	/* what is known of the answer; */
	int status;
	bool headers_in;
	bool wanted;      /* the server wants the stream's body */
	bool done;        /* nothing more will come */
	unsigned hops;    /* redirects behind us */
	struct oci_url url; /* what was asked last */
	/* where it is direct; */
	enum {
		OCI_DIRECT_NOT, OCI_DIRECT_CONNECTS, OCI_DIRECT_ASKS, OCI_DIRECT_LISTENS,
		OCI_DIRECT_SENDS, OCI_DIRECT_GATHERS, OCI_DIRECT_READS,
	} phase;
	bool odd, reused, expects;  /* 100 Continue */
	struct oci_buf ask;         /* the request */
	size_t asked;               /* bytes of it that are sent */
	uint64_t asked_ms;          /* since when all are */
	uint64_t streamed;          /* bytes of the stream that are */
	size_t interim_bytes;       /* of answers before the answer */
	struct oci_http_head head;
	size_t taken;               /* bytes of head.text that were passed on */
	uint64_t received, body_left;
	/* and its own. */
	struct oci_http *http;
	const struct oci_http_request *request;
	struct oci_http_link *link;
	struct curl_slist *headers;
	const char *authorization; /* borrowed until the headers are in */
	bool own_origin, proxied, flowing, cut, too_private;
	bool resting;        /* a pause that the rate asked for */
	const char *bad_ca;  /* a file that could not be read, borrowed */
	bool stirred;        /* a callback ran: the caller may have what it waits for */
	bool head_begun;     /* the answer's, not a 100 Continue */
	size_t header_bytes;
	uint64_t begun_ms;
	uint64_t moved, moved_ms;
	uint64_t seen_ms;    /* when that was looked at last */
	uint64_t slow_ms, slow_moved; /* a stretch of work, and where it began */
	uint64_t cancelled_ms; /* when the flag was first seen, 0: not yet */
};

/* The registry's own origin, as far as that is known. */
const struct oci_url *oci_http_home(const struct oci_http *http);
/* Send, log in, follow redirects. 0: headers of the answer are in, whatever
 * its status, or a stream's body is wanted. */
int oci_http_open(struct oci_http *http, const struct oci_http_request *request,
	struct oci_http_exchange *x, struct oci_error *err);

/* These are private to exchange*.c and direct.c: the header lines of a request to x->url, */
int oci_http_exchange_add_headers(struct oci_http_exchange *x, struct oci_error *err);
/* the options of x->link, */
int oci_http_exchange_set_up(struct oci_http_exchange *x, struct oci_error *err);
/* 1: bytes moved since the last call; -1: none for too long, */
int oci_http_exchange_progress(struct oci_http_exchange *x, struct oci_error *err);
/* what the library failed with, */
int oci_http_exchange_failed(const struct oci_http_exchange *x, CURLcode code, struct oci_error *err);
bool oci_http_exchange_cancelled(struct oci_http_exchange *x);
/* the sleep that the rate asks for, if it does: no stall, */
bool oci_http_exchange_rests(struct oci_http_exchange *x);
/* and bytes of the body that moved, up or down. */
uint64_t oci_http_exchange_moved(const struct oci_http_exchange *x);

/* Records that x->url is on a more private network than the registry; returns -1. */
int oci_http_exchange_too_private(const struct oci_http_exchange *x, struct oci_error *err);

/* One try, to x->url, as it is. */
int oci_http_exchange_begin(struct oci_http_exchange *x, const char *authorization, struct oci_error *err);
/* Let body bytes flow (again). */
int oci_http_exchange_resume(struct oci_http_exchange *x, struct oci_error *err);
/* Move what can be moved, or wait for up to 100 ms. */
int oci_http_exchange_step(struct oci_http_exchange *x, struct oci_error *err);
/* What the answer's Retry-After asks for, bounded; 0: nothing. */
uint64_t oci_http_exchange_retry_after_ms(const struct oci_http_exchange *x);
/* Up to `size` bytes of a direct body; 0: none within 100 ms, or it is done. */
ssize_t oci_http_exchange_receive(struct oci_http_exchange *x, void *data, size_t size, struct oci_error *err);
/* The value of header number `index` of that name, NULL when there is none.
 * Borrowed until the end of the exchange. */
const char *oci_http_exchange_header(const struct oci_http_exchange *x, const char *name, size_t index);
/* Read the rest of a small body and throw it away, so that the connection can
 * be used again; then end. */
void oci_http_exchange_discard(struct oci_http_exchange *x);
void oci_http_exchange_end(struct oci_http_exchange *x);

/* Fill everything but the body from the headers. */
int oci_http_response_read(struct oci_http_response *ret, const struct oci_http_exchange *x,
	struct oci_error *err);
/* on_body for a response; ctx is the response. */
enum oci_http_taken oci_http_response_take(void *ctx, const void *data, size_t len);
/* oci_fail with "<method> <url without query>: " in front. */
int oci_http_fail(const struct oci_http_request *request, struct oci_error *err, enum oci_errc code,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

struct oci_http_link *oci_http_link_new(void);
void oci_http_link_free(struct oci_http_link *link);
/* One that idles, of that origin (NULL: of the library); NULL: none does. */
struct oci_http_link *oci_http_link_idle(struct oci_http *http, const char *origin);
void oci_http_link_keep(struct oci_http *http, struct oci_http_link *link);
