#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "drip.h"
#include "stream/verify.h"

#define DATA_BYTES 1000
static unsigned char data[DATA_BYTES];

static int fill_data(void **state)
{
	drip_pattern(data, sizeof data);
	return 0;
}

static struct oci_descriptor describe(enum oci_digest_alg alg, size_t len)
{
	struct oci_descriptor d = { .size_bytes = len };

	oci_digest_of(alg, data, len, &d.digest);
	return d;
}

/* Reads `len` bytes of the data through a verifying reader; 0 or the code. */
static enum oci_errc verify(const struct oci_descriptor *want, size_t len, size_t step, char text[512])
{
	struct drip d = drip_of(data, len, step);
	struct oci_error err = { 0 };
	struct oci_reader *r = oci_verify_reader_take(&d.base, want, &err);

	assert_non_null(r);
	int result = oci_reader_drain(r, &err);
	assert_int_equal(result, err.code == OCI_OK ? 0 : -1);
	oci_reader_close(r);
	assert_true(d.closed);
	if (text != NULL)
		memcpy(text, err.text, sizeof err.text);
	return err.code;
}

static void verify_passes_the_right_bytes(void **state)
{
	struct oci_descriptor want = describe(OCI_SHA256, DATA_BYTES);

	assert_int_equal(verify(&want, DATA_BYTES, 7, NULL), OCI_OK);
	assert_int_equal(verify(&want, DATA_BYTES, DATA_BYTES, NULL), OCI_OK);
}

static void verify_passes_sha512(void **state)
{
	struct oci_descriptor want = describe(OCI_SHA512, DATA_BYTES);

	assert_int_equal(verify(&want, DATA_BYTES, 64, NULL), OCI_OK);
}

static void verify_passes_an_empty_blob(void **state)
{
	struct oci_descriptor want = describe(OCI_SHA256, 0);

	assert_int_equal(verify(&want, 0, 1, NULL), OCI_OK);
	assert_int_equal(verify(&want, 1, 1, NULL), OCI_E_DIGEST);
}

static void verify_refuses_a_flipped_bit(void **state)
{
	struct oci_descriptor want = describe(OCI_SHA256, DATA_BYTES);
	char text[512];

	data[DATA_BYTES / 2] ^= 1;
	assert_int_equal(verify(&want, DATA_BYTES, 100, text), OCI_E_DIGEST);
	data[DATA_BYTES / 2] ^= 1;
	assert_non_null(strstr(text, "hashes to 'sha256:"));
}

static void verify_refuses_bytes_that_end_early(void **state)
{
	struct oci_descriptor want = describe(OCI_SHA256, DATA_BYTES);
	char text[512];

	assert_int_equal(verify(&want, DATA_BYTES - 1, 100, text), OCI_E_DIGEST);
	assert_non_null(strstr(text, "ended after 999 of 1000 bytes"));
}

static void verify_refuses_bytes_beyond_the_size_at_once(void **state)
{
	struct oci_descriptor want = describe(OCI_SHA256, 100);
	struct drip d = drip_of(data, DATA_BYTES, 10);
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *r = oci_verify_reader_take(&d.base, &want, NULL);
	struct oci_error err = { 0 };

	assert_int_equal(oci_reader_drain(r, &err), -1);
	assert_int_equal(err.code, OCI_E_DIGEST);
	assert_non_null(strstr(err.text, "longer than its 100 bytes"));
	assert_int_equal(d.left, DATA_BYTES - 110);
}

static void verify_passes_a_failure_below_on(void **state)
{
	struct oci_descriptor want = describe(OCI_SHA256, DATA_BYTES);
	struct drip d = drip_of(data, 500, 100);
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *r = oci_verify_reader_take(&d.base, &want, NULL);
	struct oci_error err = { 0 };

	d.fails = OCI_E_NETWORK;
	assert_int_equal(oci_reader_drain(r, &err), -1);
	assert_int_equal(err.code, OCI_E_NETWORK);
}

