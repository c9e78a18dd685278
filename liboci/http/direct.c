#include "http/direct.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "http/proxy.h"

#define REQUEST_MAX (64 * OCI_KIB)
#define SMALL_PIECE (16 * OCI_KIB)
/* Plain connections wake us for so much at a time, or for the end. */
#define LEAST_PIECE ((int)(128 * OCI_KIB))
#define WANTED_AFTER_MS 1000 /* without 100 Continue, which not all servers know */

bool oci_http_direct_may(const struct oci_http_exchange *x)
{
	return x->request->direct && !x->odd && !atomic_load(&x->http->odd) && !oci_proxy_for(&x->url);
}

/* connecting */

/* What comes on an idle connection is its end. */
static bool is_quiet(const struct oci_http_link *link)
{
	struct pollfd fd = {.fd = link->socket, .events = POLLIN};

	return poll(&fd, 1, 0) == 0;
}

static int connect_anew(struct oci_http_exchange *x, struct oci_error *err)
{
	x->phase = OCI_DIRECT_CONNECTS;
	x->reused = false;
	x->link = oci_http_link_new();
	if (!x->link || oci_str_set(&x->link->origin, x->url.origin, NULL) < 0)
		return oci_fail_nomem(err);
	if (oci_http_exchange_set_up(x, err) < 0)
		return -1;
	curl_easy_setopt(x->link->easy, CURLOPT_CONNECT_ONLY, 1L);
	if (curl_multi_add_handle(x->link->multi, x->link->easy) != CURLM_OK)
		return oci_fail_nomem(err);
	return 0;
}

/* "host:port" and "/path?query" of a URL, as its text has them. */
static void split(const struct oci_url *url, int *host_len, const char **host, const char **target)
{
	const char *port = url->tls ? ":443" : ":80";
	size_t len;

	*host = strstr(url->text, "://") + 3;
	len = strcspn(*host, "/?");
	*target = *host + len;
	if (len > strlen(port) && strncmp(*host + len - strlen(port), port, strlen(port)) == 0)
		len -= strlen(port); /* left out where it is the scheme's own: signed URLs count on that */
	*host_len = (int)len;
}

static int write_request(struct oci_http_exchange *x, struct oci_error *err)
{
	const char *host, *target;
	int host_len;

	split(&x->url, &host_len, &host, &target);
	oci_buf_reset(&x->ask);
	if (oci_buf_printf(&x->ask, err, "%s %s%s HTTP/1.1\r\nHost: %.*s\r\n", x->request->method,
		    *target == '/' ? "" : "/", target, host_len, host) < 0)
		return -1;
	if (x->stream_bytes && oci_buf_printf(&x->ask, err, "Content-Length: %" PRIu64 "\r\n", x->stream_bytes) < 0)
		return -1;
	for (const struct curl_slist *line = x->headers; line; line = line->next)
		if (oci_buf_printf(&x->ask, err, "%s\r\n", line->data) < 0)
			return -1;
	x->asked = 0;
	return oci_buf_puts(&x->ask, "\r\n", err);
}

int oci_http_direct_begin(struct oci_http_exchange *x, struct oci_error *err)
{
	x->phase = OCI_DIRECT_CONNECTS;
	oci_buf_init(&x->ask, REQUEST_MAX);
	if (oci_http_head_init(&x->head, err) < 0 || oci_http_exchange_add_headers(x, err) < 0 || write_request(x, err) < 0)
		return -1;
	/* A limit of bytes a connection is then one of bytes a stream. */
	while (!x->stream_bytes && (x->link = oci_http_link_idle(x->http, x->url.origin)) && !is_quiet(x->link))
		oci_http_link_free(oci_steal(&x->link));
	if (!x->link)
		return connect_anew(x, err);
	x->reused = true;
	x->phase = OCI_DIRECT_ASKS;
	return 0;
}

static int connect_step(struct oci_http_exchange *x, struct oci_error *err)
{
	CURL *easy = x->link->easy;
	CURLMsg *message;
	int running, left;

	if (curl_multi_perform(x->link->multi, &running) != CURLM_OK)
		return oci_http_fail(x->request, err, OCI_E_BUG, "the transfer library failed");
	message = curl_multi_info_read(x->link->multi, &left);
	if (!message) {
		curl_multi_poll(x->link->multi, NULL, 0, OCI_HTTP_POLL_MS, NULL);
		return oci_http_exchange_progress(x, err) < 0 ? -1 : 0;
	}
	if (message->data.result != CURLE_OK)
		return oci_http_exchange_failed(x, message->data.result, err);
	if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &x->link->socket) != CURLE_OK ||
		x->link->socket == CURL_SOCKET_BAD)
		return oci_http_fail(x->request, err, OCI_E_BUG, "the transfer library has no socket");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL); /* it lives longer than they do */
	x->phase = OCI_DIRECT_ASKS;
	return 0;
}

