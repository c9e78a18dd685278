/* registry_session.h - an upload session of a registry; private to the registry store
 *
 *     oci_session_start(&session, registry, err);       POST
 *     oci_session_ask(&session, &have, err);            GET: how far it came
 *     oci_session_close_url(&session, &digest, &url, err);
 *     oci_session_clear(&session);
 *
 * Its address changes with every answer: the newest is kept, and must be the
 * registry's own (what is sent there is ours).
 */
#pragma once

#include "http/client.h"
#include "store/registry_sink.h"

#define OCI_SESSION_ANSWER_MAX (64 * OCI_KIB)

struct oci_session {
	struct oci_registry *registry;
	char *url;          /* NULL: none */
	uint64_t chunk_min; /* the server's OCI-Chunk-Min-Length, 0: any */
	bool once;          /* to start is tried once: the caller tries again */
};

/* May we write here? Begins a session, which is what every registry refuses to who
 * may not (tokens are handed out for less than was asked), and leaves it to the
 * next oci_session_start(). OCI_E_AUTH, OCI_E_PERM; what may pass is no failure
 * here: the uploads themselves have more patience. */
int oci_session_probe(struct oci_registry *registry, struct oci_error *err);
/* A new one in the place of the old, which is forgotten. */
int oci_session_start(struct oci_session *session, struct oci_error *err);
/* Follow an answer's Location, which may be absent. */
int oci_session_move(struct oci_session *session, const char *location, struct oci_error *err);
/* 1: *ret bytes are there; 0: the server knows no such session (any more); -1. */
int oci_session_ask(struct oci_session *session, uint64_t *ret, struct oci_error *err);
/* What the closing PUT goes to; `url` is emptied first. */
int oci_session_close_url(const struct oci_session *session, const struct oci_digest *digest,
	struct oci_buf *url, struct oci_error *err);
/* How long the answer to a closing PUT may take: a registry hashes first. */
uint64_t oci_session_close_ms(const struct oci_session *session, uint64_t size_bytes);
/* End it at the server, best effort, and forget it. */
void oci_session_cancel(struct oci_session *session);
void oci_session_clear(struct oci_session *session);

/* The answer's first error is the one of this code: "BLOB_UPLOAD_UNKNOWN". */
bool oci_session_said(const struct oci_http_response *answer, const char *code);
/* A session's Range "0-N" to N + 1; but "0-0" is what servers say of one
 * without a byte. */
bool oci_session_parse_range(const char *range, uint64_t *ret);
/* 200, 201, 204. */
bool oci_session_stored(int status);
