#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "core/digest_pool.h"

#define PIECE (64 * OCI_KIB)
#define FOREVER_MS (60 * 60 * 1000) /* what waits so long was forgotten: the test ends by its timeout */
#define THREADS_MAX 9

struct member {
	struct oci_digest_pool *pool;
	pthread_t thread;
	uint64_t seed;
	unsigned pieces;
	bool chain; /* by chaining values */
	struct oci_digest got, want;
};

static size_t piece_len(const struct member *m, unsigned piece)
{
	/* Most are full; some are short, odd or empty where that is allowed. */
	size_t odd = (m->seed * 7919 + piece * 104729) % PIECE;

	if (piece % 4 != 3)
		return PIECE;
	return m->chain ? odd / OCI_CHAIN_BLOCK * OCI_CHAIN_BLOCK : odd;
}

static void bring(struct member *m, const unsigned char *data)
{
	struct oci_hash company, alone;
	unsigned char chain[OCI_CHAIN_BYTES];
	uint64_t done = 0;

	oci_hash_init(&company, OCI_SHA256);
	oci_hash_init(&alone, OCI_SHA256);
	oci_chain_start(chain);
	for (unsigned i = 0; i < m->pieces; i++) {
		size_t len = piece_len(m, i);

		if (m->chain)
			oci_digest_pool_chain(m->pool, chain, data, len);
		else
			oci_digest_pool_update(m->pool, &company, data, len);
		oci_hash_update(&alone, data, len);
		done += len;
	}
	if (m->chain)
		oci_chain_final(chain, NULL, 0, done, &m->got);
	else
		oci_hash_final(&company, &m->got);
	oci_hash_final(&alone, &m->want);
}

static void *member_main(void *arg)
{
	struct member *m = arg;
	unsigned char *data = malloc(PIECE);

	if (data) {
		uint64_t x = m->seed | 1;

		for (size_t i = 0; i < PIECE; i++) {
			x = x * 6364136223846793005 + 1442695040888963407;
			data[i] = (unsigned char)(x >> 56);
		}
		bring(m, data);
	}
	free(data);
	oci_digest_pool_leave(m->pool);
	return NULL;
}

/* All have joined before the first one begins, so who waits knows of the others. */
static void run_members(struct oci_digest_pool *pool, struct member *members, size_t count)
{
	for (size_t i = 0; i < count; i++)
		oci_digest_pool_join(pool);
	for (size_t i = 0; i < count; i++) {
		members[i].pool = pool;
		members[i].seed = i + 1;
		assert_int_equal(pthread_create(&members[i].thread, NULL, member_main, &members[i]), 0);
	}
	for (size_t i = 0; i < count; i++)
		pthread_join(members[i].thread, NULL);
	for (size_t i = 0; i < count; i++)
		assert_true(oci_digest_equal(&members[i].got, &members[i].want));
}

static bool has_lanes(void)
{
	if (oci_hash_lanes() > 1)
		return true;
	print_message("no SHA instructions here: nobody waits\n");
	return false;
}

static void pool_hashes_what_each_brings(void **state)
{
	for (unsigned lanes = 1; lanes <= OCI_DIGEST_POOL_LANES_MAX; lanes++)
		for (size_t count = 1; count <= THREADS_MAX; count += 2) {
			struct member members[THREADS_MAX] = {0};
			struct oci_digest_pool pool;

			for (size_t i = 0; i < count; i++)
				members[i] = (struct member){.pieces = 20 + 3 * (unsigned)i, .chain = i % 3 == 1};
			oci_digest_pool_init(&pool, lanes, OCI_DIGEST_POOL_WAIT_MS);
			run_members(&pool, members, count);
			oci_digest_pool_clear(&pool);
		}
}

