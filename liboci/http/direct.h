/* direct.h - exchanges whose body is received straight to where it is wanted; private to http/
 *
 * The library connects (addresses, TLS, certificates) and hands the connection
 * over; the request, the head of the answer (http/head.h) and its body are ours:
 * no byte of a blob is copied in between. Asked for with `direct` of a request,
 * GET without a body. Where an answer is odd, the exchange begins again through
 * the library, and so do all after it.
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
