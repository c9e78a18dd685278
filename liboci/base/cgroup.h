/* cgroup.h - what the control group leaves us
 *
 * `root` stands before every path that is read ("" is the running system), so
 * that a test can bring its own /proc and /sys.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The processors that the quota pays for, rounded up: v2 cpu.max of our group
 * and of those above it, or v1 cpu.cfs_quota_us. False: no limit is known. */
bool oci_cgroup_cpus(const char *root, unsigned *ret);

struct oci_cgroup_memory {
	uint64_t limit_bytes;
	uint64_t used_bytes; /* of the group that has this limit, page cache included; 0: not known */
};

/* What the machine could give without swapping (/proc/meminfo). False: it does not say. */
bool oci_cgroup_available(const char *root, uint64_t *ret);

/* The smallest limit of our group and of those above it: v2 memory.max, or v1
 * memory.limit_in_bytes. False: no limit is known. */
bool oci_cgroup_memory(const char *root, struct oci_cgroup_memory *ret);
