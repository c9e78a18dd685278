#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/cgroup.h"
#include "temp_dir.h"

static void put_text(void **state, const char *path, const char *text)
{
	char parent[128];

	snprintf(parent, sizeof parent, "%s", path);
	*strrchr(parent, '/') = '\0';
	assert_int_equal(oci_fs_mkdirs_beneath(temp_dir_fd(state), parent, 0755, NULL), 0);
	put_file(temp_dir_fd(state), path, text);
}

static bool quota(void **state, unsigned *ret)
{
	return oci_cgroup_cpus(((struct temp_dir *)*state)->path, ret);
}

static void without_control_groups_there_is_no_limit(void **state)
{
	unsigned cpus = 7;

	assert_false(quota(state, &cpus));
	put_text(state, "proc/self/cgroup", "0::/\n");
	assert_false(quota(state, &cpus));
	assert_int_equal(cpus, 7);
}

static void a_quota_of_max_is_no_limit(void **state)
{
	unsigned cpus = 7;

	put_text(state, "proc/self/cgroup", "0::/\n");
	put_text(state, "sys/fs/cgroup/cpu.max", "max 100000\n");
	assert_false(quota(state, &cpus));
	assert_int_equal(cpus, 7);
}

static void a_quota_is_rounded_up(void **state)
{
	unsigned cpus = 0;

	put_text(state, "proc/self/cgroup", "0::/\n");
	put_text(state, "sys/fs/cgroup/cpu.max", "150000 100000\n");
	assert_true(quota(state, &cpus));
	assert_int_equal(cpus, 2);
}

static void a_small_quota_is_one_processor(void **state)
{
	unsigned cpus = 0;

	put_text(state, "proc/self/cgroup", "0::/\n");
	put_text(state, "sys/fs/cgroup/cpu.max", "1000 100000\n");
	assert_true(quota(state, &cpus));
	assert_int_equal(cpus, 1);
}

static void the_smallest_quota_on_the_way_up_counts(void **state)
{
	unsigned cpus = 0;

	put_text(state, "proc/self/cgroup", "1:name=systemd:/x\n0::/pods/one\n");
	put_text(state, "sys/fs/cgroup/pods/one/cpu.max", "800000 100000\n");
	put_text(state, "sys/fs/cgroup/pods/cpu.max", "300000 100000\n");
	put_text(state, "sys/fs/cgroup/cpu.max", "max 100000\n");
	assert_true(quota(state, &cpus));
	assert_int_equal(cpus, 3);
}

static void inside_a_container_the_path_of_the_host_leads_to_the_root(void **state)
{
	unsigned cpus = 0;

	put_text(state, "proc/self/cgroup", "4:cpu,cpuacct:/docker/0123\n3:memory:/docker/0123\n");
	put_text(state, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
	put_text(state, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	assert_true(quota(state, &cpus));
	assert_int_equal(cpus, 4);
}

static void version_one_without_a_quota_is_no_limit(void **state)
{
	unsigned cpus = 7;

	put_text(state, "proc/self/cgroup", "4:cpuacct,cpu:/\n");
	put_text(state, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
	put_text(state, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	assert_false(quota(state, &cpus));
	assert_int_equal(cpus, 7);
}

static void other_controllers_are_not_the_processor(void **state)
{
	unsigned cpus = 7;

	put_text(state, "proc/self/cgroup", "4:cpuset,cpuacct:/\n");
	put_text(state, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
	put_text(state, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	assert_false(quota(state, &cpus));
}

static void what_is_malformed_is_no_limit(void **state)
{
	static const char *const bad[] = {"", "\n", "100000", "100000 0\n", "x 100000\n", "100000 x\n",
		"-5 100000\n"};
	unsigned cpus = 7;

	put_text(state, "proc/self/cgroup", "nonsense\n:\n0::/\n");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		put_text(state, "sys/fs/cgroup/cpu.max", bad[i]);
		assert_false(quota(state, &cpus));
		assert_int_equal(unlinkat(temp_dir_fd(state), "sys/fs/cgroup/cpu.max", 0), 0);
	}
	assert_int_equal(cpus, 7);
}

static bool memory(void **state, struct oci_cgroup_memory *ret)
{
	return oci_cgroup_memory(((struct temp_dir *)*state)->path, ret);
}

static void the_smallest_memory_limit_on_the_way_up_counts_with_its_use(void **state)
{
	struct oci_cgroup_memory found = {0};

	put_text(state, "proc/self/cgroup", "0::/pods/one\n");
	put_text(state, "sys/fs/cgroup/pods/one/memory.max", "max\n");
	put_text(state, "sys/fs/cgroup/pods/one/memory.current", "1\n");
	put_text(state, "sys/fs/cgroup/pods/memory.max", "134217728\n");
	put_text(state, "sys/fs/cgroup/pods/memory.current", "33554432\n");
	put_text(state, "sys/fs/cgroup/memory.max", "268435456\n");
	assert_true(memory(state, &found));
	assert_int_equal(found.limit_bytes, 134217728);
	assert_int_equal(found.used_bytes, 33554432);
}

static void what_is_available_is_read_in_kib(void **state)
{
	const char *root = ((struct temp_dir *)*state)->path;
	uint64_t bytes = 7;

	assert_false(oci_cgroup_available(root, &bytes));
	put_text(state, "proc/meminfo", "MemTotal:       24590000 kB\nMemFree:  1 kB\nMemAvailable:   1234 kB\n");
	assert_true(oci_cgroup_available(root, &bytes));
	assert_int_equal(bytes, 1234 * 1024);
}

static void memory_of_version_one_is_read_and_its_huge_number_is_no_limit(void **state)
{
	struct oci_cgroup_memory found = {0};

	put_text(state, "proc/self/cgroup", "4:cpu:/x\n3:memory:/docker/0123\n0::/\n");
	put_text(state, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	assert_false(memory(state, &found));
	assert_int_equal(found.limit_bytes, 0);
	put_text(state, "sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes", "100000000\n");
	assert_true(memory(state, &found));
	assert_int_equal(found.limit_bytes, 100000000);
	assert_int_equal(found.used_bytes, 0);
}

#define test_in_temp_dir(f) cmocka_unit_test_setup_teardown(f, temp_dir_setup, temp_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_in_temp_dir(without_control_groups_there_is_no_limit),
		test_in_temp_dir(a_quota_of_max_is_no_limit),
		test_in_temp_dir(a_quota_is_rounded_up),
		test_in_temp_dir(a_small_quota_is_one_processor),
		test_in_temp_dir(the_smallest_quota_on_the_way_up_counts),
		test_in_temp_dir(inside_a_container_the_path_of_the_host_leads_to_the_root),
		test_in_temp_dir(version_one_without_a_quota_is_no_limit),
		test_in_temp_dir(other_controllers_are_not_the_processor),
		test_in_temp_dir(what_is_malformed_is_no_limit),
		test_in_temp_dir(the_smallest_memory_limit_on_the_way_up_counts_with_its_use),
		test_in_temp_dir(what_is_available_is_read_in_kib),
		test_in_temp_dir(memory_of_version_one_is_read_and_its_huge_number_is_no_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
