#include "store/registry_put.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "http/retry.h"
#include "http/upload.h"
#include "http/url.h"
#include "store/chunk.h"
#include "store/pump.h"
#include "store/registry_session.h"
#include "store/upload_source.h"
#include "store/upload_state.h"

#define WHOLE_BYTES OCI_MIB  /* one PUT up to here */
#define GRACE_MS 10000       /* for the request under way when the cancel flag rises */
#define REFUSALS_MAX 3       /* that may be an accident */
#define SLOW_MS 10000        /* a request that failed after so long may have been too much at once */
#define FILE_BYTES OCI_MIB /* of a file, before it is looked whether all is in vain */
#define SLICE_MS 200         /* of a wait: how soon it is seen that nobody wants the blob any more */

struct put {
	struct oci_registry *registry;
	const struct oci_descriptor *want; /* its digest may come with the last byte: source.digest */
	const atomic_int *cancel;
	struct oci_upload_source source;
	struct oci_upload_state state;
	struct oci_session session;
	struct oci_chunk chunk;
	struct oci_buf url;      /* of the request under way */
	uint64_t accepted_bytes; /* that the session has */
	bool whole;              /* one PUT */
	bool no_pieces;          /* this registry takes nothing else */
	bool odd;                /* a PATCH was answered as only a PUT should be */
	bool unsure;             /* where session and blob stand must be asked */
	bool closing;            /* the closing PUT was sent */
	bool stored;

	/* of the last failure */
	uint64_t request_bytes; /* of its request, 0: it had no body */
	uint64_t sent_bytes;    /* of that, on their way */
	uint64_t begun_ms;      /* when it began */
	uint64_t wait_ms;       /* Retry-After */
	bool refused;           /* pieces, and not for want of a session */
	unsigned failures, refusals; /* since something was accepted */
	unsigned close_refusals;
};

/* bytes on their way */

/* From then on the upload goes by its digest, so that who knows that finds it. */
static int prove(struct put *p, struct oci_error *err)
{
	bool proven = p->source.proven;

	if (oci_upload_source_prove(&p->source, err) < 0)
		return -1;
	if (!proven && !p->want->digest.alg)
		oci_upload_state_rename(&p->state, oci_http_origin(p->registry->http), p->registry->repository,
			&p->source.digest);
	return 0;
}

/* The next bytes, proven before the last of them leaves. */
static ssize_t pour_read(struct put *p, struct oci_http_upload *up, struct oci_error *err)
{
	const void *data;
	ssize_t n = oci_upload_source_read(&p->source, p->request_bytes - p->sent_bytes, &data, err);

	if (n < 0 || (p->source.position == p->want->size_bytes && prove(p, err) < 0))
		return -1;
	return oci_http_upload_write(up, data, (size_t)n, err) < 0 ? -1 : n;
}

static ssize_t pour_file(struct put *p, struct oci_http_upload *up, struct oci_error *err)
{
	uint64_t left = p->request_bytes - p->sent_bytes;
	size_t n = left < FILE_BYTES ? (size_t)left : FILE_BYTES;

	if (oci_http_upload_file(up, p->source.file, p->source.position, n, err) < 0)
		return -1;
	oci_upload_source_sent(&p->source, n);
	return p->source.position == p->want->size_bytes && prove(p, err) < 0 ? -1 : (ssize_t)n;
}

static int pour(struct put *p, struct oci_http_upload *up, struct oci_error *err)
{
	bool file = p->source.file >= 0 && oci_http_upload_takes_file(up);

	while (p->sent_bytes < p->request_bytes && !oci_http_upload_refused(up)) {
		ssize_t n = oci_store_check_wanted(p->source.content, NULL, err) < 0 ? -1 :
			file ? pour_file(p, up, err) : pour_read(p, up, err);

		if (n < 0)
			return -1;
		p->sent_bytes += (uint64_t)n;
	}
	return 0;
}

/* One request with the blob's bytes from accepted_bytes on. */
static int send_bytes(struct put *p, const struct oci_http_request *request, uint64_t size,
	struct oci_http_response *ret, struct oci_error *err)
{
	p->request_bytes = size;
	p->sent_bytes = 0;
	p->begun_ms = oci_clock_ms();
	if (oci_upload_source_seek(&p->source, p->accepted_bytes, p->cancel, err) < 0)
		return -1;
	struct oci_http_upload *up = oci_http_upload_start(p->registry->http, request, size, err);
	if (!up)
		return -1;
	if (pour(p, up, err) < 0) {
		oci_http_upload_abort(up);
		return -1;
	}
	oci_upload_source_pause(&p->source); /* the answer may take its time */
	int rc = oci_http_upload_finish(up, ret, err);
	p->wait_ms = rc == 0 ? ret->retry_after_ms : 0;
	return rc;
}