/* Whoever is left alone is told so when the last of the others leaves. */
static void pool_forgets_nobody_who_waits(void **state)
{
	for (unsigned lanes = 2; lanes <= OCI_DIGEST_POOL_LANES_MAX; lanes++)
		for (unsigned round = 0; round < 20; round++) {
			struct member members[5] = {0};
			struct oci_digest_pool pool;

			for (size_t i = 0; i < 5; i++)
				members[i] = (struct member){.pieces = 1 + (unsigned)i * round % 13, .chain = i & 1};
			oci_digest_pool_init(&pool, lanes, FOREVER_MS);
			run_members(&pool, members, 5);
			oci_digest_pool_clear(&pool);
		}
}

/* Threads, lanes and cores in any numbers, and no time to wait for rescue. */
static void pool_forgets_nobody_on_several_cores(void **state)
{
	for (unsigned round = 0; round < 60; round++) {
		struct member members[THREADS_MAX] = {0};
		size_t count = 1 + round % THREADS_MAX;
		struct oci_digest_pool pool;

		for (size_t i = 0; i < count; i++)
			members[i] = (struct member){.pieces = 1 + (unsigned)i * round % 13, .chain = i & 1};
		oci_digest_pool_init(&pool, 2 + round % 2, FOREVER_MS);
		pool.cores = 1 + round / 2 % 4;
		run_members(&pool, members, count);
		oci_digest_pool_clear(&pool);
	}
}

/* With a core for each there is no reason to wait. */
static void threads_with_a_core_each_stay_alone(void **state)
{
	struct member members[3] = {{.pieces = 3}, {.pieces = 3}, {.pieces = 3}};
	struct oci_digest_pool pool;

	oci_digest_pool_init(&pool, 3, FOREVER_MS);
	pool.cores = 3;
	run_members(&pool, members, 3);
	oci_digest_pool_clear(&pool);
	if (!has_lanes())
		skip();
	assert_int_equal(pool.groups[1], 9);
}

static void two_threads_always_meet(void **state)
{
	struct member members[2] = {{.pieces = 3}, {.pieces = 3}};
	struct oci_digest_pool pool;

	oci_digest_pool_init(&pool, 2, FOREVER_MS);
	run_members(&pool, members, 2);
	oci_digest_pool_clear(&pool);
	if (!has_lanes())
		skip();
	assert_int_equal(pool.groups[2], 3);
	assert_int_equal(pool.groups[1], 0);
}

static void three_threads_meet_where_three_are_asked_for(void **state)
{
	struct member members[3] = {{.pieces = 3}, {.pieces = 3}, {.pieces = 3}};
	struct oci_digest_pool pool;

	oci_digest_pool_init(&pool, 3, FOREVER_MS);
	run_members(&pool, members, 3);
	oci_digest_pool_clear(&pool);
	if (!has_lanes())
		skip();
	assert_int_equal(pool.groups[3], 3);
}

static void only_member_waits_for_nobody(void **state)
{
	struct member member = {.pieces = 3};
	struct oci_digest_pool pool;

	oci_digest_pool_init(&pool, 2, FOREVER_MS);
	run_members(&pool, &member, 1);
	oci_digest_pool_clear(&pool);
	if (!has_lanes())
		skip();
	assert_int_equal(pool.groups[1], 3);
}

/* One has joined and never brings anything. */
static void wait_has_an_end(void **state)
{
	struct member member = {.pieces = 3};
	struct oci_digest_pool pool;

	oci_digest_pool_init(&pool, 2, 1);
	oci_digest_pool_join(&pool);
	run_members(&pool, &member, 1);
	oci_digest_pool_leave(&pool);
	oci_digest_pool_clear(&pool);
	if (!has_lanes())
		skip();
	assert_int_equal(pool.groups[1], 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_hashes_what_each_brings),
		cmocka_unit_test(pool_forgets_nobody_who_waits),
		cmocka_unit_test(pool_forgets_nobody_on_several_cores),
		cmocka_unit_test(threads_with_a_core_each_stay_alone),
		cmocka_unit_test(two_threads_always_meet),
		cmocka_unit_test(three_threads_meet_where_three_are_asked_for),
		cmocka_unit_test(only_member_waits_for_nobody),
		cmocka_unit_test(wait_has_an_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
