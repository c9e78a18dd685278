/* reader.h - a blob as a reader, over as many connections as it takes
 *
 *     struct oci_http_blob blob = {.url = url, .scope = scope, .size_bytes = d->size_bytes};
 *     r = oci_http_reader_open(http, &blob, offset, length, err);
 *
 * Nothing is asked before the first read. A cut connection is opened again
 * where it ended, with a closed Range; five failures in a row without a new
 * byte are the end (OCI_E_NETWORK), but a registry that served us and now does
 * not answer has `retry_for_ms` (client.h). An answer to a Range counts only as
 * 206 with exactly the range that was asked; a server that knows no ranges (200)
 * is read again from the start, up to 8 times, when the reader began there, and
 * is OCI_E_UNSUPPORTED otherwise. Addresses that a redirect named are asked anew
 * each time, for they expire. Bytes are unverified.
 *
 * Memory: 1 MiB and the transfer library's 256 KiB.
 */
#pragma once

#include "http/client.h"
#include "stream/reader.h"

struct oci_http_blob {
	const char *url;
	const char *scope;
	const char *accept;  /* NULL: any */
	uint64_t size_bytes; /* of the whole */
	unsigned tries;      /* failures in a row that are the end; 0: as said above */
};

/* Strings are copied. */
struct oci_reader *oci_http_reader_open(struct oci_http *http, const struct oci_http_blob *blob,
	uint64_t offset, uint64_t length, struct oci_error *err);
