/* direct.h - exchanges whose body goes straight between the connection and where it
 * comes from or is wanted; private to http/
 *
 * The library connects (addresses, TLS, certificates) and hands the connection
 * over; the request, the head of the answer (http/head.h) and the bodies are ours:
 * no byte of a blob is copied in between. Asked for with `direct` of a request: a
 * GET without a body, or a stream (`stream_bytes`). Where an answer is odd, the
 * exchange begins again through the library, and so do all after it; one that comes
 * once the stream was asked for is a failure of the network: whoever asks what became of
 * it will be told.
 *
 * Called by exchange.c alone, but for oci_http_exchange_receive() in exchange.h.
 */
#pragma once

#include "http/exchange.h"

bool oci_http_direct_may(const struct oci_http_exchange *x);
int oci_http_direct_begin(struct oci_http_exchange *x, struct oci_error *err);
int oci_http_direct_step(struct oci_http_exchange *x, struct oci_error *err);
/* The connection is kept where it is fit for it. */
void oci_http_direct_end(struct oci_http_exchange *x);
/* The step of a stream that is under way (http/direct_stream.c): some of what is out, and
 * the answer, should it come early. */
int oci_http_direct_send(struct oci_http_exchange *x, struct oci_error *err);
/* More of an answer of unknown length. */
int oci_http_direct_gather(struct oci_http_exchange *x, struct oci_error *err);
/* For these: some of the head, where there is some, */
int oci_http_direct_listen(struct oci_http_exchange *x, struct oci_error *err);
/* and a wait for the connection to be ready; what it is ready for. */
short oci_http_direct_wait(const struct oci_http_exchange *x, short events, int timeout_ms);
