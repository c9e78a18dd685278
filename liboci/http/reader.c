#include "http/reader.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "http/exchange.h"
#include "http/outage.h"
#include "http/retry.h"

#define SPILL_MAX OCI_MIB
#define RESTARTS_MAX 8

struct http_reader {
	struct oci_reader base;
	struct oci_http *http;
	char *url, *scope, *accept;
	uint64_t size_bytes;
	uint64_t start, position, end; /* in the blob; position: next byte for the caller */
	unsigned failures, tries;      /* since the last byte; how many are the end, 0: as outage.h says */
	unsigned restarts;             /* answers with all of it where the rest was asked for */
	uint64_t moved_ms;             /* when the last byte came, or the first was asked for; 0: not yet */
	uint64_t wait_ms;              /* the server's Retry-After */
	bool wants_login;              /* where a redirect led */

	struct oci_http_request request;
	struct oci_http_exchange x;
	bool is_open;
	char range[48];
	uint64_t skip;     /* bytes of an answer that began too early */
	uint64_t expected; /* bytes still to come of this answer, behind skip */

	unsigned char *want; /* the caller's buffer during read */
	size_t want_len;
	unsigned char *spill; /* what came beyond it */
	size_t spill_start, spill_len;
};

static enum oci_http_taken take(void *ctx, const void *data, size_t len)
{
	struct http_reader *r = ctx;
	const unsigned char *bytes = data;

	size_t skipped = len < r->skip ? len : (size_t)r->skip;
	size_t useful = len - skipped;
	if (useful > r->expected)
		return OCI_BODY_CUT;
	if (useful > r->want_len + SPILL_MAX - r->spill_len)
		return OCI_BODY_FULL;
	r->skip -= skipped;
	r->expected -= useful;
	bytes += skipped;
	size_t direct = useful < r->want_len ? useful : r->want_len;
	if (direct > 0) {
		memcpy(r->want, bytes, direct);
		r->want += direct;
		r->want_len -= direct;
	}
	if (useful > direct) {
		memcpy(r->spill + r->spill_len, bytes + direct, useful - direct);
		r->spill_len += useful - direct;
	}
	return OCI_BODY_TAKEN;
}

static void close_exchange(struct http_reader *r)
{
	if (!r->is_open)
		return;
	oci_http_exchange_end(&r->x);
	oci_url_clear(&r->x.url);
	r->is_open = false;
}

/* The answer is the range that was asked for, or can be made to look like it. */
static int check_partial(struct http_reader *r, struct oci_error *err)
{
	const char *have = oci_http_exchange_header(&r->x, "Content-Range", 0);
	char want[80], any[80];

	snprintf(want, sizeof want, "bytes %s/%" PRIu64, r->range, r->size_bytes);
	snprintf(any, sizeof any, "bytes %s/*", r->range);
	if (!have || (strcmp(have, want) != 0 && strcmp(have, any) != 0))
		return oci_http_fail(&r->request, err, OCI_E_NETWORK, "another range than the one asked for");
	return 0;
}

static int check_whole(struct http_reader *r, struct oci_error *err)
{
	const char *length = oci_http_exchange_header(&r->x, "Content-Length", 0);
	uint64_t bytes;

	if (length && (!oci_str_u64(length, &bytes) || bytes != r->size_bytes))
		return oci_http_fail(&r->request, err, OCI_E_DIGEST,
			"the registry has %.20s bytes where %" PRIu64 " are expected", length, r->size_bytes);
	if (r->start > 0)
		return oci_http_fail(&r->request, err, OCI_E_UNSUPPORTED, "the registry does not serve ranges");
	if (r->position > 0 && ++r->restarts > RESTARTS_MAX)
		return oci_http_fail(&r->request, err, OCI_E_UNSUPPORTED,
			"the registry does not serve ranges, and connections to it do not last for the whole");
	r->skip = r->position;
	return 0;
}