/* asking */

/* Poll wakes up for so many bytes, for the end, or after its time. */
static void set_least(const struct oci_http_exchange *x, int least)
{
	struct oci_http_link *link = x->link;

	if (x->url.tls || link->least == least)
		return;
	if (setsockopt(link->socket, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least) == 0)
		link->least = least;
}

short oci_http_direct_wait(const struct oci_http_exchange *x, short events, int timeout_ms)
{
	struct pollfd fd = {.fd = x->link->socket, .events = events};

	return poll(&fd, 1, timeout_ms) > 0 ? fd.revents : 0;
}

/* A connection that idled may end just when it is asked again. */
static int lost(struct oci_http_exchange *x, CURLcode code, struct oci_error *err)
{
	if (x->reused && x->head.len == 0) {
		oci_http_link_free(oci_steal(&x->link));
		x->asked = 0;
		return connect_anew(x, err);
	}
	if (code != CURLE_OK)
		return oci_http_exchange_failed(x, code, err);
	return oci_http_fail(x->request, err, OCI_E_NETWORK, "%s",
		x->head.len > 0 ? "the answer ended within its head" : "the connection was closed without an answer");
}

/* 100 Continue, a second without it, or who knows none. */
static void begin_stream(struct oci_http_exchange *x)
{
	x->phase = OCI_DIRECT_SENDS;
	x->wanted = x->stirred = true;
}

static int ask_step(struct oci_http_exchange *x, struct oci_error *err)
{
	size_t sent = 0;
	CURLcode code = curl_easy_send(x->link->easy, x->ask.data + x->asked, x->ask.len - x->asked, &sent);

	if (code != CURLE_OK && code != CURLE_AGAIN)
		return lost(x, code, err);
	x->asked += sent;
	if (x->asked == x->ask.len) {
		x->phase = OCI_DIRECT_LISTENS;
		x->asked_ms = oci_clock_ms();
		if (x->stream_bytes && !x->expects)
			begin_stream(x);
	} else if (sent == 0) {
		oci_http_direct_wait(x, POLLOUT, OCI_HTTP_POLL_MS);
	}
	return oci_http_exchange_progress(x, err) < 0 ? -1 : 0;
}

/* the head */

static int begin_again(struct oci_http_exchange *x, struct oci_error *err)
{
	oci_http_exchange_end(x);
	return oci_http_exchange_begin(x, x->authorization, err);
}

/* The library knows all of HTTP: it asks again. What became of a stream, nobody knows. */
static int leave_to_library(struct oci_http_exchange *x, struct oci_error *err)
{
	x->odd = true;
	atomic_store(&x->http->odd, true);
	if (x->wanted)
		return oci_http_fail(x->request, err, OCI_E_NETWORK, "the answer makes no sense");
	return begin_again(x, err);
}

/* RFC 9110 10.1.1: once more without the question whether the stream is wanted. */
static int drop_expect(struct oci_http_exchange *x, struct oci_error *err)
{
	atomic_store(&x->http->no_expect, true);
	return x->wanted ? oci_http_fail(x->request, err, OCI_E_NETWORK, "the server refuses to be asked first") :
		begin_again(x, err);
}

static void begin_body(struct oci_http_exchange *x)
{
	x->phase = x->head.framing == OCI_BODY_SIZED ? OCI_DIRECT_READS : OCI_DIRECT_GATHERS;
	x->status = x->head.status;
	x->headers_in = x->stirred = true;
	x->body_left = x->head.body_bytes;
	x->taken = x->head.end;
	x->done = x->phase == OCI_DIRECT_READS && x->body_left == 0;
}

static int hear_interim(struct oci_http_exchange *x, struct oci_error *err)
{
	x->interim_bytes += x->head.end;
	if (x->interim_bytes > OCI_HTTP_HEADERS_MAX)
		return oci_http_fail(x->request, err, OCI_E_FORMAT, "headers over 256 KiB");
	oci_http_head_drop(&x->head);
	if (x->stream_bytes && !x->wanted)
		begin_stream(x);
	return 0;
}

/* What is there of the head; behind an interim answer, the next may be there, too. */
static int hear(struct oci_http_exchange *x, struct oci_error *err)
{
	enum oci_http_head_state state;

	while ((state = oci_http_head_parse(&x->head)) == OCI_HEAD_INTERIM)
		if (hear_interim(x, err) < 0)
			return -1;
	x->header_bytes = x->interim_bytes + x->head.len;
	x->head_begun = x->head.len > 0;
	if (state == OCI_HEAD_ODD || (state == OCI_HEAD_WHOLE && x->head.framing != OCI_BODY_SIZED && !x->stream_bytes))
		return leave_to_library(x, err);
	if (state == OCI_HEAD_WHOLE && x->head.status == 417 && x->expects)
		return drop_expect(x, err);
	if (state == OCI_HEAD_WHOLE)
		begin_body(x);
	return 0;
}

