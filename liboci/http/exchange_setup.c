#include "http/exchange.h"

#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "http/proxy.h"
#include "http/tls.h"

#define RECEIVE_BUFFER (256 * OCI_KIB)
#define SEND_BUFFER (256 * OCI_KIB)

/* callbacks: they run inside step() */

static size_t on_header(char *data, size_t size, size_t count, void *ctx)
{
	struct oci_http_exchange *x = ctx;
	size_t len = size * count;
	long status = 0;

	x->stirred = true;
	x->header_bytes += len;
	if (x->header_bytes > OCI_HTTP_HEADERS_MAX)
		return 0;
	curl_easy_getinfo(x->link->easy, CURLINFO_RESPONSE_CODE, &status);
	x->head_begun = x->head_begun || status >= 200;
	bool blank = len <= 2 && (data[0] == '\r' || data[0] == '\n');
	if (blank && status >= 200) {
		x->status = (int)status;
		x->headers_in = true;
	}
	return len;
}

static bool must_rest(struct oci_http_exchange *x)
{
	x->resting = oci_rate_wait_ms(x->http->rate) > 0;
	return x->resting;
}

static size_t on_data(char *data, size_t size, size_t count, void *ctx)
{
	struct oci_http_exchange *x = ctx;
	size_t len = size * count;

	x->stirred = true;
	if (!x->flowing)
		return CURL_WRITEFUNC_PAUSE;
	if (must_rest(x))
		return CURL_WRITEFUNC_PAUSE;
	switch (x->on_body(x->ctx, data, len)) {
	case OCI_BODY_TAKEN:
		oci_rate_spend(x->http->rate, len);
		return len;
	case OCI_BODY_FULL:
		x->flowing = false;
		return CURL_WRITEFUNC_PAUSE;
	default:
		x->cut = true;
		return 0;
	}
}

static size_t on_send(char *data, size_t size, size_t count, void *ctx)
{
	struct oci_http_exchange *x = ctx;
	size_t room = size * count;

	x->wanted = x->stirred = true;
	if (x->out_len == 0 || must_rest(x))
		return CURL_READFUNC_PAUSE;
	if (room > x->out_len)
		room = x->out_len;
	memcpy(data, x->out, room);
	oci_rate_spend(x->http->rate, room);
	x->out += room;
	x->out_len -= room;
	return room;
}

/* Credentials go no further than the registry's own network; what is only
 * fetched may also come from a private one (a store behind a public registry). */
static int reach_limit(const struct oci_http_exchange *x)
{
	int reach = atomic_load(&x->http->reach);
	return !x->request->authorization && reach < OCI_REACH_PRIVATE ? OCI_REACH_PRIVATE : reach;
}