static int fail_status(struct http_reader *r, struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;

	oci_http_response_init(&answer, OCI_HTTP_ERROR_BODY_MAX);
	r->x.on_body = oci_http_response_take;
	r->x.ctx = &answer;
	if (oci_http_response_read(&answer, &r->x, err) < 0)
		return -1;
	r->wait_ms = answer.retry_after_ms;
	oci_http_exchange_resume(&r->x, NULL);
	while (!r->x.done && oci_http_exchange_step(&r->x, NULL) == 0)
		;
	/* an address that the registry handed out has expired: it will give another */
	r->wants_login = r->x.hops > 0 && answer.status == 401;
	if (r->x.hops > 0 && (answer.status == 400 || answer.status == 401 || answer.status == 403))
		return oci_http_fail(&r->request, err, r->wants_login ? OCI_E_AUTH : OCI_E_NETWORK,
			"status %d from '%s', where the registry points", answer.status, r->x.url.origin);
	if (answer.status == 416)
		return oci_http_fail(&r->request, err, OCI_E_NETWORK, "no such range, in a blob that has it");
	return oci_http_expect(&r->request, &answer, 200, err);
}

static int check_answer(struct http_reader *r, struct oci_error *err)
{
	const char *coding = oci_http_exchange_header(&r->x, "Content-Encoding", 0);

	if (r->x.status != 200 && r->x.status != 206)
		return fail_status(r, err);
	if (coding && strcmp(coding, "identity") != 0)
		return oci_http_fail(&r->request, err, OCI_E_UNSUPPORTED, "the server changed the content's encoding");
	r->skip = 0;
	r->expected = r->end - r->position;
	if (r->x.status == 206)
		return r->request.range ? check_partial(r, err) :
			oci_http_fail(&r->request, err, OCI_E_FORMAT, "a part where the whole was asked for");
	return check_whole(r, err);
}

static int open_exchange(struct http_reader *r, struct oci_error *err)
{
	bool whole = r->position == 0 && r->end == r->size_bytes;

	snprintf(r->range, sizeof r->range, "%" PRIu64 "-%" PRIu64, r->position, r->end - 1);
	r->request = (struct oci_http_request){
		.method = "GET", .url = r->url, .scope = r->scope, .accept = r->accept,
		.range = whole ? NULL : r->range, .direct = true,
	};
	r->x = (struct oci_http_exchange){.on_body = take, .ctx = r, .attempt = r->failures};
	r->is_open = true;
	r->wants_login = false;
	r->wait_ms = 0;
	if (oci_http_open(r->http, &r->request, &r->x, err) < 0)
		return -1;
	return check_answer(r, err);
}

/* Some bytes: straight to the caller, where nothing has to be left out before. */
static int fill(struct http_reader *r, struct oci_error *err)
{
	ssize_t got;

	if (r->x.phase != OCI_DIRECT_READS || r->skip > 0)
		return oci_http_exchange_step(&r->x, err);
	got = oci_http_exchange_receive(&r->x, r->want, r->want_len < r->expected ? r->want_len : (size_t)r->expected, err);
	if (got < 0)
		return -1;
	r->want += got;
	r->want_len -= (size_t)got;
	r->expected -= (uint64_t)got;
	return 0;
}

/* Fill the caller's buffer from the connection as far as it goes. */
static int pump(struct http_reader *r, struct oci_error *err)
{
	if (!r->is_open && open_exchange(r, err) < 0)
		return -1;
	if (oci_http_exchange_resume(&r->x, err) < 0)
		return -1;
	while (r->want_len > 0 && !r->x.done && r->expected > 0)
		if (fill(r, err) < 0)
			return -1;
	if (r->x.cut)
		return oci_http_fail(&r->request, err, OCI_E_DIGEST, "more bytes than the blob has");
	if (r->x.done && r->expected > 0 && r->want_len > 0)
		return oci_http_fail(&r->request, err, OCI_E_NETWORK, "the answer ended %" PRIu64 " bytes early",
			r->expected);
	return 0;
}

