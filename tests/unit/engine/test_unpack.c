#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/unpack.h"
#include "stream/tar.h"

#define TYPE_AT 156
#define CHECKSUM_AT 148
#define LINK_AT 157

static void add_file(struct oci_buf *tar, const char *path)
{
	assert_int_equal(oci_tar_add_header(tar, path, OCI_TAR_FILE, 0, NULL), 0);
}

/* The library writes no links: an empty file's header becomes one. */
static void add_link(struct oci_buf *tar, const char *path, char type, const char *target)
{
	unsigned sum = 8 * ' ';
	char *header;

	add_file(tar, path);
	header = tar->data + tar->len - OCI_TAR_BLOCK;
	header[TYPE_AT] = type;
	memcpy(header + LINK_AT, target, strlen(target));
	for (size_t i = 0; i < OCI_TAR_BLOCK; i++)
		if (i < CHECKSUM_AT || i >= CHECKSUM_AT + 8)
			sum += (unsigned char)header[i];
	snprintf(header + CHECKSUM_AT, 8, "%06o", sum);
}

static enum oci_errc unpack(const struct oci_buf *tar, struct oci_unpacked *ret)
{
	const struct oci_unpack_options options = {.root = "models/"};
	struct oci_error err = {0};

	if (oci_unpack_tar_take(oci_reader_memory(tar->data, tar->len, NULL), true, &options, ret, &err) == 0)
		return OCI_OK;
	return err.code;
}

static void links_are_listed_and_files_are_numbered(void **state)
{
	OCI_CLEANUP(oci_unpacked_clear) struct oci_unpacked got = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;

	oci_buf_init(&tar, OCI_MIB);
	add_file(&tar, "models/b");
	add_link(&tar, "models/l", '2', "a");
	add_link(&tar, "models/h", '1', "models/a");
	add_file(&tar, "models/a");
	assert_int_equal(unpack(&tar, &got), OCI_OK);
	assert_int_equal(got.files.count, 2);
	assert_int_equal(got.files.files[0].part.number, 1);
	assert_int_equal(got.files.files[1].part.number, 4);
	assert_int_equal(got.link_count, 2);
	assert_true(got.links[0].symbolic);
	assert_string_equal(got.links[1].target, "a");
}

static void names_have_a_budget_over_all_layers(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;
	atomic_ullong name_bytes = 0;
	const struct oci_unpack_options options = {.root = "models/", .name_bytes = &name_bytes};

	oci_buf_init(&tar, OCI_MIB);
	add_file(&tar, "models/a");
	for (int rounds = 0; rounds < 2; rounds++) {
		OCI_CLEANUP(oci_unpacked_clear) struct oci_unpacked got = {0};
		struct oci_error err = {0};
		struct oci_reader *reader = oci_reader_memory(tar.data, tar.len, NULL);

		int rc = oci_unpack_tar_take(reader, true, &options, &got, &err);
		assert_int_equal(err.code, rounds == 0 ? OCI_OK : OCI_E_UNSUPPORTED);
		assert_int_equal(rc, rounds == 0 ? 0 : -1);
		assert_true(name_bytes > strlen("models/a"));
		name_bytes = OCI_UNPACK_NAMES_MAX;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_are_listed_and_files_are_numbered),
		cmocka_unit_test(names_have_a_budget_over_all_layers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
