/* assets.h - run a check over the data files tests/assets/<format>/<prefix>*
 *
 * Include after <cmocka.h>. A folder without such files fails the test.
 */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASSET_MAX (64 * 1024)

typedef void (*asset_check)(const char *name, const char *data, size_t len);

static inline void run_asset(const char *folder, const char *name, asset_check check)
{
	char path[4096];
	static char data[ASSET_MAX];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	size_t len = fread(data, 1, sizeof(data) - 1, file);
	assert_true(feof(file));
	fclose(file);
	data[len] = '\0';

	/* A copy of the exact length lets the sanitizer see reads behind the end. */
	char *exact = malloc(len ? len : 1);
	assert_non_null(exact);
	memcpy(exact, data, len);
	check(name, exact, len);
	free(exact);
}

static inline void for_each_asset(const char *format, const char *prefix, asset_check check)
{
	char folder[2048];
	size_t count = 0;
	const char *assets = getenv("MODELCAR_ASSETS");
	assert_non_null(assets);
	snprintf(folder, sizeof(folder), "%s/%s", assets, format);
	DIR *dir = opendir(folder);
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		run_asset(folder, entry->d_name, check);
		count++;
	}
	closedir(dir);
	assert_int_not_equal(count, 0);
}
