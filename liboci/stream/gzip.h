/* gzip.h - a reader that decompresses gzip, several members too (RFC 1952)
 *
 * Ends only at the end of `inner`: trailing bytes that are no member fail
 * (OCI_E_FORMAT), trailing zero bytes are allowed. No member at all is not gzip.
 * Memory: 64 KiB input + zlib's, whatever the data says.
 */
#pragma once

#include "stream/reader.h"

struct oci_reader *oci_gzip_reader_take(struct oci_reader *inner, struct oci_error *err);
