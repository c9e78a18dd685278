#include "engine/scan.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"

/* The larger a chunk, the fewer meetings; all of them together stay in the cores' caches, and in memory's bounds. */
#define CHUNK_LEAST (256 * OCI_KIB)
#define CHUNK_MOST OCI_MIB
#define CHUNKS (8 * OCI_MIB)

static size_t choose_chunk(unsigned threads)
{
	size_t share = CHUNKS / threads;

	return share < CHUNK_LEAST ? CHUNK_LEAST : share < CHUNK_MOST ? share : CHUNK_MOST;
}

void oci_scan_init(struct oci_scan *scan, unsigned jobs, const struct oci_observer *observer)
{
	unsigned cpus = oci_workers_cpus();

	*scan = (struct oci_scan){.observer = observer};
	oci_digest_pool_init(&scan->pool, OCI_DIGEST_POOL_LANES, OCI_DIGEST_POOL_WAIT_MS);
	scan->pool.cores = cpus;
	scan->threads = jobs ? jobs : cpus * scan->pool.lanes;
	scan->chunk_bytes = choose_chunk(scan->threads);
}

void oci_scan_clear(struct oci_scan *scan)
{
	oci_digest_pool_clear(&scan->pool);
}

static int read_through(struct oci_scan *scan, const struct oci_worker *worker, struct oci_reader *reader,
	struct oci_block_index_tape *tape, struct oci_error *err)
{
	oci_autofree char *chunk = malloc(scan->chunk_bytes);
	ssize_t n;

	if (!chunk)
		return oci_fail_nomem(err);
	while ((n = oci_reader_read_full(reader, chunk, scan->chunk_bytes, err)) > 0) {
		if (oci_worker_stopped(worker))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled");
		if (oci_block_index_tape_update(tape, chunk, (size_t)n, err) < 0)
			return -1;
		oci_event_bytes(scan->observer, (uint64_t)n);
		if ((size_t)n < scan->chunk_bytes)
			return 0;
	}
	return n < 0 ? -1 : 0;
}

int oci_scan_stream(struct oci_scan *scan, const struct oci_worker *worker, struct oci_reader *reader,
	struct oci_block_index_tape *tape, struct oci_error *err)
{
	int rc;

	tape->pool = &scan->pool;
	oci_digest_pool_join(&scan->pool);
	rc = read_through(scan, worker, reader, tape, err);
	oci_digest_pool_leave(&scan->pool);
	return rc;
}
