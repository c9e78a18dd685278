/* dir_fixture.h - a scratch directory for the tests of dir.c */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fs.h"
#include "source/dir.h"

/* Each test stands in a fresh directory and scans "m" there. */
static inline int enter_scratch(void **state)
{
	char *path = strdup("/tmp/test_dir.XXXXXX");

	if (!path || !mkdtemp(path) || chdir(path) < 0 || mkdir("m", 0777) < 0)
		return -1;
	*state = path;
	return 0;
}

static inline int leave_scratch(void **state)
{
	char *path = *state;
	int result = chdir("/tmp") < 0 || oci_fs_remove_tree(AT_FDCWD, path + strlen("/tmp/"), NULL) < 0;

	free(path);
	return result;
}

static inline void make_dir(const char *path)
{
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		fail_msg("mkdir %s: %s", path, strerror(errno));
}

static inline void make_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail_msg("write %s: %s", path, strerror(errno));
	close(fd);
}

static inline void make_link(const char *target, const char *path)
{
	if (symlink(target, path) < 0)
		fail_msg("symlink %s: %s", path, strerror(errno));
}

static inline void scan(const char *path, const struct oci_dir_options *options, struct oci_dir *ret)
{
	assert_int_equal(oci_dir_scan(path, options, ret, NULL), 0);
}

static inline void assert_refused(const char *path, enum oci_errc code, const char *part)
{
	struct oci_dir dir = {0};
	struct oci_error err = {0};

	assert_int_equal(oci_dir_scan(path, NULL, &dir, &err), -1);
	if (err.code != code || !strstr(err.text, part))
		fail_msg("%d '%s' is not about '%s'", err.code, err.text, part);
	assert_null(dir.files);
	oci_dir_clear(&dir);
}

/* The paths of a scan, one a word. */
static inline void assert_files(const struct oci_dir *dir, const char *words)
{
	char list[1024] = "";

	for (size_t i = 0; i < dir->count; i++) {
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s%s", i ? " " : "", dir->files[i].path);
	}
	assert_string_equal(list, words);
}

static inline void assert_content(const struct oci_dir *dir, const char *path, const char *text)
{
	char got[64];

	for (size_t i = 0; i < dir->count; i++) {
		if (strcmp(dir->files[i].path, path) != 0)
			continue;
		int fd = oci_dir_open_file(dir, i, NULL);
		assert_true(fd >= 0);
		ssize_t n = read(fd, got, sizeof got);
		assert_int_equal(n, strlen(text));
		assert_memory_equal(got, text, n);
		assert_int_equal(oci_dir_check(dir, i, fd, NULL), 0);
		close(fd);
		return;
	}
	fail_msg("no %s", path);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, enter_scratch, leave_scratch)
