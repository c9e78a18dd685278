/* Every test runs three times: as the kernel is, without openat2() as on an old
 * kernel, and with openat2() refused as by an old container runtime. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "refuse_call.h"
#include "temp_dir.h"

static void assert_same_inode(int a, int b)
{
	struct stat one, two;

	assert_int_equal(fstat(a, &one), 0);
	assert_int_equal(fstat(b, &two), 0);
	assert_int_equal(one.st_ino, two.st_ino);
	assert_int_equal(one.st_dev, two.st_dev);
}

static mode_t mode_of(int dir, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 07777;
}

static void path_ok_takes_clean_relative_paths(void **state)
{
	static const char *const good[] = {"a", "a/b", "...", "..a", ".a/b..", "a b", "-", "\xff"};

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_true(oci_fs_path_ok(good[i]));
}

static void path_ok_refuses_all_others(void **state)
{
	static const char *const bad[] = {"", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/.",
		"a/..",
		"a/./b", "a/../b", "//"};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(oci_fs_path_ok(bad[i]));
}

static void path_ok_knows_its_limits(void **state)
{
	char path[5000];

	memset(path, 'a', sizeof path);
	path[255] = '\0';
	assert_true(oci_fs_path_ok(path));
	path[255] = 'a';
	path[256] = '\0';
	assert_false(oci_fs_path_ok(path));
	memset(path, 'a', sizeof path);
	for (size_t i = 200; i < sizeof path; i += 200)
		path[i] = '/';
	path[4095] = '\0';
	assert_true(oci_fs_path_ok(path));
	path[4095] = 'a';
	path[4096] = '\0';
	assert_false(oci_fs_path_ok(path));
	for (size_t i = 0; i < 512; i++)
		path[i] = i % 2 ? '/' : 'a';
	path[511] = '\0';
	assert_true(oci_fs_path_ok(path));
	memcpy(path + 511, "/a", 3);
	assert_false(oci_fs_path_ok(path));
}

static void fail_says_what_and_where(void **state)
{
	static const struct {
		int sys;
		enum oci_errc code;
	} cases[] = {{ENOENT, OCI_E_NOT_FOUND}, {EEXIST, OCI_E_OCCUPIED}, {ELOOP, OCI_E_FORMAT},
		{EXDEV, OCI_E_FORMAT}, {ENOTDIR, OCI_E_FORMAT}, {EIO, OCI_E_IO}, {EACCES, OCI_E_PERM},
		{ENOSPC, OCI_E_NOSPACE}};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct oci_error err = {0};

		assert_int_equal(oci_fs_fail(&err, cases[i].sys, "open", "a\nb"), -1);
		assert_int_equal(err.code, cases[i].code);
		assert_int_equal(err.sys, cases[i].sys);
		assert_memory_equal(err.text, "cannot open 'a\\x0ab': ", 22);
	}
}

static void open_dir_follows_the_links_of_the_user(void **state)
{
	struct oci_error err = {0};
	oci_autoclose int dir = -1;
	char path[128];

	put_dir(temp_dir_fd(state), "real");
	put_link(temp_dir_fd(state), "link", "real");
	put_file(temp_dir_fd(state), "file", "x");
	snprintf(path, sizeof path, "%s/link", ((struct temp_dir *)*state)->path);
	dir = oci_fs_open_dir(path, &err);
	assert_true(dir >= 0);
	assert_true(fcntl(dir, F_GETFD) & FD_CLOEXEC);
	snprintf(path, sizeof path, "%s/none", ((struct temp_dir *)*state)->path);
	assert_int_equal(oci_fs_open_dir(path, &err), -1);
	assert_int_equal(err.code, OCI_E_NOT_FOUND);
	snprintf(path, sizeof path, "%s/file", ((struct temp_dir *)*state)->path);
	assert_int_equal(oci_fs_open_dir(path, NULL), -1);
}

static void open_beneath_reads_and_creates(void **state)
{
	int dir = temp_dir_fd(state);
	oci_autoclose int made = -1, again = -1;
	char text[8] = "";

	put_dir(dir, "a");
	put_dir(dir, "a/b");
	made = oci_fs_open_beneath(dir, "a/b/c", O_WRONLY | O_CREAT | O_EXCL, 0640, NULL);
	assert_true(made >= 0);
	assert_true(fcntl(made, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(made, "hello", 5), 5);
	/* A mode without O_CREAT is no error, as in open(2). */
	again = oci_fs_open_beneath(dir, "a/b/c", O_RDONLY, 0640, NULL);
	assert_int_equal(read(again, text, sizeof text), 5);
	assert_string_equal(text, "hello");
}

