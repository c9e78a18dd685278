#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/record.h"

/* As large as an entry gets: every field that a record has. */
static void fill(struct oci_record *record, size_t count)
{
	oci_digest_of(OCI_SHA256, "x", 1, &record->root);
	record->manifest = record->root;
	assert_int_equal(oci_str_set(&record->reference, "oci:somewhere:v1", NULL), 0);
	assert_int_equal(oci_listing_add_layer(&record->listing, &record->root, 1, NULL), 0);
	for (size_t i = 0; i < count; i++) {
		char path[64];
		struct oci_listing_file *file;

		snprintf(path, sizeof path, "some/directory/file-%zu.bin", i);
		file = oci_listing_add(&record->listing, path, NULL);
		assert_non_null(file);
		file->layer = 0;
		file->digest = record->root;
		file->mtime_ns = INT64_MAX;
	}
	oci_listing_sort(&record->listing);
}

static enum oci_errc write_and_read(size_t count)
{
	char path[] = "/tmp/modelcar-test.XXXXXX";
	OCI_CLEANUP(oci_record_clear) struct oci_record record = {0};
	OCI_CLEANUP(oci_record_clear) struct oci_record again = {0};
	oci_autofree char *name = NULL;
	oci_autoclose int dir = -1, parent = -1;
	struct oci_error err = {0};

	assert_non_null(mkdtemp(path));
	dir = oci_fs_open_dir(path, NULL);
	parent = oci_fs_open_parent(path, &name, NULL);
	fill(&record, count);
	if (oci_record_write(dir, OCI_RECORD_NAME, &record, &err) == 0 && oci_record_read(dir, OCI_RECORD_NAME, &again, &err) == 0)
		assert_int_equal(again.listing.count, count);
	assert_int_equal(oci_fs_remove_tree(parent, name, NULL), 0);
	return err.code;
}

static void a_record_of_as_many_files_as_allowed_is_read_again(void **state)
{
	assert_int_equal(write_and_read(OCI_LISTING_FILES_MAX), OCI_OK);
}

static void a_record_that_could_not_be_read_is_not_written(void **state)
{
	assert_int_equal(write_and_read(OCI_LISTING_FILES_MAX + 1), OCI_E_UNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_of_as_many_files_as_allowed_is_read_again),
		cmocka_unit_test(a_record_that_could_not_be_read_is_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