static void verify_without_a_digest_is_refused_and_closes_what_it_took(void **state)
{
	struct oci_descriptor want = { .size_bytes = DATA_BYTES };
	struct drip d = drip_of(data, DATA_BYTES, 10);
	struct oci_error err = { 0 };

	assert_null(oci_verify_reader_take(&d.base, &want, &err));
	assert_int_equal(err.code, OCI_E_BUG);
	assert_true(d.closed);
}

#define LONG_BYTES (2 * OCI_VERIFY_STEP + 1000)

/* Reads all of `bytes` from an offset on, along a trail. */
static enum oci_errc read_along(const unsigned char *bytes, struct oci_verify_trail *trail, enum oci_digest_alg alg)
{
	struct oci_descriptor want = { .size_bytes = LONG_BYTES };
	struct drip d = drip_of(bytes + trail->from.offset, LONG_BYTES - trail->from.offset, 100 * OCI_KIB + 1);
	struct oci_error err = { 0 };
	unsigned char *whole = calloc(1, LONG_BYTES);

	assert_non_null(whole);
	drip_pattern(whole, LONG_BYTES);
	oci_digest_of(alg, whole, LONG_BYTES, &want.digest);
	free(whole);
	struct oci_reader *r = oci_verify_reader_along_take(&d.base, &want, trail, &err);
	if (r != NULL)
		(void)oci_reader_drain(r, &err);
	oci_reader_close(r);
	return err.code;
}

static void verify_goes_on_from_a_point(void **state)
{
	oci_autofree unsigned char *bytes = malloc(LONG_BYTES);
	struct oci_verify_trail first = { 0 };

	assert_non_null(bytes);
	drip_pattern(bytes, LONG_BYTES);
	assert_int_equal(read_along(bytes, &first, OCI_SHA256), OCI_OK);
	assert_int_equal(first.last.offset, 2 * OCI_VERIFY_STEP);
	struct oci_verify_trail second = { .from = first.last };
	assert_int_equal(read_along(bytes, &second, OCI_SHA256), OCI_OK);
	assert_int_equal(second.last.offset, 0);
	bytes[LONG_BYTES - 1] ^= 1;
	assert_int_equal(read_along(bytes, &second, OCI_SHA256), OCI_E_DIGEST);
	bytes[LONG_BYTES - 1] ^= 1;
	second.from.chain[0] ^= 1;
	assert_int_equal(read_along(bytes, &second, OCI_SHA256), OCI_E_DIGEST);
}

static void verify_sets_no_points_but_for_sha256(void **state)
{
	oci_autofree unsigned char *bytes = malloc(LONG_BYTES);
	struct oci_verify_trail trail = { 0 };

	assert_non_null(bytes);
	drip_pattern(bytes, LONG_BYTES);
	assert_int_equal(read_along(bytes, &trail, OCI_SHA512), OCI_OK);
	assert_int_equal(trail.last.offset, 0);
	trail.from.offset = OCI_VERIFY_STEP;
	assert_int_equal(read_along(bytes, &trail, OCI_SHA512), OCI_E_BUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verify_passes_the_right_bytes),
		cmocka_unit_test(verify_passes_sha512),
		cmocka_unit_test(verify_passes_an_empty_blob),
		cmocka_unit_test(verify_refuses_a_flipped_bit),
		cmocka_unit_test(verify_refuses_bytes_that_end_early),
		cmocka_unit_test(verify_refuses_bytes_beyond_the_size_at_once),
		cmocka_unit_test(verify_passes_a_failure_below_on),
		cmocka_unit_test(verify_goes_on_from_a_point),
		cmocka_unit_test(verify_sets_no_points_but_for_sha256),
		cmocka_unit_test(verify_without_a_digest_is_refused_and_closes_what_it_took),
	};

	return cmocka_run_group_tests(tests, fill_data, NULL);
}
