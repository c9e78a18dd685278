/* trace.h - one line a request for who looks for a fault; private to http/
 *
 *     GET https://reg.example/v2/a/blobs/sha256:...: status 206, 67108864 bytes in 412 ms
 *     GET https://reg.example/v2/a/blobs/sha256:...: try 2, no answer, 0 bytes in 15003 ms
 *
 * A trace event when the exchange ends. The bytes are those of the body, of the
 * request where it has one and of the answer else. No header and no query is
 * shown: they may be secrets.
 */
#pragma once

#include "http/exchange.h"

void oci_trace_show(const struct oci_http_exchange *x);
