/* bundle_sum.h - the sums of a bundle's files, on the heels of what is written; private to bundle_write.c
 *
 * A worker that has written an item hashes what thereby became whole: all
 * bytes of the stream before the first item that is not done. So a file is
 * hashed in its own order while its blobs come in parallel, and the bytes are
 * still in memory.
 */
#pragma once

#include "core/digest.h"
#include "engine/bundle_write.h"

struct oci_bundle_out {
	struct oci_hash hash; /* of the file up to `at` */
	uint64_t at;
	bool busy; /* a worker is at it */
};

/* The file of a part while it is written; 0 is the index. */
int oci_bundle_out_open(const struct oci_bundle_writer *w, size_t number, struct oci_error *err);
/* The rest of all hashes, the sums and lists behind the slices; durable. */
int oci_bundle_sum_finish(struct oci_bundle_writer *w, unsigned jobs, const atomic_int *cancel,
	struct oci_error *err);
