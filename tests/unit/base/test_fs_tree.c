#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "refuse_call.h"
#include "temp_dir.h"

/* What a walk saw: "path" for a file, "path/" for a directory, "path@". */
struct trace {
	struct oci_buf seen;
	const char *stay_out;
	const char *stop_at;
	const char *remove; /* when the first entry is visited */
	int dir;
};

static int note(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	struct trace *trace = ctx;
	const char *mark = S_ISDIR(st->st_mode) ? "/" : S_ISLNK(st->st_mode) ? "@" : "";

	if (trace->remove)
		unlinkat(trace->dir, trace->remove, 0);
	trace->remove = NULL;
	if (oci_buf_printf(&trace->seen, err, "%s%s ", path, mark) < 0)
		return -1;
	if (trace->stop_at && strcmp(path, trace->stop_at) == 0)
		return oci_fail(err, OCI_E_DIFFERENT, "stopped");
	return trace->stay_out && strcmp(path, trace->stay_out) == 0;
}

static void put_tree(int dir)
{
	put_dir(dir, "b");
	put_file(dir, "b/z", "1");
	put_file(dir, "b/a", "2");
	put_dir(dir, "b/m");
	put_file(dir, "b/m/x", "3");
	put_file(dir, "a", "4");
	put_file(dir, "b-", "5");
	put_file(dir, "Z", "6");
	put_link(dir, "c", "b");
	put_link(dir, "b/up", "..");
	put_link(dir, "dead", "nowhere");
}

static void walk_visits_parents_first_and_names_in_byte_order(void **state)
{
	struct trace trace = {0};

	put_tree(temp_dir_fd(state));
	oci_buf_init(&trace.seen, OCI_KIB);
	assert_int_equal(oci_fs_walk(temp_dir_fd(state), note, &trace, NULL), 0);
	assert_string_equal(oci_buf_text(&trace.seen), "Z a b/ b/a b/m/ b/m/x b/up@ b/z b- c@ dead@ ");
	oci_buf_clear(&trace.seen);
}

static void walk_stays_out_where_the_visitor_says_so(void **state)
{
	struct trace trace = {.stay_out = "b"};

	put_tree(temp_dir_fd(state));
	oci_buf_init(&trace.seen, OCI_KIB);
	assert_int_equal(oci_fs_walk(temp_dir_fd(state), note, &trace, NULL), 0);
	assert_string_equal(oci_buf_text(&trace.seen), "Z a b/ b- c@ dead@ ");
	oci_buf_clear(&trace.seen);
}

static void walk_stops_with_the_error_of_the_visitor(void **state)
{
	struct trace trace = {.stop_at = "b/m/x"};
	struct oci_error err = {0};

	put_tree(temp_dir_fd(state));
	oci_buf_init(&trace.seen, OCI_KIB);
	assert_int_equal(oci_fs_walk(temp_dir_fd(state), note, &trace, &err), -1);
	assert_int_equal(err.code, OCI_E_DIFFERENT);
	assert_string_equal(oci_buf_text(&trace.seen), "Z a b/ b/a b/m/ b/m/x ");
	oci_buf_clear(&trace.seen);
}

static void walk_of_an_empty_directory_visits_nothing(void **state)
{
	struct trace trace = {0};

	oci_buf_init(&trace.seen, OCI_KIB);
	assert_int_equal(oci_fs_walk(temp_dir_fd(state), note, &trace, NULL), 0);
	assert_int_equal(trace.seen.len, 0);
}

static void walk_leaves_out_what_goes_away_meanwhile(void **state)
{
	struct trace trace = {.remove = "dead", .dir = temp_dir_fd(state)};

	put_tree(temp_dir_fd(state));
	oci_buf_init(&trace.seen, OCI_KIB);
	assert_int_equal(oci_fs_walk(temp_dir_fd(state), note, &trace, NULL), 0);
	assert_string_equal(oci_buf_text(&trace.seen), "Z a b/ b/a b/m/ b/m/x b/up@ b/z b- c@ ");
	oci_buf_clear(&trace.seen);
}

