/* temp_dir.h - a directory of its own for a test: setup and teardown for cmocka */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

struct temp_dir {
	int fd;
	char path[64];
};

static inline int temp_dir_setup(void **state)
{
	struct temp_dir *dir = calloc(1, sizeof *dir);

	if (!dir)
		return -1;
	snprintf(dir->path, sizeof dir->path, "/tmp/modelcar-test.XXXXXX");
	if (!mkdtemp(dir->path)) {
		free(dir);
		return -1;
	}
	dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = dir;
	return dir->fd < 0 ? -1 : 0;
}

static inline int temp_dir_teardown(void **state)
{
	struct temp_dir *dir = *state;
	int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = oci_fs_remove_tree(parent, dir->path + strlen("/tmp/"), NULL);

	close(parent);
	close(dir->fd);
	free(dir);
	return result;
}

static inline int temp_dir_fd(void **state)
{
	return ((const struct temp_dir *)*state)->fd;
}

/* A file below the directory, written without the code under test. */
static inline void put_file(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static inline void put_dir(int dir, const char *path)
{
	assert_int_equal(mkdirat(dir, path, 0755), 0);
}

static inline void put_link(int dir, const char *path, const char *target)
{
	assert_int_equal(symlinkat(target, dir, path), 0);
}

static inline bool is_there(int dir, const char *path)
{
	struct stat st;

	return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}
