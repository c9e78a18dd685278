/* digest_pool.h - where threads meet that have one buffer each to hash
 *
 * One core hashes two or three streams in little more time than one
 * (core/digest.h, lanes). Threads that own one stream each bring their full
 * buffers here: who comes first waits, who makes it enough hashes all of them,
 * and everybody goes on with his own.
 *
 *     oci_digest_pool_init(&pool, OCI_DIGEST_POOL_LANES, OCI_DIGEST_POOL_WAIT_MS);
 *     ...in each thread:
 *     oci_digest_pool_join(&pool);
 *     oci_digest_pool_update(&pool, &hash, buffer, len);     any number of times
 *     oci_digest_pool_leave(&pool);
 *     ...when all threads have left:
 *     oci_digest_pool_clear(&pool);
 *
 * Worth while where there are more threads than cores: who waits leaves his
 * core to others. Nobody waits longer than `wait_ms` for somebody to begin, nor
 * where the others are too few to be worth it: then those who are there are
 * hashed as they are. Short pieces, and all where lanes bring nothing, are hashed
 * at once. Data stays the caller's and must not change before the call returns.
 * Nothing here fails.
 */
#pragma once

#include <pthread.h>

#include "core/digest.h"

#define OCI_DIGEST_POOL_LANES 2
#define OCI_DIGEST_POOL_LANES_MAX 3
#define OCI_DIGEST_POOL_WAIT_MS 10
/* What is shorter is not worth a meeting. */
#define OCI_DIGEST_POOL_SHORT (16 * OCI_KIB)

struct oci_digest_pool {
	pthread_mutex_t lock; /* guards what follows */
	unsigned lanes;       /* that are enough, at most */
	unsigned wait_ms;
	unsigned cores;       /* that may hash at a time; set before the first join. 1, as it
	                       * is at first, where the others have other work (transfers) */
	unsigned members;     /* joined and not left */
	unsigned waiting;
	unsigned hashing;     /* whose buffers are being hashed, */
	unsigned running;     /* by so many of them */
	struct oci_digest_pool_seat *first; /* of those who wait, who came first */
	/* How often so many were hashed together; for tests and measurement. */
	uint64_t groups[OCI_DIGEST_POOL_LANES_MAX + 1];
};

/* `lanes`, 1 to 3, is how many wait for each other at most: fewer where the
 * threads that do not hash just then are fewer for each idle core. It becomes 1
 * where oci_hash_lanes() says so. */
void oci_digest_pool_init(struct oci_digest_pool *pool, unsigned lanes, unsigned wait_ms);
void oci_digest_pool_clear(struct oci_digest_pool *pool);

/* From join to leave a thread is expected to come with buffers. */
void oci_digest_pool_join(struct oci_digest_pool *pool);
void oci_digest_pool_leave(struct oci_digest_pool *pool);

/* oci_hash_update() and oci_chain_update() in company. */
void oci_digest_pool_update(struct oci_digest_pool *pool, struct oci_hash *hash, const void *data, size_t len);
void oci_digest_pool_chain(struct oci_digest_pool *pool, unsigned char chain[OCI_CHAIN_BYTES],
	const void *data, size_t len);