/* A chain of directories, each called "d", `depth` deep. */
static void put_chain(int dir, unsigned depth)
{
	oci_autoclose int at = dup(dir);

	for (unsigned i = 0; i < depth; i++) {
		int next;

		put_dir(at, "d");
		next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
}

/* Undo put_chain() below the depth that remove_tree takes. */
static void cut_chain(int dir, unsigned depth)
{
	oci_autoclose int at = dup(dir);

	for (unsigned i = 0; i < depth; i++) {
		int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_true(next >= 0);
		close(at);
		at = next;
	}
	assert_int_equal(oci_fs_remove_tree(at, "d", NULL), 0);
}

static void trees_have_a_depth_limit(void **state)
{
	struct trace trace = {0};
	struct oci_error walk = {0}, removed = {0};

	put_chain(temp_dir_fd(state), 2 * OCI_FS_DEPTH_MAX - 10);
	oci_buf_init(&trace.seen, OCI_MIB);
	assert_int_equal(oci_fs_walk(temp_dir_fd(state), note, &trace, &walk), -1);
	assert_int_equal(walk.code, OCI_E_UNSUPPORTED);
	oci_buf_clear(&trace.seen);
	assert_int_equal(oci_fs_remove_tree(temp_dir_fd(state), "d", &removed), -1);
	assert_int_not_equal(removed.code, OCI_OK);
	cut_chain(temp_dir_fd(state), OCI_FS_DEPTH_MAX);
}

static void a_tree_of_the_allowed_depth_is_walked_and_removed(void **state)
{
	struct trace trace = {0};

	put_chain(temp_dir_fd(state), OCI_FS_DEPTH_MAX - 1);
	oci_buf_init(&trace.seen, OCI_MIB);
	assert_int_equal(oci_fs_walk(temp_dir_fd(state), note, &trace, NULL), 0);
	oci_buf_clear(&trace.seen);
	assert_int_equal(oci_fs_remove_tree(temp_dir_fd(state), "d", NULL), 0);
	assert_false(is_there(temp_dir_fd(state), "d"));
}

static void remove_tree_takes_files_links_and_directories(void **state)
{
	static const char *const names[] = {"a", "c", "dead", "b", "absent"};
	int dir = temp_dir_fd(state);

	put_tree(dir);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		assert_int_equal(oci_fs_remove_tree(dir, names[i], NULL), 0);
		assert_false(is_there(dir, names[i]));
	}
	assert_true(is_there(dir, "Z"));
}

static void remove_tree_follows_no_link(void **state)
{
	int dir = temp_dir_fd(state);

	put_dir(dir, "keep");
	put_file(dir, "keep/file", "x");
	put_dir(dir, "tree");
	put_link(dir, "tree/out", "../keep");
	put_link(dir, "tree/up", "..");
	put_link(dir, "tree/file", "../keep/file");
	assert_int_equal(oci_fs_remove_tree(dir, "tree", NULL), 0);
	assert_false(is_there(dir, "tree"));
	assert_true(is_there(dir, "keep/file"));
}

static void remove_tree_takes_a_full_directory(void **state)
{
	int dir = temp_dir_fd(state);

	put_dir(dir, "many");
	for (int i = 0; i < 3000; i++) {
		char name[32];

		snprintf(name, sizeof name, "many/%04d", i);
		put_link(dir, name, "x");
	}
	assert_int_equal(oci_fs_remove_tree(dir, "many", NULL), 0);
	assert_false(is_there(dir, "many"));
}

static void rename_new_moves_files_and_directories(void **state)
{
	int dir = temp_dir_fd(state);
	oci_autoclose int sub = -1;

	put_tree(dir);
	sub = openat(dir, "b", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(oci_fs_rename_new(dir, "a", sub, "moved", NULL), 0);
	assert_true(is_there(dir, "b/moved"));
	assert_false(is_there(dir, "a"));
	assert_int_equal(oci_fs_rename_new(sub, "m", dir, "m", NULL), 0);
	assert_true(is_there(dir, "m/x"));
}

static void rename_new_replaces_nothing(void **state)
{
	static const char *const taken[] = {"file", "dir", "link", "dead"};
	int dir = temp_dir_fd(state);

	put_file(dir, "from", "x");
	put_file(dir, "file", "y");
	put_dir(dir, "dir");
	put_link(dir, "link", "file");
	put_link(dir, "dead", "nowhere");
	for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
		struct oci_error err = {0};

		assert_int_equal(oci_fs_rename_new(dir, "from", dir, taken[i], &err), -1);
		assert_int_equal(err.code, OCI_E_OCCUPIED);
		assert_int_equal(err.sys, EEXIST);
	}
	assert_true(is_there(dir, "from"));
}

static void rename_new_reports_what_is_missing(void **state)
{
	struct oci_error err = {0};

	assert_int_equal(oci_fs_rename_new(temp_dir_fd(state), "no", temp_dir_fd(state), "b", &err), -1);
	assert_int_equal(err.code, OCI_E_NOT_FOUND);
}