/* pieces */

static bool is_lost(const struct oci_http_response *answer)
{
	return oci_session_said(answer, "BLOB_UPLOAD_UNKNOWN") || oci_session_said(answer, "BLOB_UPLOAD_INVALID");
}

static bool takes_no_pieces(int status)
{
	return status == 400 || status == 404 || status == 405 || status == 416 || status == 501;
}

/* How far the registry says it is; without its word, all of it arrived. */
static int advance_to(struct put *p, const struct oci_http_response *answer, struct oci_error *err)
{
	uint64_t end = p->accepted_bytes + p->request_bytes, have = end;

	if (answer->range && oci_session_parse_range(answer->range, &have) && have > end)
		return oci_fail(err, OCI_E_FORMAT, "the registry has more of the blob than was sent");
	if (have <= p->accepted_bytes)
		return oci_fail(err, OCI_E_NETWORK, "the registry keeps nothing of what it takes");
	p->accepted_bytes = have;
	p->failures = p->refusals = 0;
	if (oci_session_move(&p->session, answer->location, err) < 0)
		return -1;
	oci_upload_state_save(&p->state, p->session.url);
	return 0;
}

static int take_answer(struct put *p, const struct oci_http_request *request,
	const struct oci_http_response *answer, struct oci_error *err)
{
	bool first = p->accepted_bytes == 0, all = p->request_bytes == p->want->size_bytes;

	p->odd = p->odd || oci_session_stored(answer->status);
	if (answer->status == 202 || (oci_session_stored(answer->status) && all))
		return advance_to(p, answer, err);
	/* ECR says 201 to a piece and means that there are no others */
	p->refused = first && !is_lost(answer) &&
		(takes_no_pieces(answer->status) || oci_session_stored(answer->status));
	return oci_http_expect(request, answer, 202, err);
}

static int send_chunk(struct put *p, struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;
	uint64_t size = oci_chunk_next(&p->chunk, p->want->size_bytes - p->accepted_bytes);
	uint64_t start_ms = oci_clock_ms();
	char range[48];

	oci_http_response_init(&answer, OCI_SESSION_ANSWER_MAX);
	if (oci_store_check_wanted(p->source.content, p->cancel, err) < 0)
		return -1;
	oci_buf_reset(&p->url);
	if (oci_buf_puts(&p->url, p->session.url, err) < 0)
		return -1;
	snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, p->accepted_bytes, p->accepted_bytes + size - 1);
	struct oci_http_request patch = {
		.method = "PATCH", .url = p->url.data, .scope = p->registry->scope, .grace_ms = GRACE_MS,
		/* as docker sends it: also known where pieces are not */
		.content_range = size == p->want->size_bytes ? NULL : range,
	};
	if (send_bytes(p, &patch, size, &answer, err) < 0 || take_answer(p, &patch, &answer, err) < 0)
		return -1;
	oci_chunk_passed(&p->chunk, size, oci_clock_ms() - start_ms);
	return 0;
}

/* The digest of the whole, from the rest of the bytes where it is not known yet. */
static int learn_digest(struct put *p, struct oci_error *err)
{
	struct oci_upload_source *source = &p->source;

	if (source->proven)
		return 0;
	if (oci_upload_source_seek(source, p->want->size_bytes, p->cancel, err) < 0)
		return -1;
	return prove(p, err);
}

static int close_session(struct put *p, struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;

	oci_http_response_init(&answer, OCI_SESSION_ANSWER_MAX);
	p->request_bytes = 0;
	if (learn_digest(p, err) < 0 || oci_session_close_url(&p->session, &p->source.digest, &p->url, err) < 0)
		return -1;
	struct oci_http_request put = {
		.method = "PUT", .url = p->url.data, .scope = p->registry->scope, .grace_ms = GRACE_MS,
		.answer_ms = oci_session_close_ms(&p->session, p->want->size_bytes),
	};
	p->closing = true;
	if (oci_http_perform(p->registry->http, &put, &answer, err) < 0)
		return -1;
	p->wait_ms = answer.retry_after_ms;
	p->refused = p->odd && takes_no_pieces(answer.status);
	return oci_session_stored(answer.status) ? 0 : oci_http_expect(&put, &answer, 201, err);
}

/* one PUT */

