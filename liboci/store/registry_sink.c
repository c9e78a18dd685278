#include "store/registry_sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/manifest.h"
#include "http/upload.h"
#include "http/url.h"
#include "store/blob.h"
#include "store/registry_session.h"

#define BUFFERED_MAX OCI_MIB
#define PIECE_BYTES (64 * OCI_MIB)
#define SMALL_PIECE_BYTES (4 * OCI_MIB) /* where 64 MiB are too many */

enum sink_way {
	SINK_DOCUMENT, /* a manifest: buffered, PUT by digest */
	SINK_BUFFERED, /* a small blob: POST, PUT */
	SINK_WHOLE,    /* POST, one streamed PUT */
	SINK_PIECES,   /* POST, PATCH ..., PUT */
};

struct registry_sink {
	struct oci_sink base;
	struct oci_registry *registry;
	struct oci_descriptor want;
	struct oci_tally tally;
	enum sink_way way;

	struct oci_buf buffer;           /* DOCUMENT, BUFFERED */
	struct oci_session session;
	struct oci_http_upload *up;      /* the request under way; NULL: between two */
	struct oci_http_request request; /* its own, with the two texts below */
	struct oci_buf url;
	char content_range[48];
	uint64_t piece_bytes;            /* a request's body at most */
	uint64_t sent_bytes, piece_left;
	unsigned char last;              /* WHOLE: the byte that is held back */
};

static int start_session(struct registry_sink *k, struct oci_error *err)
{
	if (oci_session_start(&k->session, err) < 0)
		return -1;
	if (k->session.chunk_min > k->piece_bytes)
		k->piece_bytes = k->session.chunk_min;
	return 0;
}

/* A closing request failed: an answer that was lost is no blob that was lost. */
static int settle(struct registry_sink *k, const struct oci_digest *digest, const struct oci_error *failure,
	struct oci_error *err)
{
	struct oci_descriptor landed = {.media_type = k->want.media_type, .digest = *digest};
	bool there = false;

	if (failure->code == OCI_E_NETWORK && oci_registry_exists(k->registry, &landed, false, &there, NULL) == 0 && there)
		return 0;
	if (err && !err->code)
		*err = *failure;
	return -1;
}

/* requests of a stream */

static int start_whole(struct registry_sink *k, struct oci_error *err)
{
	if (oci_session_close_url(&k->session, &k->want.digest, &k->url, err) < 0)
		return -1;
	k->request = (struct oci_http_request){
		.method = "PUT", .url = k->url.data, .scope = k->registry->scope, .answer_ms = oci_session_close_ms(&k->session, k->want.size_bytes),
	};
	k->piece_left = k->want.size_bytes;
	k->up = oci_http_upload_start(k->registry->http, &k->request, k->piece_left, err);
	return k->up ? 0 : -1;
}

static int start_piece(struct registry_sink *k, struct oci_error *err)
{
	uint64_t left = k->want.size_bytes - k->sent_bytes;
	bool all = left == k->want.size_bytes && left <= k->piece_bytes;

	k->piece_left = left < k->piece_bytes ? left : k->piece_bytes;
	snprintf(k->content_range, sizeof k->content_range, "%" PRIu64 "-%" PRIu64, k->sent_bytes,
		k->sent_bytes + k->piece_left - 1);
	oci_buf_reset(&k->url);
	if (oci_buf_puts(&k->url, k->session.url, err) < 0)
		return -1;
	k->request = (struct oci_http_request){
		.method = "PATCH", .url = k->url.data, .scope = k->registry->scope,
		.content_range = all ? NULL : k->content_range, .answer_ms = oci_session_close_ms(&k->session, k->want.size_bytes),
	};
	k->up = oci_http_upload_start(k->registry->http, &k->request, k->piece_left, err);
	return k->up ? 0 : -1;
}

static int finish_piece(struct registry_sink *k, struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;

	oci_http_response_init(&answer, OCI_SESSION_ANSWER_MAX);
	if (oci_http_upload_finish(oci_steal(&k->up), &answer, err) < 0)
		return -1;
	if (!oci_session_stored(answer.status) && oci_http_expect(&k->request, &answer, 202, err) < 0)
		return -1;
	return oci_session_move(&k->session, answer.location, err);
}

static int start_request(struct registry_sink *k, struct oci_error *err);

