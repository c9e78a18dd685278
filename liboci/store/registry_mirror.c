#include "store/registry_mirror.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "http/url.h"

#define MIRRORS_MAX 8
#define REST_MS 30000
#define CHECKED_MAX (4 * OCI_MIB)

struct mirror {
	struct oci_http *http;
	char *prefix; /* "project/", or "" */
	atomic_uint_fast64_t rest_until_ms;
	atomic_bool spoken; /* its first failure was reported */
};

struct oci_mirrors {
	char *host, *repository;
	const struct oci_observer *observer;
	size_t count;
	struct mirror items[MIRRORS_MAX];
};

/* what the user wrote */

/* The text behind "HOST=" when that is this host; NULL: another's. */
static const char *value_for(const char *text, const char *host)
{
	size_t len = strlen(host);
	return strncmp(text, host, len) == 0 && text[len] == '=' ? text + len + 1 : NULL;
}

static int check_endpoint(const char *text, struct oci_error *err)
{
	OCI_CLEANUP(oci_url_clear) struct oci_url url = {0};
	const char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return oci_fail(err, OCI_E_USAGE, "an endpoint is written as HOST=URL");
	if (oci_url_parse(equals + 1, &url, err) < 0) {
		if (err)
			err->code = OCI_E_USAGE;
		return oci_wrap(err, "endpoint of '%.*s'", (int)(equals - text), text);
	}
	if (strpbrk(equals + 1, "?#"))
		return oci_fail(err, OCI_E_USAGE, "endpoint of '%.*s': a URL without query", (int)(equals - text), text);
	return 0;
}

static int check_header(const char *text, struct oci_error *err)
{
	static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	const char *equals = strchr(text, '=');
	size_t len = equals ? strspn(equals + 1, token) : 0;

	/* its value may be a secret: not shown */
	if (len == 0 || equals[1 + len] != ':')
		return oci_fail(err, OCI_E_USAGE, "a header for endpoints is written as 'HOST=Name: value'");
	return 0;
}

static int check_options(const struct oci_store_options *o, struct oci_error *err)
{
	for (size_t i = 0; o->endpoints && i < o->endpoints->count; i++)
		if (check_endpoint(o->endpoints->items[i], err) < 0)
			return -1;
	for (size_t i = 0; o->endpoint_headers && i < o->endpoint_headers->count; i++)
		if (check_header(o->endpoint_headers->items[i], err) < 0)
			return -1;
	return 0;
}

/* setting up */

static int set_client(struct mirror *m, const char *base, const struct oci_mirrors *all,
	const struct oci_strings *headers, const struct oci_store_options *o, struct oci_error *err)
{
	const char *host = strstr(base, "://") + strlen("://");
	oci_autofree char *resource = oci_str_printf("%s/%s%s", host, m->prefix, all->repository);

	if (!resource)
		return oci_fail_nomem(err);
	struct oci_http_options options = {
		.host = base, .credentials_for = resource, .tls_insecure = o->tls_insecure, .ca_file = o->ca_file,
		.authfiles = o->authfiles, .headers = headers, .rate = o->rate, .cancel = o->cancel,
		.observer = o->observer,
	};
	m->http = oci_http_new(&options, err);
	return m->http ? 0 : -1;
}

/* "https://cache.example/project/" is a base and a prefix. */
static int add_mirror(struct oci_mirrors *all, const char *url, const struct oci_strings *headers,
	const struct oci_store_options *o, struct oci_error *err)
{
	if (all->count == MIRRORS_MAX)
		return oci_fail(err, OCI_E_USAGE, "more than %d endpoints of '%s'", MIRRORS_MAX, all->host);
	struct mirror *m = &all->items[all->count];
	const char *host = strstr(url, "://") + strlen("://");
	const char *path = host + strcspn(host, "/");
	oci_autofree char *base = strndup(url, (size_t)(path - url));
	path += strspn(path, "/");
	size_t len = strlen(path);
	while (len > 0 && path[len - 1] == '/')
		len--;

	all->count++;
	atomic_init(&m->rest_until_ms, 0);
	atomic_init(&m->spoken, false);
	m->prefix = oci_str_printf("%.*s%s", (int)len, path, len ? "/" : "");
	if (!base || !m->prefix)
		return oci_fail_nomem(err);
	return set_client(m, base, all, headers, o, err);
}

