/* chunk.h - how many bytes of a blob go into the next upload request
 *
 *     oci_chunk_init(&chunk, &registry->chunk_ceiling);
 *     size = oci_chunk_next(&chunk, left);
 *     oci_chunk_passed(&chunk, size, took_ms);    or _cut(), or _refused()
 *
 * A request carries at most 64 MiB, no more than the measured rate moves in
 * 30 s, and no less than the server's minimum. A cut lowers the ceiling below
 * what had passed by then, but to a quarter at most; a refusal halves it. It
 * does not rise again, and all uploads to a registry share it. A blob stays below 9,000 requests:
 * stores behind a registry count to 10,000.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define OCI_CHUNK_START (64 * OCI_MIB)
#define OCI_CHUNK_CUT_MIN OCI_MIB
#define OCI_CHUNK_MIN (128 * OCI_KIB)
#define OCI_CHUNK_PARTS 9000
#define OCI_CHUNK_SECONDS 30

struct oci_chunk {
	atomic_uint_fast64_t *ceiling_bytes; /* borrowed */
	uint64_t minimum_bytes;              /* OCI-Chunk-Min-Length */
	uint64_t bytes_per_second;           /* 0: not measured yet */
	uint64_t parts;                      /* that the server has of this blob */
};

void oci_chunk_init(struct oci_chunk *chunk, atomic_uint_fast64_t *ceiling_bytes);
/* `left` > 0: what is still to be sent of the blob. */
uint64_t oci_chunk_next(const struct oci_chunk *chunk, uint64_t left);

void oci_chunk_passed(struct oci_chunk *chunk, uint64_t bytes, uint64_t took_ms);
/* The connection ended when `passed` bytes of a request were on their way. */
void oci_chunk_cut(struct oci_chunk *chunk, uint64_t passed);
/* A request of `bytes` was too large or took too long. False: it cannot be
 * made smaller. */
bool oci_chunk_refused(struct oci_chunk *chunk, uint64_t bytes);
