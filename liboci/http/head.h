/* head.h - the head of an answer, as far as a transfer has to understand it
 *
 *     struct oci_http_head head = {0};
 *     oci_http_head_init(&head, err);
 *     head.len += received into head.text + head.len, OCI_HTTP_HEAD_MAX - head.len at most
 *     switch (oci_http_head_parse(&head)) ...   after each piece
 *     oci_http_head_drop(&head)                 an interim one; the next may be there already
 *     oci_http_head_get(&head, "Content-Range", 0)
 *     the body begins at head.text + head.end
 *     oci_http_head_clear(&head);
 *
 * Understood is HTTP/1.1 (RFC 9112). All else that HTTP allows (other versions,
 * folded lines, codings but chunked) and all that it forbids is odd: whoever meets
 * it leaves the answer to a library that knows all of HTTP.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define OCI_HTTP_HEAD_MAX (32 * OCI_KIB)

enum oci_http_head_state {
	OCI_HEAD_PART, /* more of it is to come */
	OCI_HEAD_WHOLE,
	OCI_HEAD_INTERIM, /* 100 Continue and its like: the answer is to come */
	OCI_HEAD_ODD,
};

enum oci_http_framing {
	OCI_BODY_SIZED,   /* body_bytes */
	OCI_BODY_CHUNKED, /* oci_http_unchunk() */
	OCI_BODY_OPEN,    /* to the end of the connection */
};

struct oci_http_head {
	char *text; /* its lines, each ended by a zero byte once it is whole */
	size_t len; /* bytes in it, of the body too */
	size_t end; /* of the head */
	int status;
	enum oci_http_framing framing;
	uint64_t body_bytes;
	bool keeps; /* the connection serves another request after this one */
};

int oci_http_head_init(struct oci_http_head *head, struct oci_error *err);
void oci_http_head_clear(struct oci_http_head *head);
/* Not again once it has said WHOLE. */
enum oci_http_head_state oci_http_head_parse(struct oci_http_head *head);
void oci_http_head_drop(struct oci_http_head *head);
/* The value of header number `index` of that name, borrowed; NULL when there is none. */
const char *oci_http_head_get(const struct oci_http_head *head, const char *name, size_t index);

/* A chunked body (RFC 9112 7.1) becomes what it holds, in place; how many bytes that
 * is, as far as it is well-formed. *whole: its last chunk is there. */
size_t oci_http_unchunk(char *data, size_t len, bool *whole);
/* Is it all there, trailers too? */
bool oci_http_chunks_end(const char *data, size_t len);
