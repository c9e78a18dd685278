/* sha256.h - SHA-256's compression by the processor's own instructions (private to core/)
 *
 * spec: FIPS 180-4, 6.2.2. One stream is bound by the latency of the rounds: a
 * core that works on two or three at once, instruction by instruction, gets
 * nearly two streams for the time of one. x86-64 with the SHA extensions and
 * ARMv8 with the cryptography extension; which of them this processor has is
 * asked at run time. digest_hash.c decides whether they are used.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OCI_SHA256_WORDS 8
#define OCI_SHA256_BLOCK 64
#define OCI_SHA256_LANES_MAX 3

struct oci_sha256_lane {
	uint32_t *state; /* OCI_SHA256_WORDS, a to h; changed */
	const unsigned char *data;
};

/* Compress `blocks` of 64 bytes of each of 1 to OCI_SHA256_LANES_MAX lanes. */
typedef void (*oci_sha256_fn)(const struct oci_sha256_lane *lanes, size_t count, size_t blocks);

/* NULL where the processor has no such instructions. */
oci_sha256_fn oci_sha256_native(void);

/* Does it compute, with every number of lanes, what OpenSSL computes? */
bool oci_sha256_is_right(oci_sha256_fn fn);
