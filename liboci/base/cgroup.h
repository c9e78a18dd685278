/* cgroup.h - what the control group leaves us
 *
 * `root` stands before every path that is read ("" is the running system), so
 * that a test can bring its own /proc and /sys.
 */
#pragma once

#include <stdbool.h>

/* The processors that the quota pays for, rounded up: v2 cpu.max of our group
 * and of those above it, or v1 cpu.cfs_quota_us. False: no limit is known. */
bool oci_cgroup_cpus(const char *root, unsigned *ret);
