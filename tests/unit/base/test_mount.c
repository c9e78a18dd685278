#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mount.h"

static const char text[] =
	"22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw,discard\n"
	"36 22 0:40 / /data\\040set ro,nosuid shared:7 master:2 - nfs4 server:/export/a rw,vers=4.2,local_lock=all\n"
	"37 22 0:41 / /juice rw - fuse.juicefs JuiceFS:myjfs rw,user_id=0\n"
	"38 22 0:42 / /broken rw\n";

static void a_mount_is_found_by_its_number(void **state)
{
	struct oci_mount mount = {.is_root = true};

	assert_true(oci_mount_parse(text, 36, &mount));
	assert_string_equal(mount.point, "/data set");
	assert_string_equal(mount.type, "nfs4");
	assert_string_equal(mount.source, "server:/export/a");
	assert_string_equal(mount.options, "ro,nosuid");
	assert_string_equal(mount.super, "rw,vers=4.2,local_lock=all");
	assert_true(mount.is_root);
	assert_false(oci_mount_parse(text, 3, &mount));
	assert_false(oci_mount_parse(text, 38, &mount));
	assert_string_equal(mount.type, "nfs4");
}

static void options_are_whole_words(void **state)
{
	struct oci_mount mount = {0};

	assert_true(oci_mount_parse(text, 36, &mount));
	assert_true(oci_mount_has(&mount, "ro"));
	assert_true(oci_mount_has(&mount, "local_lock=all"));
	assert_false(oci_mount_has(&mount, "local_lock"));
	assert_false(oci_mount_has(&mount, "suid"));
}

static void network_file_systems_are_shared_and_local_ones_are_not(void **state)
{
	struct oci_mount mount = {0};

	assert_true(oci_mount_parse(text, 22, &mount));
	assert_false(oci_mount_is_shared(&mount));
	assert_true(oci_mount_parse(text, 36, &mount));
	assert_true(oci_mount_is_shared(&mount));
	assert_true(oci_mount_parse(text, 37, &mount));
	assert_true(oci_mount_is_shared(&mount));
}

static void a_long_text_is_cut(void **state)
{
	struct oci_mount mount = {0};
	char line[1024] = "7 1 0:1 / /";

	memset(line + strlen(line), 'x', 600);
	strncat(line, " rw - tmpfs none rw\n", sizeof line - strlen(line) - 1);
	assert_true(oci_mount_parse(line, 7, &mount));
	assert_int_equal(strlen(mount.point), OCI_MOUNT_TEXT_MAX - 1);
	assert_string_equal(mount.type, "tmpfs");
}

static void the_kernel_says_where_proc_is_mounted(void **state)
{
	struct oci_mount mount = {0};
	int dir = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(dir >= 0);
	if (!oci_mount_of(dir, &mount)) {
		close(dir);
		skip();
	}
	assert_string_equal(mount.type, "proc");
	assert_true(mount.is_root);
	close(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mount_is_found_by_its_number),
		cmocka_unit_test(options_are_whole_words),
		cmocka_unit_test(network_file_systems_are_shared_and_local_ones_are_not),
		cmocka_unit_test(a_long_text_is_cut),
		cmocka_unit_test(the_kernel_says_where_proc_is_mounted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