static void open_beneath_reports_what_is_missing_or_there(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_error missing = {0}, there = {0}, deep = {0};

	put_file(dir, "file", "x");
	assert_int_equal(oci_fs_open_beneath(dir, "no/file", O_RDONLY, 0, &missing), -1);
	assert_int_equal(missing.code, OCI_E_NOT_FOUND);
	assert_string_equal(missing.text, "cannot open 'no/file': No such file or directory");
	assert_int_equal(oci_fs_open_beneath(dir, "file", O_WRONLY | O_CREAT | O_EXCL, 0600, &there), -1);
	assert_int_equal(there.code, OCI_E_OCCUPIED);
	assert_string_equal(there.text, "cannot create 'file': File exists");
	assert_int_equal(oci_fs_open_beneath(dir, "file/x", O_RDONLY, 0, &deep), -1);
	assert_int_equal(deep.code, OCI_E_FORMAT);
	assert_int_equal(deep.sys, ENOTDIR);
}

static void unclean_paths_never_reach_the_kernel(void **state)
{
	static const char *const bad[] = {"", "/etc/passwd", "..", "../x", "a/../../x", "a/..", "./a",
		"a/./b", "a//b",
		"a/"};
	int dir = temp_dir_fd(state);
	const char *base;

	put_dir(dir, "a");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct oci_error open = {0}, make = {0}, parent = {0};

		assert_int_equal(oci_fs_open_beneath(dir, bad[i], O_RDONLY, 0, &open), -1);
		assert_int_equal(open.code, OCI_E_FORMAT);
		assert_int_equal(open.sys, 0);
		assert_int_equal(oci_fs_mkdirs_beneath(dir, bad[i], 0755, &make), -1);
		assert_int_equal(make.code, OCI_E_FORMAT);
		assert_int_equal(oci_fs_parent_beneath(dir, bad[i], &base, &parent), -1);
		assert_int_equal(parent.code, OCI_E_FORMAT);
		if (bad[i][0] != '\0')
			assert_int_equal(oci_fs_open_dir_beneath(dir, bad[i], NULL), -1);
	}
}

/* Inside "jail": links out of it, to a file in it, and in the middle of paths. */
static int put_jail(void **state)
{
	int dir = temp_dir_fd(state);
	int jail;

	put_file(dir, "secret", "s");
	put_dir(dir, "outside");
	put_file(dir, "outside/secret", "s");
	put_dir(dir, "jail");
	put_dir(dir, "jail/real");
	put_file(dir, "jail/real/file", "f");
	put_link(dir, "jail/up", "..");
	put_link(dir, "jail/out", "../outside");
	put_link(dir, "jail/abs", ((struct temp_dir *)*state)->path);
	put_link(dir, "jail/root", "/");
	put_link(dir, "jail/in", "real");
	put_link(dir, "jail/file", "real/file");
	put_link(dir, "jail/leaf", "../secret");
	put_link(dir, "jail/new", "../created");
	put_link(dir, "jail/real/back", "../..");
	jail = openat(dir, "jail", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(jail >= 0);
	return jail;
}

static void no_link_is_followed_to_open(void **state)
{
	static const char *const paths[] = {"up/secret", "out/secret", "abs/secret", "root/etc/passwd",
		"in/file",
		"file", "leaf", "real/back/secret"};
	oci_autoclose int jail = put_jail(state);

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		struct oci_error err = {0};

		assert_int_equal(oci_fs_open_beneath(jail, paths[i], O_RDONLY, 0, &err), -1);
		assert_int_equal(err.code, OCI_E_FORMAT);
		assert_true(err.sys == ELOOP || err.sys == ENOTDIR);
	}
}

static void no_link_is_followed_to_create_or_truncate(void **state)
{
	oci_autoclose int jail = put_jail(state);
	struct stat st;

	assert_int_equal(oci_fs_open_beneath(jail, "new", O_WRONLY | O_CREAT, 0600, NULL), -1);
	assert_int_equal(oci_fs_open_beneath(jail, "new", O_WRONLY | O_CREAT | O_EXCL, 0600, NULL), -1);
	assert_int_equal(oci_fs_open_beneath(jail, "out/new", O_WRONLY | O_CREAT, 0600, NULL), -1);
	assert_int_equal(oci_fs_open_beneath(jail, "leaf", O_WRONLY | O_TRUNC, 0, NULL), -1);
	assert_false(is_there(temp_dir_fd(state), "created"));
	assert_false(is_there(temp_dir_fd(state), "outside/new"));
	assert_int_equal(fstatat(temp_dir_fd(state), "secret", &st, 0), 0);
	assert_int_equal(st.st_size, 1);
}

