/* A program of its own: what does the work is chosen once, at first use. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <string.h>

#include "core/digest.h"

static void fips_mode_leaves_the_work_to_openssl(void **state)
{
	assert_int_equal(oci_hash_lanes(), 1);
}

static void fips_mode_changes_no_result(void **state)
{
	/* NIST's example of two blocks, in 56 bytes. */
	static const char message[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	static const char want[] = "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
	struct oci_hash hashes[5];
	struct oci_hash_lane lanes[5];

	for (size_t i = 0; i < 5; i++) {
		oci_hash_init(&hashes[i], OCI_SHA256);
		oci_hash_update(&hashes[i], message, i);
		lanes[i] = (struct oci_hash_lane){&hashes[i], message + i, strlen(message) - i};
	}
	oci_hash_update_many(lanes, 5);
	for (size_t i = 0; i < 5; i++) {
		char text[OCI_DIGEST_TEXT_MAX];
		struct oci_digest digest;

		oci_hash_final(&hashes[i], &digest);
		assert_string_equal(oci_digest_format(&digest, text), want);
	}
}

static void fips_mode_chains_blocks_side_by_side(void **state)
{
	unsigned char data[4][640], chains[4][OCI_CHAIN_BYTES];
	struct oci_chain_lane lanes[4];

	for (size_t i = 0; i < 4; i++) {
		memset(data[i], (int)i, sizeof data[i]);
		oci_chain_start(chains[i]);
		lanes[i] = (struct oci_chain_lane){chains[i], data[i], 64 * (i + 7)};
	}
	oci_chain_update_many(lanes, 4);
	for (size_t i = 0; i < 4; i++) {
		struct oci_digest got, want;

		oci_chain_final(chains[i], data[i], 0, 64 * (i + 7), &got);
		oci_digest_of(OCI_SHA256, data[i], 64 * (i + 7), &want);
		assert_true(oci_digest_equal(&got, &want));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fips_mode_leaves_the_work_to_openssl),
		cmocka_unit_test(fips_mode_changes_no_result),
		cmocka_unit_test(fips_mode_chains_blocks_side_by_side),
	};

	if (EVP_default_properties_enable_fips(NULL, 1) != 1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