static int fill(struct oci_mirrors *all, const struct oci_store_options *o, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings headers = {0};

	for (size_t i = 0; o->endpoint_headers && i < o->endpoint_headers->count; i++) {
		const char *header = value_for(o->endpoint_headers->items[i], all->host);
		if (header && oci_strings_add(&headers, header, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < o->endpoints->count; i++) {
		const char *url = value_for(o->endpoints->items[i], all->host);
		if (url && add_mirror(all, url, &headers, o, err) < 0)
			return -1;
	}
	return 0;
}

int oci_mirrors_new(const char *host, const char *repository, const struct oci_store_options *o,
	struct oci_mirrors **ret, struct oci_error *err)
{
	if (check_options(o, err) < 0)
		return -1;
	if (!o->endpoints || o->endpoints->count == 0)
		return 0;
	struct oci_mirrors *all = calloc(1, sizeof *all);
	if (!all)
		return oci_fail_nomem(err);
	all->observer = o->observer;
	if (oci_str_set(&all->host, host, err) < 0 || oci_str_set(&all->repository, repository, err) < 0 ||
	    fill(all, o, err) < 0) {
		oci_mirrors_free(all);
		return -1;
	}
	if (all->count > 0)
		*ret = all;
	else
		oci_mirrors_free(all);
	return 0;
}

void oci_mirrors_free(struct oci_mirrors *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->count; i++) {
		oci_http_free(all->items[i].http);
		free(all->items[i].prefix);
	}
	free(all->host);
	free(all->repository);
	free(all);
}

/* reading */

struct mirrored {
	struct oci_reader base;
	struct oci_mirrors *mirrors;
	struct oci_http *origin;
	struct oci_digest digest;
	char *url, *scope, *accept; /* at the origin */
	const char *kind;
	uint64_t size_bytes, position, end;
	size_t place;               /* index of the mirror that is read; count: the origin */
	struct oci_reader *now;     /* NULL: to be opened */
	struct oci_buf checked;     /* the whole of something small, once it was proven */
};

static struct oci_reader *open_origin(struct mirrored *r, uint64_t offset, uint64_t length, struct oci_error *err)
{
	struct oci_http_blob blob = {
		.url = r->url, .scope = r->scope, .accept = r->accept, .size_bytes = r->size_bytes,
	};
	return oci_http_reader_open(r->origin, &blob, offset, length, err);
}

static struct oci_reader *open_mirror(struct mirrored *r, uint64_t offset, uint64_t length, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	const struct mirror *m = &r->mirrors->items[r->place];
	const char *repository = r->mirrors->repository;
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&url, OCI_URL_MAX);
	oci_autofree char *scope = oci_str_printf("repository:%s%s:pull", m->prefix, repository);
	if (!scope)
		oci_fail_nomem(err);
	if (!scope || oci_buf_printf(&url, err, "%s/v2/%s%s/%s/%s", oci_http_origin(m->http), m->prefix, repository,
			      r->kind, oci_digest_format(&r->digest, digest)) < 0 ||
	    oci_url_add_query(&url, "ns", r->mirrors->host, err) < 0)
		return NULL;
	struct oci_http_blob blob = {
		.url = url.data, .scope = scope, .accept = r->accept, .size_bytes = r->size_bytes, .tries = 1,
	};
	return oci_http_reader_open(m->http, &blob, offset, length, err);
}

static bool is_origin(const struct mirrored *r)
{
	return r->place == r->mirrors->count;
}

static struct oci_reader *open_place(struct mirrored *r, uint64_t offset, uint64_t length, struct oci_error *err)
{
	while (!is_origin(r) && atomic_load(&r->mirrors->items[r->place].rest_until_ms) > oci_clock_ms())
		r->place++;
	return is_origin(r) ? open_origin(r, offset, length, err) : open_mirror(r, offset, length, err);
}

