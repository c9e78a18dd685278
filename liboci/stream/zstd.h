/* zstd.h - a reader that decompresses zstd frames, skippable ones too (RFC 8878)
 *
 * A window above 8 MiB is refused (OCI_E_UNSUPPORTED): memory stays bounded. So
 * is a dictionary. What is no frame, the formats of before RFC 8878 included, is
 * OCI_E_FORMAT wherever it stands, and so is no frame at all.
 */
#pragma once

#include "stream/reader.h"

#define OCI_ZSTD_WINDOW_LOG_MAX 23

struct oci_reader *oci_zstd_reader_take(struct oci_reader *inner, struct oci_error *err);
