#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "bundle_fixture.h"
#include "stream/tar.h"

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void a_map_says_every_byte_and_parses_back_to_itself(void **state)
{
	AUTO_MAP map, again;
	AUTO_BUF stream;

	oci_buf_init(&stream, OCI_MIB);
	oci_bundle_map_init(&again);
	bundle_map(&map);
	bundle_stream(&map, &stream);
	assert_int_equal(oci_bundle_map_parse(map.text.data, map.text.len, &again, NULL), 0);
	assert_int_equal(again.count, BLOBS);
	assert_int_equal(again.stream_bytes, map.stream_bytes);
	assert_true(oci_digest_equal(&again.id, &map.id));
	for (size_t i = 0; i < BLOBS; i++)
		assert_int_equal(again.blobs[i].offset, map.blobs[i].offset);
}

static void the_stream_is_a_tar_that_others_read(void **state)
{
	AUTO_MAP map;
	AUTO_BUF stream;
	OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = NULL;
	struct oci_tar_entry entry;
	size_t members = 0;

	oci_buf_init(&stream, OCI_MIB);
	bundle_map(&map);
	bundle_stream(&map, &stream);
	tar = oci_tar_open_take(oci_reader_memory(stream.data, stream.len, NULL), NULL);
	assert_non_null(tar);
	while (oci_tar_next(tar, &entry, NULL) > 0)
		members++;
	assert_int_equal(members, 3 + BLOBS);
}

static void a_blob_is_found_by_its_digest_here_or_as_needed(void **state)
{
	AUTO_MAP map;
	struct oci_buf index = {.data = (char *)OCI_INDEX_EMPTY_TEXT, .len = strlen(OCI_INDEX_EMPTY_TEXT)};
	struct oci_digest digest, other;
	bool needed = true;

	oci_bundle_map_init(&map);
	assert_int_equal(oci_digest_parse(DIGEST, &digest, NULL), 0);
	oci_digest_of(OCI_SHA256, "x", 1, &other);
	assert_int_equal(oci_bundle_map_add(&map, &other, 1, NULL), 0);
	assert_int_equal(oci_bundle_map_need(&map, &digest, 0, NULL), 0);
	assert_int_equal(oci_bundle_map_seal(&map, &index, NULL), 0);
	assert_ptr_equal(oci_bundle_map_find(&map, &other, &needed), &map.blobs[0]);
	assert_false(needed);
	assert_ptr_equal(oci_bundle_map_find(&map, &digest, &needed), &map.needed[0]);
	assert_true(needed);
	oci_digest_of(OCI_SHA256, "y", 1, &other);
	assert_null(oci_bundle_map_find(&map, &other, &needed));
}

static void assert_refused(const char *text, enum oci_errc code)
{
	AUTO_MAP map;
	struct oci_error err = {0};

	oci_bundle_map_init(&map);
	assert_int_equal(oci_bundle_map_parse(text, strlen(text), &map, &err), -1);
	if (err.code != code)
		fail_msg("%s: %s", text, err.text);
}

static void a_map_that_lies_is_refused(void **state)
{
#define MAP(documents, blobs, needed) "{\"bundleVersion\":1,\"index\":{},\"documents\":" documents \
	",\"blobs\":[" blobs "],\"needed\":[" needed "]}"
#define BLOB(size) "{\"digest\":\"" DIGEST "\",\"size\":" size "}"
	assert_refused("", OCI_E_FORMAT);
	assert_refused("[]", OCI_E_FORMAT);
	assert_refused("{}", OCI_E_FORMAT);
	assert_refused("{\"bundleVersion\":2}", OCI_E_UNSUPPORTED);
	assert_refused("{\"bundleVersion\":1,\"documents\":0,\"blobs\":[],\"needed\":[]}", OCI_E_FORMAT);
	assert_refused(MAP("1", "", ""), OCI_E_FORMAT);
	assert_refused(MAP("-1", BLOB("1"), ""), OCI_E_FORMAT);
	assert_refused(MAP("0", BLOB("1") "," BLOB("1"), ""), OCI_E_FORMAT);
	assert_refused(MAP("0", BLOB("1"), BLOB("1")), OCI_E_FORMAT);
	assert_refused(MAP("0", BLOB("9223372036854775807"), ""), OCI_E_FORMAT);
	assert_refused(MAP("0", "1", ""), OCI_E_FORMAT);
	assert_refused(MAP("0", "{\"digest\":\"sha256:1\",\"size\":1}", ""), OCI_E_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_says_every_byte_and_parses_back_to_itself),
		cmocka_unit_test(the_stream_is_a_tar_that_others_read),
		cmocka_unit_test(a_blob_is_found_by_its_digest_here_or_as_needed),
		cmocka_unit_test(a_map_that_lies_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
