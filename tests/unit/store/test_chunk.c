#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "store/chunk.h"

#define TIB (1024 * (uint64_t)OCI_GIB)

struct place {
	atomic_uint_fast64_t ceiling;
	struct oci_chunk chunk;
};

static void start(struct place *p)
{
	atomic_init(&p->ceiling, OCI_CHUNK_START);
	oci_chunk_init(&p->chunk, &p->ceiling);
}

static void the_first_chunk_is_64_mib_or_all_there_is(void **state)
{
	struct place p;

	start(&p);
	assert_int_equal(oci_chunk_next(&p.chunk, OCI_GIB), 64 * OCI_MIB);
	assert_int_equal(oci_chunk_next(&p.chunk, 5), 5);
}

static void a_slow_connection_gets_what_it_moves_in_30_seconds(void **state)
{
	struct place p;

	start(&p);
	oci_chunk_passed(&p.chunk, 10000000, 10000);
	assert_int_equal(oci_chunk_next(&p.chunk, OCI_GIB), 30000000);
	oci_chunk_passed(&p.chunk, 1000, 10000);
	oci_chunk_passed(&p.chunk, 1000, 100000);
	for (int i = 0; i < 20; i++)
		oci_chunk_passed(&p.chunk, 1, 100000);
	assert_int_equal(oci_chunk_next(&p.chunk, OCI_GIB), OCI_CHUNK_MIN);
}

static void a_fast_connection_still_gets_64_mib(void **state)
{
	struct place p;

	start(&p);
	oci_chunk_passed(&p.chunk, 64 * OCI_MIB, 0);
	assert_int_equal(oci_chunk_next(&p.chunk, OCI_GIB), 64 * OCI_MIB);
}

static void the_servers_minimum_wins(void **state)
{
	struct place p;

	start(&p);
	p.chunk.minimum_bytes = 100 * OCI_MIB;
	assert_int_equal(oci_chunk_next(&p.chunk, OCI_GIB), 100 * OCI_MIB);
	assert_false(oci_chunk_refused(&p.chunk, 100 * OCI_MIB));
}

static void a_blob_stays_under_9000_parts(void **state)
{
	struct place p;
	uint64_t left = 10 * TIB, parts = 0;

	start(&p);
	for (; left > 0; parts++) {
		uint64_t size = oci_chunk_next(&p.chunk, left);
		left -= size;
		oci_chunk_passed(&p.chunk, size, 1000000);
	}
	assert_in_range(parts, 1, OCI_CHUNK_PARTS);
}

static void after_a_cut_chunks_are_smaller_than_what_had_passed(void **state)
{
	struct place p;

	start(&p);
	oci_chunk_cut(&p.chunk, 50 * OCI_MIB);
	assert_int_equal(oci_chunk_next(&p.chunk, OCI_GIB), 32 * OCI_MIB);
	oci_chunk_cut(&p.chunk, 1);
	assert_int_equal(oci_chunk_next(&p.chunk, OCI_GIB), 8 * OCI_MIB);
	for (int i = 0; i < 5; i++)
		oci_chunk_cut(&p.chunk, 1);
	assert_int_equal(oci_chunk_next(&p.chunk, OCI_GIB), OCI_CHUNK_CUT_MIN);
}

static void a_cut_never_makes_chunks_larger(void **state)
{
	struct place p;

	start(&p);
	assert_true(oci_chunk_refused(&p.chunk, 4 * OCI_MIB));
	oci_chunk_cut(&p.chunk, 50 * OCI_MIB);
	assert_int_equal(oci_chunk_next(&p.chunk, OCI_GIB), 2 * OCI_MIB);
}

static void refusals_halve_down_to_128_kib(void **state)
{
	struct place p;
	uint64_t size = 64 * OCI_MIB;

	start(&p);
	for (int i = 0; i < 9; i++) {
		assert_true(oci_chunk_refused(&p.chunk, size));
		size = oci_chunk_next(&p.chunk, OCI_GIB);
	}
	assert_int_equal(size, 128 * OCI_KIB);
	assert_false(oci_chunk_refused(&p.chunk, size));
}

static void what_one_upload_learns_the_others_know(void **state)
{
	struct oci_chunk other;
	struct place p;

	start(&p);
	oci_chunk_init(&other, &p.ceiling);
	oci_chunk_cut(&p.chunk, 20 * OCI_MIB);
	assert_int_equal(oci_chunk_next(&other, OCI_GIB), 16 * OCI_MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_chunk_is_64_mib_or_all_there_is),
		cmocka_unit_test(a_slow_connection_gets_what_it_moves_in_30_seconds),
		cmocka_unit_test(a_fast_connection_still_gets_64_mib),
		cmocka_unit_test(the_servers_minimum_wins),
		cmocka_unit_test(a_blob_stays_under_9000_parts),
		cmocka_unit_test(after_a_cut_chunks_are_smaller_than_what_had_passed),
		cmocka_unit_test(a_cut_never_makes_chunks_larger),
		cmocka_unit_test(refusals_halve_down_to_128_kib),
		cmocka_unit_test(what_one_upload_learns_the_others_know),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
