/* digest.h - content digests, and SHA-256 whose state can be read and set
 *
 * spec: OCI image-spec descriptor.md "Digests". sha256 is written; sha256 and
 * sha512 are verified; any other algorithm is OCI_E_UNSUPPORTED, and what is
 * no digest at all (upper-case hex, a wrong length) is OCI_E_FORMAT.
 *
 * Whole content:
 *
 *     struct oci_hash hash;
 *     oci_hash_init(&hash, OCI_SHA256);
 *     oci_hash_update(&hash, data, len);       any number of times
 *     oci_hash_final(&hash, &digest);
 *
 * Checkpoints: after a multiple of 64 bytes the SHA-256 state is its chaining
 * value alone, 32 bytes, big-endian as in FIPS 180-4. oci_hash_chain() reads
 * it; oci_chain_*() compress from one chaining value to the next, so a block
 * between two known values is verified by itself, in any order.
 *
 * Lanes: one core hashes two or three independent streams in little more time
 * than one (core/sha256.h). oci_hash_update_many() and oci_chain_update_many()
 * are for whoever has several full buffers at once; core/digest_pool.h is for
 * threads that have one each. Without such instructions, in FIPS mode (of
 * OpenSSL or of the kernel), or where the processor's results should differ
 * from OpenSSL's in the test at first use, OpenSSL does the work, one stream
 * after another, with the same results.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum oci_digest_alg { OCI_SHA256 = 1, OCI_SHA512 = 2 };

#define OCI_DIGEST_BYTES_MAX 64
#define OCI_DIGEST_TEXT_MAX (7 + 2 * OCI_DIGEST_BYTES_MAX + 1)

struct oci_digest {
	enum oci_digest_alg alg; /* 0: no digest */
	unsigned char bytes[OCI_DIGEST_BYTES_MAX];
};

int oci_digest_parse(const char *text, struct oci_digest *ret, struct oci_error *err);
/* "sha256:<hex>", "" when there is none; returns out. */
const char *oci_digest_format(const struct oci_digest *digest, char out[OCI_DIGEST_TEXT_MAX]);
/* The hex part alone; returns out. */
const char *oci_digest_hex(const struct oci_digest *digest, char out[OCI_DIGEST_TEXT_MAX]);
const char *oci_digest_alg_name(enum oci_digest_alg alg);
/* False when either is absent: no digest proves nothing. */
bool oci_digest_equal(const struct oci_digest *a, const struct oci_digest *b);
/* The digest of `len` bytes in memory. */
void oci_digest_of(enum oci_digest_alg alg, const void *data, size_t len, struct oci_digest *ret);

struct oci_hash {
	enum oci_digest_alg alg;
	_Alignas(16) unsigned char state[240]; /* the implementation's */
};

void oci_hash_init(struct oci_hash *hash, enum oci_digest_alg alg);
void oci_hash_update(struct oci_hash *hash, const void *data, size_t len);
void oci_hash_final(struct oci_hash *hash, struct oci_digest *ret);

/* How many streams side by side are worth while on one core: 3, or 1 where
 * OpenSSL does the work. */
unsigned oci_hash_lanes(void);

struct oci_hash_lane {
	struct oci_hash *hash; /* no two lanes have the same */
	const void *data;      /* used up, with len: 0 when done */
	size_t len;
};

/* Update every hash with its data, side by side as far as they are SHA-256.
 * Any count, any lengths; equal lengths are fastest. */
void oci_hash_update_many(struct oci_hash_lane *lanes, size_t count);

#define OCI_CHAIN_BYTES 32
#define OCI_CHAIN_BLOCK 64

/* The chaining value after what was hashed so far, a multiple of 64 bytes
 * (asserted: a rest would be left out of it without a word). */
void oci_hash_chain(const struct oci_hash *hash, unsigned char chain[OCI_CHAIN_BYTES]);
/* Go on from there: the SHA-256 of a message of which `done` bytes, a multiple
 * of 64, lead to `chain`. */
void oci_hash_resume(struct oci_hash *hash, const unsigned char chain[OCI_CHAIN_BYTES], uint64_t done);

/* The value before the first byte. */
void oci_chain_start(unsigned char chain[OCI_CHAIN_BYTES]);
/* Compress `len` bytes, a multiple of 64 (asserted). */
void oci_chain_update(unsigned char chain[OCI_CHAIN_BYTES], const void *data, size_t len);

struct oci_chain_lane {
	unsigned char *chain; /* OCI_CHAIN_BYTES; no two lanes have the same */
	const void *data;     /* used up, with len: 0 when done */
	size_t len;           /* a multiple of 64 (asserted) */
};

/* The same for several streams side by side; any count, any lengths. */
void oci_chain_update_many(struct oci_chain_lane *lanes, size_t count);

/* The digest of a message of `total` bytes whose last `len` bytes are `tail`
 * (any length) and whose state before them is `chain`; total - len is a
 * multiple of 64. */
void oci_chain_final(const unsigned char chain[OCI_CHAIN_BYTES], const void *tail, size_t len,
	uint64_t total, struct oci_digest *ret);