static void no_link_is_followed_to_a_directory(void **state)
{
	static const char *const paths[] = {"up", "out", "abs", "root", "in", "real/back", "up/outside"};
	oci_autoclose int jail = put_jail(state);
	const char *base;

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		struct oci_error err = {0};
		char below[64];

		assert_int_equal(oci_fs_open_dir_beneath(jail, paths[i], &err), -1);
		assert_int_equal(err.code, OCI_E_FORMAT);
		snprintf(below, sizeof below, "%s/made", paths[i]);
		assert_int_equal(oci_fs_mkdirs_beneath(jail, below, 0755, NULL), -1);
		assert_int_equal(oci_fs_mkdirs_beneath(jail, paths[i], 0755, NULL), -1);
		assert_int_equal(oci_fs_parent_beneath(jail, below, &base, NULL), -1);
	}
	assert_false(is_there(temp_dir_fd(state), "made"));
	assert_false(is_there(temp_dir_fd(state), "outside/made"));
}

static void open_dir_beneath_takes_the_directory_itself(void **state)
{
	oci_autoclose int self = oci_fs_open_dir_beneath(temp_dir_fd(state), "", NULL);
	oci_autoclose int dot = oci_fs_open_dir_beneath(temp_dir_fd(state), ".", NULL);

	assert_same_inode(self, temp_dir_fd(state));
	assert_same_inode(dot, temp_dir_fd(state));
}

static void mkdirs_makes_all_components_with_the_exact_mode(void **state)
{
	int dir = temp_dir_fd(state);
	mode_t old = umask(077);

	put_dir(dir, "a"); /* 0700 under this umask, and left so */
	assert_int_equal(oci_fs_mkdirs_beneath(dir, "a/b/c", 0775, NULL), 0);
	umask(old);
	assert_int_equal(mode_of(dir, "a"), 0700);
	assert_int_equal(mode_of(dir, "a/b"), 0775);
	assert_int_equal(mode_of(dir, "a/b/c"), 0775);
	assert_int_equal(oci_fs_mkdirs_beneath(dir, "a/b/c", 0700, NULL), 0);
	assert_int_equal(mode_of(dir, "a/b/c"), 0775);
}

static void mkdirs_keeps_an_inherited_setgid(void **state)
{
	int dir = temp_dir_fd(state);

	put_dir(dir, "a");
	assert_int_equal(fchmodat(dir, "a", 02775, 0), 0);
	assert_int_equal(oci_fs_mkdirs_beneath(dir, "a/b", 0755, NULL), 0);
	assert_int_equal(mode_of(dir, "a/b"), 02755);
}