static int send_whole(struct put *p, struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;

	oci_http_response_init(&answer, OCI_SESSION_ANSWER_MAX);
	if (!p->want->digest.alg && learn_digest(p, err) < 0)
		return -1;
	if (oci_session_close_url(&p->session, p->want->digest.alg ? &p->want->digest : &p->source.digest, &p->url,
		    err) < 0)
		return -1;
	struct oci_http_request put = {
		.method = "PUT", .url = p->url.data, .scope = p->registry->scope, .grace_ms = GRACE_MS,
		.answer_ms = oci_session_close_ms(&p->session, p->want->size_bytes),
	};
	p->closing = true;
	if (send_bytes(p, &put, p->want->size_bytes, &answer, err) < 0)
		return -1;
	return oci_session_stored(answer.status) ? 0 : oci_http_expect(&put, &answer, 201, err);
}

/* from where it stands to the end */

static void forget_session(struct put *p)
{
	oci_session_clear(&p->session);
	oci_upload_state_remove(&p->state);
	p->accepted_bytes = 0;
	p->chunk.parts = 0;
	p->closing = false;
}

/* Nobody can have stored what has no name yet. */
static int find_stored(struct put *p, struct oci_error *err)
{
	struct oci_descriptor d = *p->want;

	if (p->source.proven)
		d.digest = p->source.digest;
	return d.digest.alg ? oci_registry_exists(p->registry, &d, false, &p->stored, err) : 0;
}

static int find_out(struct put *p, struct oci_error *err)
{
	uint64_t have = 0;
	int known = 0;

	if (p->session.url && !p->whole && (known = oci_session_ask(&p->session, &have, err)) < 0)
		return -1;
	known = known && have <= p->want->size_bytes;
	if ((p->closing || !known) && find_stored(p, err) < 0)
		return -1;
	if (known) {
		p->accepted_bytes = have;
		oci_upload_state_save(&p->state, p->session.url);
	} else {
		forget_session(p);
	}
	p->unsure = false;
	return 0;
}

static int start_session(struct put *p, struct oci_error *err)
{
	if (oci_session_start(&p->session, err) < 0)
		return -1;
	p->chunk.minimum_bytes = p->session.chunk_min;
	if (!p->whole)
		oci_upload_state_save(&p->state, p->session.url);
	return 0;
}

static int go_on(struct put *p, struct oci_error *err)
{
	p->request_bytes = p->sent_bytes = p->wait_ms = 0;
	p->refused = false;
	if (p->unsure && find_out(p, err) < 0)
		return -1;
	if (p->stored)
		return 0;
	if (!p->session.url && start_session(p, err) < 0)
		return -1;
	if (p->whole)
		return send_whole(p, err);
	while (p->accepted_bytes < p->want->size_bytes)
		if (send_chunk(p, err) < 0)
			return -1;
	return close_session(p, err);
}

/* after a failure */

/* Answers that a registry behind a balancer, or a session that went away,
 * give by accident: believed when they come again. */
static bool is_accident(struct put *p, int status)
{
	if (status != 401 && status != 410 && !takes_no_pieces(status))
		return false;
	unsigned count = p->closing ? ++p->close_refusals : ++p->refusals;
	if (status == 400 && p->closing)
		forget_session(p);
	return count < REFUSALS_MAX;
}

/* Too large for one request: what a smaller one carries may pass. */
static bool is_divisible(struct put *p)
{
	if (p->no_pieces || !oci_chunk_refused(&p->chunk, p->request_bytes))
		return false;
	if (p->whole)
		forget_session(p);
	p->whole = false;
	return true;
}

/* May it be better next time? Learns from it what to do otherwise. */
static bool is_passing(struct put *p, const struct oci_error *failure)
{
	int status = failure->http;

	if (failure->side == OCI_SIDE_SOURCE)
		return failure->code == OCI_E_NETWORK;
	if (p->refused) {
		p->whole = p->no_pieces = true;
		forget_session(p);
		return true;
	}
	switch (status) {
	case 0:
		if (failure->code == OCI_E_NETWORK && p->sent_bytes > 0)
			oci_chunk_cut(&p->chunk, p->sent_bytes);
		return failure->code == OCI_E_NETWORK;
	case 408:
	case 504:
		oci_chunk_refused(&p->chunk, p->request_bytes);
		return true;
	case 413:
		return is_divisible(p);
	default:
		if (p->request_bytes > 0 && oci_clock_ms() - p->begun_ms >= SLOW_MS && !p->whole)
			oci_chunk_refused(&p->chunk, p->request_bytes);
		return oci_retry_status(status) || is_accident(p, status);
	}
}

static uint64_t idle_ms(const struct put *p)
{
	return oci_clock_ms() - p->source.moved_ms;
}