static size_t from_spill(struct http_reader *r, unsigned char *data, size_t size)
{
	size_t len = r->spill_len - r->spill_start;
	if (len > size)
		len = size;
	memcpy(data, r->spill + r->spill_start, len);
	r->spill_start += len;
	if (r->spill_start == r->spill_len)
		r->spill_start = r->spill_len = 0;
	return len;
}

/* Let a finished answer come to its clean end, so that the connection is kept. */
static void settle(struct http_reader *r)
{
	for (int i = 0; i < 3 && r->is_open && !r->x.done; i++)
		if (oci_http_exchange_step(&r->x, NULL) < 0)
			break;
	close_exchange(r);
}

/* A registry that answers, but not what was asked, is no outage. */
static bool is_hopeless(struct http_reader *r, const struct oci_error *failure)
{
	bool answers = r->x.headers_in && (r->x.status < 400 || r->x.hops > 0);

	if (!oci_retry_failure(failure) && !r->wants_login)
		return true;
	if (r->tries || answers)
		return r->failures >= (r->tries ? r->tries : OCI_RETRY_TRIES);
	return oci_outage_is_over_long(r->http, r->failures, r->moved_ms, failure);
}

/* 0: try again. What moved some bytes counts as a fresh start. */
static int recover(struct http_reader *r, bool moved, const struct oci_error *failure, struct oci_error *err)
{
	r->failures = moved ? 0 : r->failures + 1;
	if (!moved)
		atomic_fetch_add(&r->http->failures, 1);
	bool hopeless = is_hopeless(r, failure);

	close_exchange(r);
	if (hopeless) {
		if (err && !err->code)
			*err = *failure;
		return -1;
	}
	return moved ? 0 : oci_retry_wait(r->failures - 1, r->wait_ms, r->http->cancel, err);
}

static ssize_t http_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct http_reader *r = (struct http_reader *)base;

	if (size > r->end - r->position)
		size = (size_t)(r->end - r->position);
	size_t got = from_spill(r, data, size);
	if (!r->moved_ms)
		r->moved_ms = oci_clock_ms();
	while (got == 0 && size > 0) {
		struct oci_error failure = {0};
		r->want = data;
		r->want_len = size;
		int rc = pump(r, &failure);
		got = size - r->want_len;
		if (rc < 0 && recover(r, got > 0, &failure, err) < 0)
			return -1;
	}
	r->want_len = 0;
	if (got > 0) {
		r->failures = 0;
		r->moved_ms = oci_clock_ms();
	}
	r->position += got;
	if (r->position == r->end)
		settle(r);
	return (ssize_t)got;
}

static void http_close(struct oci_reader *base)
{
	struct http_reader *r = (struct http_reader *)base;

	close_exchange(r);
	free(r->url);
	free(r->scope);
	free(r->accept);
	free(r->spill);
	free(r);
}

static const struct oci_reader_ops http_reader_ops = {.read = http_read, .close = http_close};

struct oci_reader *oci_http_reader_open(struct oci_http *http, const struct oci_http_blob *blob,
	uint64_t offset, uint64_t length, struct oci_error *err)
{
	if (offset > blob->size_bytes || length > blob->size_bytes - offset) {
		oci_fail(err, OCI_E_BUG, "a range outside the blob");
		return NULL;
	}
	struct http_reader *r = calloc(1, sizeof *r);
	if (!r) {
		oci_fail_nomem(err);
		return NULL;
	}
	r->base.ops = &http_reader_ops;
	r->http = http;
	r->size_bytes = blob->size_bytes;
	r->tries = blob->tries;
	r->start = r->position = offset;
	r->end = offset + length;
	r->spill = malloc(SPILL_MAX);
	if (!r->spill)
		oci_fail_nomem(err);
	if (!r->spill || oci_str_set(&r->url, blob->url, err) < 0 || oci_str_set(&r->scope, blob->scope, err) < 0 ||
	    oci_str_set(&r->accept, blob->accept, err) < 0) {
		http_close(&r->base);
		return NULL;
	}
	return &r->base;
}
