#include "store/registry_mirror.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "core/mediatype.h"
#include "http/url.h"

#define MIRRORS_MAX 8
#define REST_MS 30000
#define CHECKED_MAX (4 * OCI_MIB)
#define GIVEN_MAX 64

struct mirror {
	struct oci_http *http;
	char *prefix; /* "project/", or "" */
	atomic_uint_fast64_t rest_until_ms;
	atomic_bool spoken; /* its first failure was reported */
};

/* Who gave what: bit n is items[n]. */
struct given {
	struct oci_digest digest;
	unsigned by, wrong_by;
};

struct oci_mirrors {
	char *host, *repository;
	const struct oci_observer *observer;
	size_t count;
	struct mirror items[MIRRORS_MAX];
	pthread_mutex_t lock; /* guards what follows */
	struct given given[GIVEN_MAX]; /* of large content, the last ones */
	size_t next;
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
		.authfiles = o->authfiles, .headers = headers, .rate = o->rate, .stall_ms = o->stall_ms,
		.cancel = o->cancel, .observer = o->observer,
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
	pthread_mutex_init(&all->lock, NULL);
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
	pthread_mutex_destroy(&all->lock);
	free(all->host);
	free(all->repository);
	free(all);
}

/* who is to be believed */

static void leave_alone(struct oci_mirrors *all, size_t place, const char *why)
{
	struct mirror *m = &all->items[place];

	atomic_store(&m->rest_until_ms, oci_clock_ms() + REST_MS);
	if (!atomic_exchange(&m->spoken, true))
		oci_event_warn(all->observer, "endpoint of %s failed, the next one is asked: %s", all->host, why);
}

/* The lock is held. */
static struct given *find_given(struct oci_mirrors *all, const struct oci_digest *digest)
{
	for (size_t i = 0; i < GIVEN_MAX; i++)
		if (oci_digest_equal(&all->given[i].digest, digest))
			return &all->given[i];
	return NULL;
}

/* False: what it gave before was wrong. Else it is noted. */
static bool may_give(struct oci_mirrors *all, size_t place, const struct oci_digest *digest)
{
	pthread_mutex_lock(&all->lock);
	struct given *given = find_given(all, digest);
	if (!given) {
		given = &all->given[all->next++ % GIVEN_MAX];
		*given = (struct given){.digest = *digest};
	}
	bool may = !(given->wrong_by & 1U << place);
	if (may)
		given->by |= 1U << place;
	pthread_mutex_unlock(&all->lock);
	return may;
}

/* A blob is read in many ranges; who has it not is asked once. */
static void note_absent(struct oci_mirrors *all, size_t place, const struct oci_digest *digest)
{
	pthread_mutex_lock(&all->lock);
	struct given *given = find_given(all, digest);
	if (given)
		given->wrong_by |= 1U << place;
	pthread_mutex_unlock(&all->lock);
}

void oci_mirrors_distrust(struct oci_mirrors *all, const struct oci_digest *digest)
{
	char text[OCI_DIGEST_TEXT_MAX], why[OCI_DIGEST_TEXT_MAX + 64];
	unsigned wrong = 0;

	pthread_mutex_lock(&all->lock);
	struct given *given = find_given(all, digest);
	if (given) {
		wrong = given->by;
		given->wrong_by |= given->by;
		given->by = 0;
	}
	pthread_mutex_unlock(&all->lock);
	snprintf(why, sizeof why, "what it has as '%s' is something else", oci_digest_format(digest, text));
	for (size_t i = 0; i < all->count; i++)
		if (wrong & 1U << i)
			leave_alone(all, i, why);
}

static bool is_resting(const struct mirror *m)
{
	return atomic_load(&m->rest_until_ms) > oci_clock_ms();
}

