/* archives.h - the archives that tests/assets/archive/make.py writes
 *
 * Group fixtures: make_archives() leaves their directory in *state.
 */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"

static inline int make_archives(void **state)
{
	char dir[] = "/tmp/oci-archives-XXXXXX";
	char script[4096];
	char *args[] = {(char *)"python3", script, dir, NULL};
	int status = -1;
	pid_t pid;

	snprintf(script, sizeof script, "%s/archive/make.py", getenv("MODELCAR_ASSETS"));
	if (!mkdtemp(dir) || posix_spawnp(&pid, args[0], NULL, NULL, args, environ) != 0)
		return -1;
	*state = strdup(dir);
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static inline int remove_archives(void **state)
{
	oci_fs_remove_tree(AT_FDCWD, *state, NULL);
	free(*state);
	return 0;
}

/* Call `check` for each archive whose name begins with `prefix`. */
static inline void for_each_archive(const char *dir, const char *prefix,
	void (*check)(const char *path, const char *name))
{
	DIR *entries = opendir(dir);
	unsigned count = 0;

	assert_non_null(entries);
	for (struct dirent *entry; (entry = readdir(entries));) {
		oci_autofree char *path = oci_str_printf("%s/%s", dir, entry->d_name);

		if (!oci_str_starts(entry->d_name, prefix))
			continue;
		check(path, entry->d_name);
		count++;
	}
	closedir(entries);
	assert_true(count >= 3);
}
