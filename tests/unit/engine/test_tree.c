#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>

#include "../base/temp_dir.h"
#include "base/cleanup.h"
#include "engine/lease.h"
#include "engine/record.h"
#include "engine/stage.h"
#include "engine/tree.h"

/* That of a tree with one file. */
static void put_record(int root, const char *dir, const char *name, const char *file)
{
	OCI_CLEANUP(oci_record_clear) struct oci_record record = {0};
	oci_autoclose int fd = openat(root, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	oci_digest_of(OCI_SHA256, "", 0, &record.root);
	record.manifest = record.root;
	assert_non_null(oci_listing_add(&record.listing, file, NULL));
	record.listing.files[0].digest = record.root;
	assert_int_equal(oci_record_write(fd, name, &record, NULL), 0);
}

static int set_up(void **state)
{
	int dir;

	if (temp_dir_setup(state) < 0)
		return -1;
	dir = temp_dir_fd(state);
	put_dir(dir, "one");
	put_file(dir, "one/config.json", "{}");
	put_record(dir, "one", OCI_RECORD_NAME, "config.json");
	put_dir(dir, "team");
	put_dir(dir, "team/two");
	put_dir(dir, "team/two/sha256-0123456789ab");
	put_record(dir, "team/two/sha256-0123456789ab", OCI_RECORD_NAME, "config.json");
	put_link(dir, "team/two/current", "sha256-0123456789ab");
	put_dir(dir, "triton");
	put_file(dir, "triton/config.pbtxt", "");
	put_record(dir, ".", ".modelcar.triton.json", "config.pbtxt");
	put_dir(dir, "mine");
	put_file(dir, "mine/notes", "not a model");
	put_dir(dir, ".modelcar.01234567.old.part");
	put_file(dir, ".modelcar.01234567.old.part/" OCI_RECORD_NAME, "{}");
	return 0;
}

static void trees_are_found_by_their_records(void **state)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings found = {0};

	assert_int_equal(oci_trees_find(temp_dir_fd(state), &found, NULL), 0);
	assert_int_equal(found.count, 3);
	assert_string_equal(found.items[0], "one");
	assert_string_equal(found.items[1], "team/two/sha256-0123456789ab");
	assert_string_equal(found.items[2], "triton");
}

static void a_version_goes_with_its_link_and_what_is_empty_then(void **state)
{
	char kept[OCI_STR_ESCAPE_MAX];

	assert_int_equal(oci_tree_remove(temp_dir_fd(state), "team/two/sha256-0123456789ab", kept, NULL), 0);
	assert_false(is_there(temp_dir_fd(state), "team"));
	assert_true(is_there(temp_dir_fd(state), "one"));
}

static void a_record_beside_a_tree_goes_with_it(void **state)
{
	char kept[OCI_STR_ESCAPE_MAX];

	assert_int_equal(oci_tree_remove(temp_dir_fd(state), "triton", kept, NULL), 0);
	assert_false(is_there(temp_dir_fd(state), "triton"));
	assert_false(is_there(temp_dir_fd(state), ".modelcar.triton.json"));
}

static void what_pulls_have_staged_for_it_goes_with_it(void **state)
{
	char kept[OCI_STR_ESCAPE_MAX];
	char old[OCI_STAGE_NAME_MAX];

	oci_stage_dest_name("one", "old", old);
	put_dir(temp_dir_fd(state), old);
	assert_int_equal(oci_tree_remove(temp_dir_fd(state), "one", kept, NULL), 0);
	assert_false(is_there(temp_dir_fd(state), old));
	assert_true(is_there(temp_dir_fd(state), ".modelcar.01234567.old.part"));
}

static void a_tree_that_a_pull_is_at_work_on_stays(void **state)
{
	char kept[OCI_STR_ESCAPE_MAX];
	OCI_CLEANUP(oci_lease_cleanup) struct oci_lease *lease = NULL;
	struct oci_lease_options options = {.cancel = NULL};
	struct oci_lease_sight sight = {0};
	struct oci_error err = {0};
	char name[OCI_STAGE_NAME_MAX];

	oci_stage_dest_name("one", "lease", name);
	assert_int_equal(oci_lease_take(temp_dir_fd(state), name, &options, &sight, &lease, NULL), 0);
	assert_non_null(lease);
	assert_int_equal(oci_tree_remove(temp_dir_fd(state), "one", kept, &err), -1);
	assert_int_equal(err.code, OCI_E_BUSY);
	assert_true(is_there(temp_dir_fd(state), "one/" OCI_RECORD_NAME));
}

static void what_no_pull_put_there_stays(void **state)
{
	int root = temp_dir_fd(state);
	char kept[OCI_STR_ESCAPE_MAX];

	put_dir(root, "one/lora");
	put_file(root, "one/lora/" OCI_RECORD_NAME, "{}"); /* another tree */
	put_file(root, "triton/notes", "mine");
	assert_int_equal(oci_tree_remove(root, "one", kept, NULL), 0);
	assert_string_equal(kept, "lora/" OCI_RECORD_NAME);
	assert_true(is_there(root, "one/lora/" OCI_RECORD_NAME));
	assert_false(is_there(root, "one/" OCI_RECORD_NAME));
	assert_false(is_there(root, "one/config.json"));
	assert_int_equal(oci_tree_remove(root, "triton", kept, NULL), 0);
	assert_true(is_there(root, "triton/notes"));
	assert_false(is_there(root, "triton/config.pbtxt"));
	assert_false(is_there(root, ".modelcar.triton.json"));
}

static void a_tree_whose_record_cannot_be_read_stays(void **state)
{
	char kept[OCI_STR_ESCAPE_MAX];
	struct oci_error err = {0};

	unlinkat(temp_dir_fd(state), "one/" OCI_RECORD_NAME, 0);
	put_file(temp_dir_fd(state), "one/" OCI_RECORD_NAME, "cut off");
	assert_int_equal(oci_tree_remove(temp_dir_fd(state), "one", kept, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
	assert_true(is_there(temp_dir_fd(state), "one/config.json"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, temp_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(trees_are_found_by_their_records),
		TEST(a_version_goes_with_its_link_and_what_is_empty_then),
		TEST(a_record_beside_a_tree_goes_with_it),
		TEST(what_pulls_have_staged_for_it_goes_with_it),
		TEST(a_tree_that_a_pull_is_at_work_on_stays),
		TEST(what_no_pull_put_there_stays),
		TEST(a_tree_whose_record_cannot_be_read_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