/* The address of some content at an endpoint, and *scope, which the caller frees. */
static int mirror_url(const struct oci_mirrors *all, const struct mirror *m, const char *kind,
	const struct oci_digest *digest, struct oci_buf *url, char **scope, struct oci_error *err)
{
	char text[OCI_DIGEST_TEXT_MAX];

	*scope = oci_str_printf("repository:%s%s:pull", m->prefix, all->repository);
	if (!*scope)
		return oci_fail_nomem(err);
	if (oci_buf_printf(url, err, "%s/v2/%s%s/%s/%s", oci_http_origin(m->http), m->prefix, all->repository, kind,
		    oci_digest_format(digest, text)) < 0)
		return -1;
	return oci_url_add_query(url, "ns", all->host, err);
}

static int check_bytes(const struct oci_buf *bytes, const struct oci_digest *want, struct oci_error *err)
{
	struct oci_digest found;
	char text[OCI_DIGEST_TEXT_MAX];

	oci_digest_of(want->alg, oci_buf_text(bytes), bytes->len, &found);
	if (oci_digest_equal(&found, want))
		return 0;
	return oci_fail(err, OCI_E_DIGEST, "what it has as '%s' is something else", oci_digest_format(want, text));
}

/* resolving */

static int ask_mirror(const struct oci_mirrors *all, const struct mirror *m, const struct oci_digest *digest,
	struct oci_http_response *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	oci_autofree char *scope = NULL;

	oci_buf_init(&url, OCI_URL_MAX);
	if (mirror_url(all, m, "manifests", digest, &url, &scope, err) < 0)
		return -1;
	struct oci_http_request ask = {.method = "GET", .url = url.data, .scope = scope, .accept = OCI_MT_ACCEPT};
	if (oci_http_perform(m->http, &ask, ret, err) < 0 || oci_http_expect(&ask, ret, 200, err) < 0)
		return -1;
	return check_bytes(&ret->body, digest, err);
}

static bool is_ours(const struct oci_error *err)
{
	return err->code == OCI_E_CANCELLED || err->code == OCI_E_NOMEM;
}

int oci_mirrors_ask(struct oci_mirrors *all, const struct oci_digest *digest, struct oci_http_response *ret,
	struct oci_error *err)
{
	for (size_t i = 0; i < all->count; i++) {
		struct oci_error why = {0};
		if (is_resting(&all->items[i]))
			continue;
		if (ask_mirror(all, &all->items[i], digest, ret, &why) == 0)
			return 1;
		if (is_ours(&why)) {
			if (err && !err->code)
				*err = why;
			return -1;
		}
		if (why.code != OCI_E_NOT_FOUND)
			leave_alone(all, i, why.text);
	}
	return 0;
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
	oci_autofree char *scope = NULL;

	oci_buf_init(&url, OCI_URL_MAX);
	if (mirror_url(r->mirrors, m, r->kind, &r->digest, &url, &scope, err) < 0)
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
	while (!is_origin(r) && (is_resting(&r->mirrors->items[r->place]) ||
					!may_give(r->mirrors, r->place, &r->digest)))
		r->place++;
	return is_origin(r) ? open_origin(r, offset, length, err) : open_mirror(r, offset, length, err);
}

/* 0: the next place is to be tried. */
static int give_up_place(struct mirrored *r, const struct oci_error *why, struct oci_error *err)
{
	oci_reader_close(r->now);
	r->now = NULL;
	if (is_origin(r) || is_ours(why)) {
		if (err && !err->code)
			*err = *why;
		return -1;
	}
	if (why->code == OCI_E_NOT_FOUND)
		note_absent(r->mirrors, r->place, &r->digest);
	else
		leave_alone(r->mirrors, r->place, why->text);
	r->place++;
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

/* The whole of something small into r->checked, proven, from the first place that has it. */
static int fetch_checked(struct mirrored *r, struct oci_error *err)
{
	for (;;) {
		struct oci_error why = {0};
		r->now = open_place(r, 0, r->size_bytes, &why);
		if (r->now && read_whole(r, &r->checked, &why) == 0 && check_bytes(&r->checked, &r->digest, &why) == 0) {
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
