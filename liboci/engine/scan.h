/* scan.h - streams read to their end for what their bytes say, on all cores
 *
 *     OCI_CLEANUP(oci_scan_clear) struct oci_scan scan;
 *     oci_scan_init(&scan, jobs, observer);
 *     oci_workers_run(scan.threads, ...);         and in each item of it
 *             oci_scan_stream(&scan, worker, reader, &tape, err);
 *
 * Threads are more than cores where two streams go through a core side by side
 * (core/digest_pool.h). The observer sees the bytes after the tape. A stream
 * ends with OCI_E_CANCELLED soon after the worker is told to stop. The reader
 * stays the caller's.
 */
#pragma once

#include "base/event.h"
#include "base/workers.h"
#include "core/digest_pool.h"
#include "engine/block_index.h"

struct oci_scan {
	struct oci_digest_pool pool;
	unsigned threads;
	size_t chunk_bytes; /* that a thread reads at a time */
	const struct oci_observer *observer;
};

/* `jobs` 0: what the machine can do. */
void oci_scan_init(struct oci_scan *scan, unsigned jobs, const struct oci_observer *observer);
void oci_scan_clear(struct oci_scan *scan);

/* The tape is initialized and not final. */
int oci_scan_stream(struct oci_scan *scan, const struct oci_worker *worker, struct oci_reader *reader,
	struct oci_block_index_tape *tape, struct oci_error *err);
