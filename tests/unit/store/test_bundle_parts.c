#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "bundle_fixture.h"

static void whatever_the_size_the_parts_cover_the_stream_once(void **state)
{
	AUTO_MAP map;
	unsigned planned = 0;

	bundle_map(&map);
	for (uint64_t size = 1; size < 40000; size += 37) {
		struct oci_bundle_parts parts;
		struct oci_error err = {0};
		uint64_t offset = 0;

		if (oci_bundle_parts_plan(&map, size, &parts, &err) < 0) {
			assert_int_equal(err.code, OCI_E_USAGE);
			continue;
		}
		planned++;
		for (size_t number = 1; number <= parts.count; number++) {
			assert_int_equal(oci_bundle_parts_offset(&parts, number), offset);
			assert_true(oci_bundle_parts_file_bytes(&parts, number) <= size);
			offset += oci_bundle_parts_length(&parts, number);
		}
		assert_int_equal(offset, map.stream_bytes);
	}
	assert_true(planned > 500);
}

static void without_a_size_the_file_is_the_stream_itself(void **state)
{
	AUTO_MAP map;
	AUTO_BUF out;
	struct oci_bundle_parts parts;

	oci_buf_init(&out, OCI_MIB);
	bundle_map(&map);
	assert_int_equal(oci_bundle_parts_plan(&map, 0, &parts, NULL), 0);
	assert_int_equal(parts.count, 1);
	assert_int_equal(oci_bundle_parts_file_bytes(&parts, 1), map.stream_bytes);
	assert_int_equal(oci_bundle_parts_head(&parts, 1, &out, NULL), 0);
	assert_int_equal(out.len, 0);
}

static void sums_and_lists_are_read_back_and_no_changed_byte_passes(void **state)
{
	AUTO_MAP map;
	AUTO_BUF list, sum;
	struct oci_bundle_parts parts;
	struct oci_digest sums[64], got[64] = {0};

	oci_buf_init(&list, OCI_MIB);
	oci_buf_init(&sum, OCI_MIB);
	bundle_map(&map);
	assert_int_equal(oci_bundle_parts_plan(&map, 8192, &parts, NULL), 0);
	assert_in_range(parts.count, 2, 64);
	for (size_t i = 0; i < parts.count; i++)
		oci_digest_of(OCI_SHA256, &i, sizeof i, &sums[i]);
	assert_int_equal(oci_bundle_parts_list(&parts, 0, sums, &list, NULL), 0);
	assert_int_equal(oci_bundle_parts_read_list(&parts, 0, &list, got, NULL), 0);
	for (size_t i = 0; i < parts.count; i++)
		assert_true(oci_digest_equal(&sums[i], &got[i]));
	assert_int_equal(oci_bundle_parts_sum(&parts, sums, &sum, NULL), 0);
	for (size_t at = 0; at < sum.len; at++) {
		sum.data[at] ^= 1;
		assert_int_equal(oci_bundle_parts_read_sum(&parts, &sum, got, NULL), -1);
		sum.data[at] ^= 1;
	}
	assert_int_equal(oci_bundle_parts_read_sum(&parts, &sum, got, NULL), 0);
	assert_true(oci_digest_equal(got, sums));
}

static void assert_no_id(const char *text, enum oci_errc code)
{
	struct oci_buf buf = {.data = (char *)text, .len = strlen(text)};
	struct oci_bundle_part_id id;
	struct oci_error err = {0};

	assert_int_equal(oci_bundle_parts_read_id(&buf, &id, &err), -1);
	if (err.code != code)
		fail_msg("%s: %s", text, err.text);
}

static void a_part_that_lies_about_itself_is_refused(void **state)
{
#define ID(version, part, size, bundle) "{\"partVersion\":" version ",\"part\":" part ",\"parts\":2,\"partSize\":" size \
	",\"bundle\":\"" bundle "\"}"
#define BUNDLE "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	assert_no_id("", OCI_E_FORMAT);
	assert_no_id("{}", OCI_E_FORMAT);
	assert_no_id(ID("2", "1", "8192", BUNDLE), OCI_E_UNSUPPORTED);
	assert_no_id(ID("1", "100000", "8192", BUNDLE), OCI_E_FORMAT);
	assert_no_id(ID("1", "1", "0", BUNDLE), OCI_E_FORMAT);
	assert_no_id(ID("1", "1", "18446744073709551616", BUNDLE), OCI_E_FORMAT);
	assert_no_id(ID("1", "1", "8192", "sha256:1"), OCI_E_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_the_size_the_parts_cover_the_stream_once),
		cmocka_unit_test(without_a_size_the_file_is_the_stream_itself),
		cmocka_unit_test(sums_and_lists_are_read_back_and_no_changed_byte_passes),
		cmocka_unit_test(a_part_that_lies_about_itself_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