/* Answered before it saw a byte, so nothing is lost: a proxy may take smaller
 * requests, a registry may know only the one PUT. */
static int start_otherwise(struct registry_sink *k, struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;

	oci_http_response_init(&answer, OCI_SESSION_ANSWER_MAX);
	if (oci_http_upload_finish(oci_steal(&k->up), &answer, err) < 0)
		return -1;
	if (answer.status == 413 && k->piece_bytes > SMALL_PIECE_BYTES) {
		k->piece_bytes = SMALL_PIECE_BYTES;
		k->way = SINK_PIECES;
		return start_request(k, err);
	}
	bool no_pieces = answer.status == 400 || answer.status == 404 || answer.status == 405 ||
		answer.status == 501;
	if (k->way == SINK_PIECES && no_pieces && k->want.digest.alg && k->sent_bytes == 0) {
		k->way = SINK_WHOLE;
		return start_session(k, err) < 0 ? -1 : start_request(k, err);
	}
	return oci_http_expect(&k->request, &answer, 0, err);
}

static int start_request(struct registry_sink *k, struct oci_error *err)
{
	int rc = k->way == SINK_WHOLE ? start_whole(k, err) : start_piece(k, err);
	if (rc < 0)
		return -1;
	return oci_http_upload_refused(k->up) ? start_otherwise(k, err) : 0;
}

/* As much as the request under way takes; the very last byte of a whole stays here. */
static int send_some(struct registry_sink *k, const unsigned char *data, size_t len, size_t *ret,
	struct oci_error *err)
{
	if (!k->up && start_request(k, err) < 0)
		return -1;
	size_t taken = len < k->piece_left ? len : (size_t)k->piece_left;
	bool hold = k->way == SINK_WHOLE && taken == k->piece_left;
	if (hold)
		k->last = data[taken - 1];
	if (oci_http_upload_write(k->up, data, taken - hold, err) < 0)
		return -1;
	k->sent_bytes += taken;
	k->piece_left -= taken;
	*ret = taken;
	if (k->way == SINK_PIECES && k->piece_left == 0)
		return finish_piece(k, err);
	return 0;
}

static int registry_write(struct oci_sink *sink, const void *data, size_t len, struct oci_error *err)
{
	struct registry_sink *k = (struct registry_sink *)sink;
	const unsigned char *bytes = data;

	if (oci_tally_add(&k->tally, data, len, err) < 0)
		return -1;
	if (k->way == SINK_DOCUMENT || k->way == SINK_BUFFERED)
		return oci_buf_append(&k->buffer, data, len, err);
	while (len > 0) {
		size_t taken;
		if (send_some(k, bytes, len, &taken, err) < 0)
			return -1;
		bytes += taken;
		len -= taken;
	}
	return 0;
}

/* committing */

static int commit_document(struct registry_sink *k, const struct oci_digest *digest, struct oci_error *err)
{
	char text[OCI_DIGEST_TEXT_MAX];
	const char *bytes = oci_buf_text(&k->buffer);

	if (oci_registry_put_manifest(k->registry, oci_digest_format(digest, text), k->want.media_type, bytes,
		    k->buffer.len, err) < 0)
		return -1;
	oci_memo_put(&k->registry->memo, digest, bytes, k->buffer.len);
	return 0;
}

/* The closing PUT, with what is buffered as its body. */
static int close_session(struct registry_sink *k, const struct oci_digest *digest, struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;

	oci_http_response_init(&answer, OCI_SESSION_ANSWER_MAX);
	if (oci_session_close_url(&k->session, digest, &k->url, err) < 0)
		return -1;
	struct oci_http_request put = {
		.method = "PUT", .url = k->url.data, .scope = k->registry->scope, .answer_ms = oci_session_close_ms(&k->session, k->want.size_bytes),
		.body = oci_buf_text(&k->buffer), .body_len = k->buffer.len,
	};
	if (oci_http_perform(k->registry->http, &put, &answer, err) < 0)
		return -1;
	return oci_session_stored(answer.status) ? 0 : oci_http_expect(&put, &answer, 201, err);
}

static int post_and_put(struct registry_sink *k, const struct oci_digest *digest, struct oci_error *err)
{
	struct oci_error failure = {0};

	if (start_session(k, err) < 0)
		return -1;
	if (close_session(k, digest, &failure) == 0)
		return 0;
	return settle(k, digest, &failure, err);
}