int oci_http_direct_listen(struct oci_http_exchange *x, struct oci_error *err)
{
	struct oci_http_head *head = &x->head;
	size_t got = 0;
	CURLcode code = curl_easy_recv(x->link->easy, head->text + head->len, OCI_HTTP_HEAD_MAX - head->len, &got);

	if (code == CURLE_AGAIN)
		return 0;
	if (code != CURLE_OK || got == 0)
		return lost(x, code, err);
	head->len += got;
	return hear(x, err);
}

static int listen_step(struct oci_http_exchange *x, struct oci_error *err)
{
	size_t before = x->header_bytes;

	if (oci_http_direct_listen(x, err) < 0)
		return -1;
	if (x->phase != OCI_DIRECT_LISTENS || x->header_bytes > before)
		return 0;
	if (x->stream_bytes && !x->wanted && oci_clock_ms() - x->asked_ms >= WANTED_AFTER_MS) {
		begin_stream(x);
		return 0;
	}
	set_least(x, 1);
	oci_http_direct_wait(x, POLLIN, OCI_HTTP_POLL_MS);
	return oci_http_exchange_progress(x, err) < 0 ? -1 : 0;
}

/* the body */

/* What came with the head. */
static size_t from_head(struct oci_http_exchange *x, void *data, size_t size)
{
	size_t len = x->head.len - x->taken;

	if (len > size)
		len = size;
	memcpy(data, x->head.text + x->taken, len);
	x->taken += len;
	return len;
}

static int receive_some(struct oci_http_exchange *x, void *data, size_t size, size_t *got, struct oci_error *err)
{
	CURLcode code = curl_easy_recv(x->link->easy, data, size, got);

	if (code == CURLE_AGAIN) {
		*got = 0;
		set_least(x, size < (size_t)LEAST_PIECE ? 1 : LEAST_PIECE);
		oci_http_direct_wait(x, POLLIN, OCI_HTTP_POLL_MS);
		return 0;
	}
	if (code != CURLE_OK)
		return oci_http_exchange_failed(x, code, err);
	if (*got == 0)
		return oci_http_fail(x->request, err, OCI_E_NETWORK, "the answer ended %" PRIu64 " bytes early", x->body_left);
	return 0;
}

ssize_t oci_http_exchange_receive(struct oci_http_exchange *x, void *data, size_t size, struct oci_error *err)
{
	size_t got;

	if (oci_http_exchange_cancelled(x))
		return oci_fail(err, OCI_E_CANCELLED, "cancelled");
	if (oci_http_exchange_rests(x))
		return 0;
	if (oci_rate_limits(x->http->rate) && size > SMALL_PIECE)
		size = SMALL_PIECE;
	if (size > x->body_left)
		size = (size_t)x->body_left;
	got = from_head(x, data, size);
	if (got == 0 && size > 0 && receive_some(x, data, size, &got, err) < 0)
		return -1;
	oci_rate_spend(x->http->rate, got);
	x->received += got;
	x->body_left -= got;
	x->done = x->body_left == 0;
	return oci_http_exchange_progress(x, err) < 0 ? -1 : (ssize_t)got;
}

/* For bodies that nobody has a place for: those of errors and redirects. */
static int pass_on(struct oci_http_exchange *x, struct oci_error *err)
{
	unsigned char piece[SMALL_PIECE];
	ssize_t got = oci_http_exchange_receive(x, piece, sizeof piece, err);

	if (got > 0 && x->on_body(x->ctx, piece, (size_t)got) != OCI_BODY_TAKEN)
		x->cut = x->done = true;
	return got < 0 ? -1 : 0;
}

int oci_http_direct_step(struct oci_http_exchange *x, struct oci_error *err)
{
	switch (x->phase) {
	case OCI_DIRECT_CONNECTS:
		return connect_step(x, err);
	case OCI_DIRECT_ASKS:
		return ask_step(x, err);
	case OCI_DIRECT_LISTENS:
		return listen_step(x, err);
	case OCI_DIRECT_SENDS:
		return oci_http_direct_send(x, err);
	case OCI_DIRECT_GATHERS:
		return oci_http_direct_gather(x, err);
	default:
		return x->done ? 0 : pass_on(x, err);
	}
}

void oci_http_direct_end(struct oci_http_exchange *x)
{
	if (x->phase == OCI_DIRECT_READS && x->body_left == 0 && x->head.keeps && x->head.len == x->taken && !x->stream_bytes)
		oci_http_link_keep(x->http, oci_steal(&x->link));
	oci_http_link_free(oci_steal(&x->link));
	oci_http_head_clear(&x->head);
	oci_buf_clear(&x->ask);
	x->phase = OCI_DIRECT_NOT;
}