static int give_up(struct put *p, const struct oci_error *failure, struct oci_error *err)
{
	char have[OCI_STR_SIZE_MAX], size[OCI_STR_SIZE_MAX];

	if (failure->code == OCI_E_DIGEST) {
		oci_upload_state_remove(&p->state);
		oci_session_cancel(&p->session);
	}
	if (!err || err->code)
		return -1;
	*err = *failure;
	if (err->side != OCI_SIDE_SOURCE && (err->code == OCI_E_NETWORK || err->code == OCI_E_RATE))
		oci_wrap(err, "%s of %s of a blob sent", oci_str_size(p->accepted_bytes, have),
			oci_str_size(p->want->size_bytes, size));
	return oci_fail_side(err, OCI_SIDE_DEST);
}

static int wait_for_next(struct put *p, struct oci_error *err)
{
	uint64_t until_ms = oci_clock_ms() + oci_retry_wait_ms(p->failures++, p->wait_ms);

	oci_upload_source_pause(&p->source);
	for (uint64_t now = oci_clock_ms(); now < until_ms; now = oci_clock_ms()) {
		uint64_t left_ms = until_ms - now;
		if (oci_store_check_wanted(p->source.content, p->cancel, err) < 0 ||
		    oci_retry_sleep(left_ms < SLICE_MS ? left_ms : SLICE_MS, p->cancel, err) < 0)
			return -1;
	}
	return 0;
}

/* A file went unread, and the registry does not like what came: is it the file? */
static void blame_file(struct put *p, struct oci_error *failure)
{
	struct oci_error why = {0};
	bool content = failure->http == 400 || failure->http == 404 || failure->http == 416 || failure->http == 422 ||
		failure->http == 500;

	if (p->source.file < 0 || p->source.checked || !p->closing || !content)
		return;
	if (oci_upload_source_check(&p->source, p->cancel, &why) < 0)
		*failure = why;
}

static int run(struct put *p, struct oci_error *err)
{
	for (;;) {
		struct oci_error failure = {0};
		if (go_on(p, &failure) == 0)
			return 0;
		blame_file(p, &failure);
		if (!is_passing(p, &failure) || idle_ms(p) >= oci_http_retry_for_ms(p->registry->http))
			return give_up(p, &failure, err);
		p->unsure = true;
		if (wait_for_next(p, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
	}
}

/* An earlier process may not have known the digest yet. */
static void open_state(struct put *p)
{
	const char *origin = oci_http_origin(p->registry->http), *repository = p->registry->repository;
	const struct oci_digest *digest = p->want->digest.alg ? &p->want->digest : NULL;
	const struct oci_digest *identity = p->source.content->identity;

	if (identity || digest)
		oci_upload_state_open(&p->state, p->registry->state_dir, origin, repository, identity ? identity : digest);
	if (identity && digest)
		oci_upload_state_rename(&p->state, origin, repository, digest);
}

/* An upload that an earlier process began. */
static int adopt(struct put *p, struct oci_error *err)
{
	if (oci_upload_state_load(&p->state, &p->session.url, err) < 0)
		return -1;
	if (p->session.url && !oci_http_is_home(p->registry->http, p->session.url))
		forget_session(p);
	p->unsure = p->session.url != NULL;
	return 0;
}

static void put_clear(struct put *p)
{
	oci_upload_source_clear(&p->source);
	oci_upload_state_close(&p->state);
	oci_session_clear(&p->session);
	oci_buf_clear(&p->url);
}

int oci_registry_put(struct oci_store *s, const struct oci_descriptor *d, const struct oci_content *content,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_error *err)
{
	struct oci_registry *r = (struct oci_registry *)s;
	OCI_CLEANUP(put_clear) struct put p = {
		.registry = r, .want = d, .cancel = cancel, .session = {.registry = r, .once = true},
		.state = {.dir = -1, .lock = -1},
		.no_pieces = atomic_load(&r->one_request),
	};

	p.whole = d->size_bytes <= WHOLE_BYTES || p.no_pieces;
	if (oci_registry_is_document(d) || d->size_bytes == 0)
		return oci_store_pump(s, d, content, observer, cancel, err);
	oci_buf_init(&p.url, OCI_URL_MAX);
	oci_chunk_init(&p.chunk, &r->chunk_ceiling);
	if (oci_upload_source_init(&p.source, content, d, observer, err) < 0)
		return -1;
	/* A registry compares what it got with its digest; what is read here anyway is hashed here, too. */
	bool as_file = content->file && !p.whole && oci_http_takes_files(r->http);
	if (as_file && oci_upload_source_take_file(&p.source, err) < 0)
		return -1;
	if (!p.whole)
		open_state(&p);
	bool in_pieces = !p.whole;
	if (adopt(&p, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	if (run(&p, err) < 0)
		return -1;
	oci_upload_state_remove(&p.state);
	if (in_pieces && p.no_pieces)
		atomic_store(&r->one_request, true);
	return 0;
}