static void read_link_returns_the_target_as_stored(void **state)
{
	int dir = temp_dir_fd(state);
	oci_autofree char *target = NULL;

	put_tree(dir);
	assert_int_equal(oci_fs_read_link(dir, "b/up", &target, NULL), 0);
	assert_string_equal(target, "..");
	assert_int_equal(oci_fs_read_link(dir, "dead", &target, NULL), 0);
	assert_string_equal(target, "nowhere");
}

static void read_link_reads_only_links_beneath(void **state)
{
	static const char *const paths[] = {"a", "b", "none", "c/up", "../x", "/proc/self/exe"};
	oci_autofree char *target = NULL;

	put_tree(temp_dir_fd(state));
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		assert_int_equal(oci_fs_read_link(temp_dir_fd(state), paths[i], &target, NULL), -1);
	assert_null(target);
}

static void is_within_goes_up_to_the_root(void **state)
{
	int top = temp_dir_fd(state);

	put_tree(top);
	oci_autoclose int b = oci_fs_open_dir_beneath(top, "b", NULL), m = oci_fs_open_dir_beneath(top, "b/m", NULL);
	oci_autoclose int root = oci_fs_open_dir("/", NULL);
	assert_true(oci_fs_is_within(m, top));
	assert_true(oci_fs_is_within(m, b));
	assert_true(oci_fs_is_within(m, m));
	assert_true(oci_fs_is_within(m, root));
	assert_false(oci_fs_is_within(top, m));
	assert_false(oci_fs_is_within(root, top));
	assert_false(oci_fs_is_within(-1, top));
}

static void absolute_leads_to_the_same_place_from_elsewhere(void **state)
{
	char here[PATH_MAX], want[PATH_MAX + 8];
	oci_autofree char *there = oci_fs_absolute("/a/../b", NULL), *relative = oci_fs_absolute("a/b", NULL);

	assert_string_equal(there, "/a/../b");
	assert_non_null(getcwd(here, sizeof here));
	snprintf(want, sizeof want, "%s/a/b", here);
	assert_string_equal(relative, want);
}

#define test_in_temp_dir(f) cmocka_unit_test_setup_teardown(f, temp_dir_setup, temp_dir_teardown)

static const struct CMUnitTest renames[] = {
	test_in_temp_dir(rename_new_moves_files_and_directories),
	test_in_temp_dir(rename_new_replaces_nothing),
	test_in_temp_dir(rename_new_reports_what_is_missing),
};

int main(void)
{
	static const int refusals[] = {ENOSYS, EINVAL}; /* an old kernel, an odd file system */
	const struct CMUnitTest tests[] = {
		test_in_temp_dir(walk_visits_parents_first_and_names_in_byte_order),
		test_in_temp_dir(walk_stays_out_where_the_visitor_says_so),
		test_in_temp_dir(walk_stops_with_the_error_of_the_visitor),
		test_in_temp_dir(walk_of_an_empty_directory_visits_nothing),
		test_in_temp_dir(walk_leaves_out_what_goes_away_meanwhile),
		test_in_temp_dir(trees_have_a_depth_limit),
		test_in_temp_dir(a_tree_of_the_allowed_depth_is_walked_and_removed),
		test_in_temp_dir(remove_tree_takes_files_links_and_directories),
		test_in_temp_dir(remove_tree_follows_no_link),
		test_in_temp_dir(remove_tree_takes_a_full_directory),
		test_in_temp_dir(read_link_returns_the_target_as_stored),
		test_in_temp_dir(read_link_reads_only_links_beneath),
		test_in_temp_dir(is_within_goes_up_to_the_root),
		test_in_temp_dir(absolute_leads_to_the_same_place_from_elsewhere),
	};
	int failed = cmocka_run_group_tests_name("trees", tests, NULL, NULL);

	failed += cmocka_run_group_tests_name("renames", renames, NULL, NULL);
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		if (!refuse_call(SYS_renameat2, refusals[i]) ||
		    syscall(SYS_renameat2, AT_FDCWD, "/nowhere", AT_FDCWD, "/else", 0) == 0 ||
		    errno != refusals[i]) {
			print_message("the fallback of renames is not tested: no seccomp filters here\n");
			break;
		}
		failed += cmocka_run_group_tests_name("renames without RENAME_NOREPLACE", renames, NULL,
			NULL);
	}
	return failed;
}