/* 0: the next place is to be tried. */
static int give_up_place(struct mirrored *r, const struct oci_error *why, struct oci_error *err)
{
	oci_reader_close(r->now);
	r->now = NULL;
	if (is_origin(r) || why->code == OCI_E_CANCELLED || why->code == OCI_E_NOMEM) {
		if (err && !err->code)
			*err = *why;
		return -1;
	}
	struct mirror *m = &r->mirrors->items[r->place++];
	if (why->code == OCI_E_NOT_FOUND)
		return 0;
	atomic_store(&m->rest_until_ms, oci_clock_ms() + REST_MS);
	if (!atomic_exchange(&m->spoken, true))
		oci_event_warn(r->mirrors->observer, "endpoint of %s failed, the next one is asked: %s",
			r->mirrors->host, why->text);
	return 0;
}

static int read_whole(struct mirrored *r, struct oci_buf *out, struct oci_error *err)
{
	char chunk[16384];
	ssize_t n;

	oci_buf_reset(out);
	while ((n = oci_reader_read(r->now, chunk, sizeof chunk, err)) > 0)
		if (oci_buf_append(out, chunk, (size_t)n, err) < 0)
			return -1;
	return n < 0 ? -1 : 0;
}

static int check_whole(struct mirrored *r, struct oci_error *err)
{
	struct oci_digest found;
	char text[OCI_DIGEST_TEXT_MAX];

	oci_digest_of(r->digest.alg, r->checked.data, r->checked.len, &found);
	if (oci_digest_equal(&found, &r->digest))
		return 0;
	return oci_fail(err, OCI_E_DIGEST, "what it has as '%s' is something else",
		oci_digest_format(&r->digest, text));
}

/* The whole of something small into r->checked, proven, from the first place that has it. */
static int fetch_checked(struct mirrored *r, struct oci_error *err)
{
	for (;;) {
		struct oci_error why = {0};
		r->now = open_place(r, 0, r->size_bytes, &why);
		if (r->now && read_whole(r, &r->checked, &why) == 0 && check_whole(r, &why) == 0) {
			oci_reader_close(r->now);
			r->now = NULL;
			return 0;
		}
		if (give_up_place(r, &why, err) < 0)
			return -1;
	}
}

static ssize_t read_small(struct mirrored *r, void *data, size_t size, struct oci_error *err)
{
	if (r->checked.len == 0 && fetch_checked(r, err) < 0)
		return -1;
	memcpy(data, r->checked.data + r->position, size);
	r->position += size;
	return (ssize_t)size;
}

static ssize_t mirrored_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct mirrored *r = (struct mirrored *)base;

	if (size > r->end - r->position)
		size = (size_t)(r->end - r->position);
	if (size == 0)
		return 0;
	if (r->size_bytes <= CHECKED_MAX)
		return read_small(r, data, size, err);
	for (;;) {
		struct oci_error why = {0};
		if (!r->now)
			r->now = open_place(r, r->position, r->end - r->position, &why);
		ssize_t n = r->now ? oci_reader_read(r->now, data, size, &why) : -1;
		if (n >= 0) {
			r->position += (uint64_t)n;
			return n;
		}
		if (give_up_place(r, &why, err) < 0)
			return -1;
	}
}

static void mirrored_close(struct oci_reader *base)
{
	struct mirrored *r = (struct mirrored *)base;

	oci_reader_close(r->now);
	oci_buf_clear(&r->checked);
	free(r->url);
	free(r->scope);
	free(r->accept);
	free(r);
}

static const struct oci_reader_ops mirrored_ops = {.read = mirrored_read, .close = mirrored_close};

struct oci_reader *oci_mirrors_open(struct oci_mirrors *mirrors, struct oci_http *origin,
	const struct oci_http_blob *blob, const char *kind, const struct oci_digest *digest, uint64_t offset,
	uint64_t length, struct oci_error *err)
{
	struct mirrored *r = calloc(1, sizeof *r);

	if (!r) {
		oci_fail_nomem(err);
		return NULL;
	}
	r->base.ops = &mirrored_ops;
	r->mirrors = mirrors;
	r->origin = origin;
	r->digest = *digest;
	r->kind = kind;
	r->size_bytes = blob->size_bytes;
	r->position = offset;
	r->end = offset + length;
	oci_buf_init(&r->checked, CHECKED_MAX);
	if (oci_str_set(&r->url, blob->url, err) < 0 || oci_str_set(&r->scope, blob->scope, err) < 0 ||
	    oci_str_set(&r->accept, blob->accept, err) < 0) {
		mirrored_close(&r->base);
		return NULL;
	}
	return &r->base;
}
