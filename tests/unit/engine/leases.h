/* leases.h - what tests of the lease share: its options, and file systems that lack something */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "engine/lease.h"
#include "../base/temp_dir.h"

#define NAME ".modelcar.lease.part"
#define HOUR_MS (3600 * 1000)

/* What the file system does; these stand in front of the C library's. */
static enum { FLOCK_WORKS, FLOCK_MISSING, FLOCK_LIES } flocks;
static enum { LINK_WORKS, LINK_MISSING, LINK_ANSWER_LOST, LINK_SWEPT } links;

int flock(int fd, int operation)
{
	if (flocks == FLOCK_LIES)
		return 0;
	if (flocks == FLOCK_WORKS)
		return (int)syscall(SYS_flock, fd, operation);
	errno = ENOLCK;
	return -1;
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	int rc = links == LINK_MISSING || links == LINK_SWEPT ? -1 : (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);

	if (links == LINK_WORKS)
		return rc;
	if (links == LINK_SWEPT)
		unlinkat(from_dir, from, 0);
	errno = links == LINK_MISSING ? EPERM : links == LINK_SWEPT ? ENOENT : EEXIST;
	return -1;
}

static inline int teardown(void **state)
{
	flocks = FLOCK_WORKS;
	links = LINK_WORKS;
	return temp_dir_teardown(state);
}

/* Nobody is dead for standing still, unless the test says so. */
static inline struct oci_lease_options patient(void)
{
	return (struct oci_lease_options){.beat_ms = 5, .quiet_ms = HOUR_MS, .dead_ms = HOUR_MS, .late_ms = HOUR_MS,
		.settle_ms = 10};
}

static inline struct oci_lease *take(int dir, const struct oci_lease_options *options)
{
	struct oci_lease_sight sight = {.there = false};
	struct oci_lease *lease = NULL;
	struct oci_error err = {0};

	if (oci_lease_take(dir, NAME, options, &sight, &lease, &err) < 0)
		fail_msg("%s", err.text);
	return lease;
}

static inline enum oci_lease_news watch(int dir, const struct oci_lease_options *options, struct oci_lease_sight *sight,
	uint64_t wait_ms)
{
	enum oci_lease_news news = OCI_LEASE_ALIVE;
	struct oci_error err = {0};

	if (oci_lease_watch(dir, NAME, options, sight, wait_ms, &news, &err) < 0)
		fail_msg("%s", err.text);
	return news;
}

static inline size_t count_entries(int dir)
{
	DIR *list = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY));
	size_t count = 0;

	assert_non_null(list);
	for (struct dirent *entry = readdir(list); entry; entry = readdir(list))
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(list);
	return count;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_dir_setup, teardown)
