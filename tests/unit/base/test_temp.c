#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <time.h>

#include "base/temp.h"
#include "temp_dir.h"

/* Older than any rule asks for, whatever file system the tests run on. */
static void age(int dir, const char *path)
{
	const struct timespec long_ago = {.tv_sec = time(NULL) - 2 * 24 * 3600};

	assert_int_equal(utimensat(dir, path, (struct timespec[2]){long_ago, long_ago}, AT_SYMLINK_NOFOLLOW), 0);
}

static void temporaries_have_the_mode_asked_for_and_private_names(void **state)
{
	int dir = temp_dir_fd(state);
	char file[OCI_TEMP_NAME_MAX], tree[OCI_TEMP_NAME_MAX];
	int fd = oci_temp_file(dir, ".blob", 0600, file, NULL);
	int sub = oci_temp_dir(dir, ".stage", tree, NULL);
	struct stat st;

	assert_true(fd >= 0 && sub >= 0);
	assert_int_equal(strncmp(file, ".blob.", 6), 0);
	assert_int_equal(fstatat(dir, file, &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fstatat(dir, tree, &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	close(fd);
	close(sub);
}

static void a_sweep_removes_what_dead_owners_have_left(void **state)
{
	int dir = temp_dir_fd(state);
	char file[OCI_TEMP_NAME_MAX], tree[OCI_TEMP_NAME_MAX];
	int fd = oci_temp_file(dir, ".part", 0600, file, NULL);
	int sub = oci_temp_dir(dir, ".part", tree, NULL);

	put_dir(sub, "layer");
	age(sub, "layer");
	age(dir, tree);
	age(dir, file);
	close(fd);
	close(sub);
	oci_temp_sweep(dir, ".part");
	assert_false(is_there(dir, file));
	assert_false(is_there(dir, tree));
}

static void a_sweep_keeps_what_its_owner_still_holds(void **state)
{
	int dir = temp_dir_fd(state);
	char file[OCI_TEMP_NAME_MAX], tree[OCI_TEMP_NAME_MAX];
	int fd = oci_temp_file(dir, ".part", 0600, file, NULL);
	int sub = oci_temp_dir(dir, ".part", tree, NULL);

	age(dir, tree);
	age(dir, file);
	oci_temp_sweep(dir, ".part");
	assert_true(is_there(dir, file));
	assert_true(is_there(dir, tree));
	close(fd);
	close(sub);
}

static void a_sweep_keeps_what_was_touched_a_moment_ago(void **state)
{
	int dir = temp_dir_fd(state);
	char file[OCI_TEMP_NAME_MAX], tree[OCI_TEMP_NAME_MAX];
	int sub = oci_temp_dir(dir, ".part", tree, NULL);

	close(oci_temp_file(dir, ".part", 0600, file, NULL));
	put_file(sub, "fresh", "x");
	age(dir, tree);
	close(sub);
	oci_temp_sweep(dir, ".part");
	assert_true(is_there(dir, file));
	assert_true(is_there(dir, tree));
}

static void a_sweep_keeps_names_that_are_not_its_own(void **state)
{
	static const char *const names[] = {".blob", ".blob.part", ".blob.0123456789abcde.part",
		".blob.0123456789ABCDEF.part", ".blob.0123456789abcdef.part.bak", ".blobs.0123456789abcdef.part"};
	int dir = temp_dir_fd(state);

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		put_file(dir, names[i], "somebody's");
		age(dir, names[i]);
	}
	oci_temp_sweep(dir, ".blob");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_true(is_there(dir, names[i]));
}

static void a_sweep_removes_links_and_does_not_follow_them(void **state)
{
	static const char link[] = ".blob.0123456789abcdef.part";
	int dir = temp_dir_fd(state);

	put_file(dir, "kept", "x");
	age(dir, "kept");
	put_link(dir, link, "kept");
	age(dir, link);
	oci_temp_sweep(dir, ".blob");
	assert_true(is_there(dir, "kept"));
	assert_false(is_there(dir, link));
	assert_true(is_there(dir, "kept"));
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, temp_dir_setup, temp_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(temporaries_have_the_mode_asked_for_and_private_names),
		IN_DIR(a_sweep_removes_what_dead_owners_have_left),
		IN_DIR(a_sweep_keeps_what_its_owner_still_holds),
		IN_DIR(a_sweep_keeps_what_was_touched_a_moment_ago),
		IN_DIR(a_sweep_keeps_names_that_are_not_its_own),
		IN_DIR(a_sweep_removes_links_and_does_not_follow_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