static void mkdirs_refuses_a_file_in_the_way(void **state)
{
	struct oci_error err = {0};

	put_file(temp_dir_fd(state), "a", "x");
	assert_int_equal(oci_fs_mkdirs_beneath(temp_dir_fd(state), "a/b", 0755, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
	assert_string_equal(err.text, "cannot make directory 'a/b': Not a directory");
}

static void parent_beneath_opens_the_parent_and_borrows_the_name(void **state)
{
	int dir = temp_dir_fd(state);
	const char *path = "a/b/c";
	const char *base = NULL;
	oci_autoclose int parent = -1, want = -1, top = -1;

	put_dir(dir, "a");
	put_dir(dir, "a/b");
	want = openat(dir, "a/b", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	parent = oci_fs_parent_beneath(dir, path, &base, NULL);
	assert_same_inode(parent, want);
	assert_ptr_equal(base, path + 4);
	top = oci_fs_parent_beneath(dir, "c", &base, NULL);
	assert_same_inode(top, dir);
	assert_string_equal(base, "c");
}

static void open_parent_splits_as_dirname_and_basename(void **state)
{
	const char *top = ((struct temp_dir *)*state)->path;
	static const char *const tails[] = {"new", "new/", "new///", "sub/../new", "sub//../new"};

	put_dir(temp_dir_fd(state), "sub");
	for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
		oci_autofree char *name = NULL;
		oci_autoclose int parent = -1;
		char path[128];

		snprintf(path, sizeof path, "%s/%s", top, tails[i]);
		parent = oci_fs_open_parent(path, &name, NULL);
		assert_same_inode(parent, temp_dir_fd(state));
		assert_string_equal(name, "new");
	}
}

static void open_parent_resolves_dots_at_the_end(void **state)
{
	const char *top = ((struct temp_dir *)*state)->path;
	static const char *const tails[] = {"sub/.", "sub/./", "sub/deep/..", "link/."};

	put_dir(temp_dir_fd(state), "sub");
	put_dir(temp_dir_fd(state), "sub/deep");
	put_link(temp_dir_fd(state), "link", "sub");
	for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
		oci_autofree char *name = NULL;
		oci_autoclose int parent = -1;
		char path[128];

		snprintf(path, sizeof path, "%s/%s", top, tails[i]);
		parent = oci_fs_open_parent(path, &name, NULL);
		assert_same_inode(parent, temp_dir_fd(state));
		assert_string_equal(name, "sub");
	}
}

static void open_parent_of_a_bare_name_is_the_working_directory(void **state)
{
	oci_autoclose int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	oci_autoclose int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	oci_autofree char *bare = NULL, *top = NULL;
	oci_autoclose int parent = oci_fs_open_parent("x", &bare, NULL);
	oci_autoclose int slash = oci_fs_open_parent("/x", &top, NULL);

	assert_same_inode(parent, here);
	assert_string_equal(bare, "x");
	assert_same_inode(slash, root);
	assert_string_equal(top, "x");
}

static void open_parent_refuses_what_has_no_parent(void **state)
{
	static const struct {
		const char *path;
		enum oci_errc code;
	} cases[] = {{"", OCI_E_USAGE}, {"/", OCI_E_USAGE}, {"///", OCI_E_USAGE}, {"/..", OCI_E_USAGE},
		{"/nowhere-at-all/x", OCI_E_NOT_FOUND}, {"/nowhere-at-all/.", OCI_E_NOT_FOUND}};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct oci_error err = {0};
		char *name = NULL;

		assert_int_equal(oci_fs_open_parent(cases[i].path, &name, &err), -1);
		assert_int_equal(err.code, cases[i].code);
		assert_null(name);
	}
}

static int openat2_errno(void)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};
	long fd = syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how);

	if (fd < 0)
		return errno;
	close((int)fd);
	return 0;
}

#define test_in_temp_dir(f) cmocka_unit_test_setup_teardown(f, temp_dir_setup, temp_dir_teardown)

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(path_ok_takes_clean_relative_paths),
	cmocka_unit_test(path_ok_refuses_all_others),
	cmocka_unit_test(path_ok_knows_its_limits),
	cmocka_unit_test(fail_says_what_and_where),
	test_in_temp_dir(open_dir_follows_the_links_of_the_user),
	test_in_temp_dir(open_beneath_reads_and_creates),
	test_in_temp_dir(open_beneath_reports_what_is_missing_or_there),
	test_in_temp_dir(unclean_paths_never_reach_the_kernel),
	test_in_temp_dir(no_link_is_followed_to_open),
	test_in_temp_dir(no_link_is_followed_to_create_or_truncate),
	test_in_temp_dir(no_link_is_followed_to_a_directory),
	test_in_temp_dir(open_dir_beneath_takes_the_directory_itself),
	test_in_temp_dir(mkdirs_makes_all_components_with_the_exact_mode),
	test_in_temp_dir(mkdirs_keeps_an_inherited_setgid),
	test_in_temp_dir(mkdirs_refuses_a_file_in_the_way),
	test_in_temp_dir(parent_beneath_opens_the_parent_and_borrows_the_name),
	test_in_temp_dir(open_parent_splits_as_dirname_and_basename),
	test_in_temp_dir(open_parent_resolves_dots_at_the_end),
	test_in_temp_dir(open_parent_of_a_bare_name_is_the_working_directory),
	test_in_temp_dir(open_parent_refuses_what_has_no_parent),
};

int main(void)
{
	static const int refusals[] = {ENOSYS, EPERM};
	int failed;

	if (openat2_errno() != 0)
		print_message("openat2() is not tested: this system has none\n");
	failed = cmocka_run_group_tests_name("fs", tests, NULL, NULL);
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		if (!refuse_call(SYS_openat2, refusals[i]) || openat2_errno() != refusals[i]) {
			print_message("fs without openat2() is not tested: no seccomp filters here\n");
			break;
		}
		failed += cmocka_run_group_tests_name("fs without openat2()", tests, NULL, NULL);
	}
	return failed;
}