static int commit_buffered(struct registry_sink *k, const struct oci_digest *digest, struct oci_error *err)
{
	struct oci_error first = {0};

	if (post_and_put(k, digest, &first) == 0)
		return 0;
	if (first.code == OCI_E_NETWORK)
		return post_and_put(k, digest, err);
	if (err && !err->code)
		*err = first;
	return -1;
}

static int commit_pieces(struct registry_sink *k, const struct oci_digest *digest, struct oci_error *err)
{
	struct oci_error failure = {0};

	if (close_session(k, digest, &failure) == 0)
		return 0;
	return settle(k, digest, &failure, err);
}

static int commit_whole(struct registry_sink *k, const struct oci_digest *digest, struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer = {0};
	struct oci_error failure = {0};

	if (!k->up)
		return oci_fail(err, OCI_E_BUG, "commit after a write that failed");
	oci_http_response_init(&answer, OCI_SESSION_ANSWER_MAX);
	if (!oci_http_upload_refused(k->up) && oci_http_upload_write(k->up, &k->last, 1, &failure) < 0)
		return settle(k, digest, &failure, err);
	if (oci_http_upload_finish(oci_steal(&k->up), &answer, &failure) < 0)
		return settle(k, digest, &failure, err);
	return oci_session_stored(answer.status) ? 0 : oci_http_expect(&k->request, &answer, 201, err);
}

static void sink_free(struct registry_sink *k)
{
	oci_http_upload_abort(k->up);
	oci_descriptor_clear(&k->want);
	oci_buf_clear(&k->buffer);
	oci_buf_clear(&k->url);
	oci_session_clear(&k->session);
	free(k);
}

static void registry_abort(struct oci_sink *sink)
{
	struct registry_sink *k = (struct registry_sink *)sink;

	oci_http_upload_abort(oci_steal(&k->up));
	oci_session_cancel(&k->session);
	sink_free(k);
}

static int registry_commit(struct oci_sink *sink, const struct oci_digest *digest, struct oci_error *err)
{
	static int (*const ways[])(struct registry_sink *, const struct oci_digest *, struct oci_error *) = {
		[SINK_DOCUMENT] = commit_document, [SINK_BUFFERED] = commit_buffered,
		[SINK_WHOLE] = commit_whole, [SINK_PIECES] = commit_pieces,
	};
	struct registry_sink *k = (struct registry_sink *)sink;

	if (oci_tally_check(&k->tally, digest, err) < 0 || ways[k->way](k, digest, err) < 0) {
		registry_abort(sink);
		return -1;
	}
	sink_free(k);
	return 0;
}

static const struct oci_sink_ops sink_ops = {
	.write = registry_write, .commit = registry_commit, .abort = registry_abort,
};

static enum sink_way choose_way(const struct oci_registry *r, const struct oci_descriptor *want)
{
	if (oci_registry_is_document(want))
		return SINK_DOCUMENT;
	if (want->size_bytes <= BUFFERED_MAX)
		return SINK_BUFFERED;
	bool known = want->digest.alg != 0;
	return known && (r->one_request || want->size_bytes <= PIECE_BYTES) ? SINK_WHOLE : SINK_PIECES;
}

struct oci_sink *oci_registry_begin(struct oci_store *s, const struct oci_descriptor *want,
	struct oci_error *err)
{
	struct oci_registry *r = (struct oci_registry *)s;
	struct registry_sink *k = calloc(1, sizeof *k);

	if (!k) {
		oci_fail_nomem(err);
		return NULL;
	}
	k->base.ops = &sink_ops;
	k->registry = r;
	k->session.registry = r;
	k->way = choose_way(r, want);
	k->piece_bytes = r->one_request ? UINT64_MAX : PIECE_BYTES;
	oci_buf_init(&k->buffer, k->way == SINK_DOCUMENT ? OCI_MANIFEST_MAX : BUFFERED_MAX);
	oci_buf_init(&k->url, OCI_URL_MAX);
	oci_tally_start(&k->tally, want);
	bool stream = k->way == SINK_WHOLE || k->way == SINK_PIECES;
	if (oci_descriptor_copy(&k->want, want, err) < 0 || (stream && start_session(k, err) < 0)) {
		sink_free(k);
		return NULL;
	}
	return &k->base;
}
