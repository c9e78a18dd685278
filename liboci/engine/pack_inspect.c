/* What a pack looks at: the source, and beside it what its base image has. */
#include "engine/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"

/* A path of the model; one that both have is the source's. */
struct entry {
	const char *path;
	uint64_t size_bytes;
	size_t number; /* in the source */
	bool elsewhere;
};

struct view {
	const struct oci_dir *dir;
	const struct entry *entries;
};

static ssize_t read_entry(void *ctx, size_t i, uint64_t offset, void *data, size_t len, struct oci_error *err)
{
	const struct view *view = ctx;
	oci_autoclose int fd = oci_dir_open_file(view->dir, view->entries[i].number, err);

	if (fd < 0)
		return -1;
	return oci_fs_pread_full(fd, data, len, offset, err);
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	return order ? order : x->elsewhere - y->elsewhere;
}

/* The path below the prefix, or NULL. */
static const char *below(const char *path, const char *prefix)
{
	size_t len = prefix ? strlen(prefix) : 0;

	if (len == 0)
		return path;
	return strncmp(path, prefix, len) == 0 && path[len] == '/' ? path + len + 1 : NULL;
}

static size_t fill(const struct oci_dir *dir, const struct oci_block_index *beside, const char *prefix,
	struct entry *entries)
{
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < dir->count; i++)
		entries[count++] = (struct entry){dir->files[i].path, dir->files[i].size_bytes, i, false};
	for (size_t i = 0; beside && i < beside->file_count; i++) {
		const char *path = below(beside->files[i].path, prefix);
		if (path)
			entries[count++] = (struct entry){path, beside->files[i].size_bytes, 0, true};
	}
	if (count > 1)
		qsort(entries, count, sizeof *entries, compare_entries);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || strcmp(entries[kept - 1].path, entries[i].path) != 0)
			entries[kept++] = entries[i];
	return kept;
}

int oci_pack_inspect(const struct oci_dir *dir, const struct oci_block_index *beside, const char *prefix,
	struct oci_model_info *info, struct oci_error *err)
{
	size_t most = dir->count + (beside ? beside->file_count : 0);
	oci_autofree struct entry *entries = calloc(most + 1, sizeof *entries);
	oci_autofree struct oci_model_file *files = calloc(most + 1, sizeof *files);
	struct view view = {dir, entries};
	struct oci_model_tree tree = {.files = files, .read = read_entry, .ctx = &view};

	if (!entries || !files)
		return oci_fail_nomem(err);
	tree.count = fill(dir, beside, prefix, entries);
	for (size_t i = 0; i < tree.count; i++)
		files[i] = (struct oci_model_file){entries[i].path, entries[i].size_bytes, entries[i].elsewhere};
	return oci_model_inspect(&tree, info, err);
}
