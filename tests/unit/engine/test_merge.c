#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/merge.h"
#include "stream/reader.h"

/* One layer that holds nothing but one symbolic link. */
static enum oci_errc merge_link(const char *path, const char *target)
{
	char name[] = "/tmp/modelcar-test.XXXXXX";
	struct oci_unpack_link link = {(char *)path, (char *)target, .symbolic = true};
	struct oci_unpacked unpacked = {.links = &link, .link_count = 1};
	struct oci_merge_layer layer = {.unpacked = &unpacked, .name = "layer-0"};
	OCI_CLEANUP(oci_listing_clear) struct oci_listing listing = {0};
	oci_autofree char *base = NULL;
	oci_autoclose int staging = -1, parent = -1;
	struct oci_error err = {0};

	assert_non_null(mkdtemp(name));
	staging = oci_fs_open_dir(name, NULL);
	parent = oci_fs_open_parent(name, &base, NULL);
	assert_int_equal(mkdirat(staging, "tree", 0700), 0);
	assert_int_equal(mkdirat(staging, "layer-0", 0700), 0);
	int rc = oci_merge(staging, &layer, 1, "models/", &listing, &err);
	assert_int_equal(listing.count, rc == 0);
	assert_int_equal(oci_fs_remove_tree(parent, base, NULL), 0);
	return err.code;
}

static void links_that_stay_in_the_tree_are_made(void **state)
{
	assert_int_equal(merge_link("l", "a"), OCI_OK);
	assert_int_equal(merge_link("l", "./a/./b"), OCI_OK);
	assert_int_equal(merge_link("a/b/l", "../../c/d"), OCI_OK);
	assert_int_equal(merge_link("a/b/l", "/models/c"), OCI_OK);
}

static void links_that_climb_out_are_refused(void **state)
{
	assert_int_equal(merge_link("l", "../a"), OCI_E_FORMAT);
	assert_int_equal(merge_link("a/b/l", "../../../c"), OCI_E_FORMAT);
	assert_int_equal(merge_link("l", "/etc/passwd"), OCI_E_FORMAT);
}

/* "a" may be a link to "x/y/z/..": what ".." leads to then is not to be seen from here. */
static void links_that_go_up_behind_a_name_are_refused(void **state)
{
	assert_int_equal(merge_link("l", "a/.."), OCI_E_FORMAT);
	assert_int_equal(merge_link("d/l", "../a/b/../c"), OCI_E_FORMAT);
	assert_int_equal(merge_link("l", "/models/a/b/../c"), OCI_E_FORMAT);
}

/* Two layers of an artifact, each with one empty file. */
static enum oci_errc merge_files(const char *lower, const char *upper, bool exclusive)
{
	char name[] = "/tmp/modelcar-test.XXXXXX";
	const char *const paths[] = {lower, upper};
	struct oci_unpacked unpacked[2] = {0};
	struct oci_merge_layer layers[2] = {{.name = "layer-0"}, {.name = "layer-1"}};
	OCI_CLEANUP(oci_listing_clear) struct oci_listing listing = {0};
	oci_autofree char *base = NULL;
	oci_autoclose int staging = -1, parent = -1;
	struct oci_error err = {0};

	assert_non_null(mkdtemp(name));
	staging = oci_fs_open_dir(name, NULL);
	parent = oci_fs_open_parent(name, &base, NULL);
	assert_int_equal(mkdirat(staging, "tree", 0700), 0);
	for (size_t i = 0; i < 2; i++) {
		struct oci_unpack_options options = {.dir = -1};
		OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *nothing = oci_reader_memory("", 0, NULL);

		assert_int_equal(mkdirat(staging, layers[i].name, 0700), 0);
		options.dir = oci_fs_open_dir_beneath(staging, layers[i].name, NULL);
		assert_int_equal(oci_unpack_raw(nothing, paths[i], &options, &unpacked[i], NULL), 0);
		close(options.dir);
		layers[i].unpacked = &unpacked[i];
		layers[i].exclusive = exclusive;
	}
	(void)oci_merge(staging, layers, 2, "", &listing, &err);
	assert_int_equal(oci_fs_remove_tree(parent, base, NULL), 0);
	oci_unpacked_clear(&unpacked[0]);
	oci_unpacked_clear(&unpacked[1]);
	return err.code;
}

static void a_layer_of_an_image_replaces_what_lies_below(void **state)
{
	assert_int_equal(merge_files("x", "x", false), OCI_OK);
	assert_int_equal(merge_files("x", "x/y", false), OCI_OK);
	assert_int_equal(merge_files("x/y", "x", false), OCI_OK);
}

static void a_file_of_an_artifact_replaces_no_other(void **state)
{
	assert_int_equal(merge_files("x", "y", true), OCI_OK);
	assert_int_equal(merge_files("d/x", "d/y", true), OCI_OK);
	assert_int_equal(merge_files("x", "x", true), OCI_E_FORMAT);
	assert_int_equal(merge_files("x", "x/y", true), OCI_E_FORMAT);
	assert_int_equal(merge_files("x/y", "x", true), OCI_E_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_that_stay_in_the_tree_are_made),
		cmocka_unit_test(links_that_climb_out_are_refused),
		cmocka_unit_test(links_that_go_up_behind_a_name_are_refused),
		cmocka_unit_test(a_layer_of_an_image_replaces_what_lies_below),
		cmocka_unit_test(a_file_of_an_artifact_replaces_no_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
