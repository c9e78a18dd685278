/* scan.h - a stream read to its end for what its bytes say, none of them kept
 *
 *     oci_scan(reader, worker, observer, take, &hash, err)
 *
 * `take` sees every piece in order and may fail; the observer sees the bytes
 * after it. Ends with OCI_E_CANCELLED soon after the worker is told to stop.
 * The reader stays the caller's.
 */
#pragma once

#include "base/event.h"
#include "base/workers.h"
#include "stream/reader.h"

typedef int (*oci_scan_take)(void *ctx, const void *data, size_t len, struct oci_error *err);

int oci_scan(struct oci_reader *reader, const struct oci_worker *worker, const struct oci_observer *observer,
	oci_scan_take take, void *ctx, struct oci_error *err);
