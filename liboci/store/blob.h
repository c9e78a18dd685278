/* blob.h - what every store checks about a blob: its range and its bytes
 *
 *     oci_tally_start(&tally, want);
 *     oci_tally_add(&tally, data, len, err);       OCI_E_DIGEST beyond the size
 *     oci_tally_check(&tally, &digest, err);       OCI_E_DIGEST unless all is as promised
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/descriptor.h"

struct oci_tally {
	struct oci_hash hash;
	struct oci_digest want; /* alg 0: not known before the end */
	uint64_t size_bytes;
	uint64_t seen_bytes;
	bool trusted;
};

void oci_tally_start(struct oci_tally *tally, const struct oci_descriptor *want);
/* The digest to come is proven already: count, but do not hash. */
void oci_tally_trust(struct oci_tally *tally);
int oci_tally_add(struct oci_tally *tally, const void *data, size_t len, struct oci_error *err);
int oci_tally_check(struct oci_tally *tally, const struct oci_digest *digest, struct oci_error *err);

/* A reader of `length` bytes at `offset` must lie within the blob. */
int oci_blob_check_range(const struct oci_descriptor *d, uint64_t offset, uint64_t length,
	struct oci_error *err);
/* What is stored under the digest must have the descriptor's size. */
int oci_blob_check_size(const struct oci_descriptor *d, uint64_t stored_bytes, struct oci_error *err);
/* OCI_E_NOT_FOUND with the digest in its text; returns -1. */
int oci_blob_fail_missing(const struct oci_digest *digest, struct oci_error *err);