static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct oci_http_exchange *x = ctx;
	int reach = (int)oci_reach_of(&address->addr);

	if (x->proxied) {
		/* the user's own choice, and it is the proxy that knows the address */
	} else if (x->own_origin) {
		atomic_store(&x->http->reach, reach);
	} else if (reach > reach_limit(x)) {
		x->too_private = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static CURLcode on_tls(CURL *easy, void *ssl_ctx, void *ctx)
{
	struct oci_http_exchange *x = ctx;
	const struct oci_tls_trust *trust;

	pthread_mutex_lock(&x->http->lock);
	if (!x->http->trust)
		x->http->trust = oci_tls_trust_new(&x->http->certs.ca_files, &x->bad_ca);
	trust = x->http->trust;
	pthread_mutex_unlock(&x->http->lock);
	if (!trust)
		return CURLE_SSL_CACERT_BADFILE;
	oci_tls_trust_use(trust, ssl_ctx);
	return CURLE_OK;
}

/* setting up */

static int add_line(struct oci_http_exchange *x, const char *line, struct oci_error *err)
{
	for (const char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return oci_http_fail(x->request, err, OCI_E_FORMAT, "control characters in header '%.*s'",
				(int)strcspn(line, ":"), line);
	struct curl_slist *list = curl_slist_append(x->headers, line);
	if (!list)
		return oci_fail_nomem(err);
	x->headers = list;
	return 0;
}

static int add_header(struct oci_http_exchange *x, const char *name, const char *value, struct oci_error *err)
{
	if (!value)
		return 0;
	oci_autofree char *line = oci_str_printf("%s: %s", name, value);
	return line ? add_line(x, line, err) : oci_fail_nomem(err);
}

int oci_http_exchange_add_headers(struct oci_http_exchange *x, struct oci_error *err)
{
	const struct oci_http_request *r = x->request;
	oci_autofree char *range = NULL;

	if (r->range) {
		range = oci_str_printf("bytes=%s", r->range);
		if (!range)
			return oci_fail_nomem(err);
	}
	const char *type = r->content_type;
	if (!type && (r->body || x->stream_bytes || strcmp(r->method, "POST") == 0))
		type = "application/octet-stream";
	if (add_header(x, "Authorization", x->authorization, err) < 0 || add_header(x, "Accept", r->accept, err) < 0 ||
	    add_header(x, "Content-Type", type, err) < 0 ||
	    add_header(x, "Content-Range", r->content_range, err) < 0 || add_header(x, "Range", range, err) < 0 ||
	    add_header(x, "Accept-Encoding", "identity", err) < 0 ||
	    add_header(x, "User-Agent", "modelcar", err) < 0)
		return -1;
	for (size_t i = 0; x->own_origin && i < x->http->headers.count; i++)
		if (add_line(x, x->http->headers.items[i], err) < 0)
			return -1;
	/* asked for by name: the library would do it for large bodies only */
	x->expects = x->stream_bytes && !atomic_load(&x->http->no_expect);
	if (x->expects)
		return add_header(x, "Expect", "100-continue", err);
	return 0;
}

static CURLcode set_method(const struct oci_http_exchange *x)
{
	const struct oci_http_request *r = x->request;
	CURL *easy = x->link->easy;

	if (x->phase != OCI_DIRECT_NOT || strcmp(r->method, "GET") == 0) /* then it connects and does no more */
		return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	if (strcmp(r->method, "HEAD") == 0)
		return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	if (x->stream_bytes) {
		curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->stream_bytes);
		/* a limit of bytes a connection is then one of bytes a request */
		curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	} else if (r->body || strcmp(r->method, "DELETE") != 0) {
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r->body ? r->body : "");
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(r->body ? r->body_len : 0));
	}
	return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
}

static CURLcode set_tls(struct oci_http_exchange *x)
{
	const struct oci_http *http = x->http;
	CURL *easy = x->link->easy;

	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (http->tls_insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	/* A store of certificates for all connections, not one for each. */
	const struct oci_certs *certs = &http->certs;
	curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	if (!http->tls_insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls);
		curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, x);
	}
	if (!x->own_origin || !certs->cert_file)
		return CURLE_OK;
	curl_easy_setopt(easy, CURLOPT_SSLCERT, certs->cert_file);
	return curl_easy_setopt(easy, CURLOPT_SSLKEY, certs->key_file ? certs->key_file : certs->cert_file);
}

/* A proxy of the environment is chosen here, so that it is known whose address
 * a socket connects to. */
static CURLcode set_proxy(struct oci_http_exchange *x)
{
	const char *proxy = oci_proxy_for(&x->url);

	x->proxied = proxy != NULL;
	curl_easy_setopt(x->link->easy, CURLOPT_NOPROXY, "");
	return curl_easy_setopt(x->link->easy, CURLOPT_PROXY, proxy ? proxy : "");
}

static CURLcode set_options(struct oci_http_exchange *x)
{
	CURL *easy = x->link->easy;

	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->link->reason);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(x->http->stall_ms / 2));
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
	curl_easy_setopt(easy, CURLOPT_READDATA, x);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, x);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, x->headers);
	if (set_proxy(x) != CURLE_OK || set_tls(x) != CURLE_OK || set_method(x) != CURLE_OK)
		return CURLE_OUT_OF_MEMORY;
	return curl_easy_setopt(easy, CURLOPT_URL, x->url.text);
}

int oci_http_exchange_too_private(const struct oci_http_exchange *x, struct oci_error *err)
{
	return oci_http_fail(x->request, err, OCI_E_FORMAT,
		"refused: the registry points to '%s', on a more private network than its own", x->url.origin);
}

int oci_http_exchange_set_up(struct oci_http_exchange *x, struct oci_error *err)
{
	if (set_options(x) != CURLE_OK)
		return oci_fail_nomem(err);
	if (!x->proxied)
		return 0; /* on_socket() will see the address */
	int reach = (int)oci_reach_of_host(x->url.host);
	if (x->own_origin)
		atomic_store(&x->http->reach, reach);
	else if (reach > reach_limit(x))
		return oci_http_exchange_too_private(x, err);
	return 0;
}
