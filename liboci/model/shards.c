#include "model/shards.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "model/scan.h"
#include "model/tree.h"

#define INDEX_MAX (32 * OCI_MIB)
#define INDEX_SUFFIX ".index.json"
#define ROW_TEXT_LEN 15 /* "-00002-of-00005" */

struct index {
	const struct oci_model_tree *tree;
	size_t file;
	bool *named;
	struct oci_model_info *info;
	struct oci_strings missing;
	char last[OCI_SCAN_TEXT_MAX + 1]; /* neighbours mostly share a shard */
};

static void index_clear(struct index *index)
{
	oci_strings_clear(&index->missing);
}

static bool is_index(const char *path)
{
	return oci_str_ends(path, ".safetensors" INDEX_SUFFIX) || oci_str_ends(path, ".bin" INDEX_SUFFIX);
}

static int name_shard(struct index *index, const char *shard, struct oci_error *err)
{
	const char *index_path = index->tree->files[index->file].path;
	size_t i;

	if (!strcmp(shard, index->last))
		return 0;
	memcpy(index->last, shard, strlen(shard) + 1);
	oci_autofree char *path =
		oci_str_printf("%.*s%s", (int)oci_tree_dir_len(index_path), index_path, shard);
	if (!path)
		return oci_fail_nomem(err);
	if (oci_tree_find(index->tree, path, &i)) {
		index->named[i] = true;
		return 0;
	}
	if (oci_strings_has(&index->missing, path))
		return 0;
	char safe[OCI_STR_ESCAPE_MAX];
	if (oci_strings_add(&index->missing, path, err) < 0)
		return -1;
	return oci_info_find(index->info, OCI_FINDING_ERROR, index_path, err,
		"names the shard '%s', which is missing; fetch it", oci_str_escape(shard, safe));
}

static int read_weight_map(struct index *index, struct oci_scan *scan, struct oci_error *err)
{
	struct oci_scan_text shard;
	bool first = true;
	int more;

	while ((more = oci_scan_member(scan, &first, NULL, err)) > 0) {
		if (oci_scan_text(scan, &shard, err) < 0 || name_shard(index, shard.text, err) < 0)
			return -1;
		if (index->missing.count > 100)
			return oci_fail(err, OCI_E_FORMAT, "names more than 100 shards that are missing");
	}
	return more;
}

static int read_index(struct index *index, struct oci_error *err)
{
	OCI_CLEANUP(oci_scan_close) struct oci_scan scan = {0};
	const struct oci_model_file *file = &index->tree->files[index->file];
	struct oci_scan_text key;
	bool first = true, found = false;
	int more;

	if (file->size_bytes > INDEX_MAX)
		return oci_fail(err, OCI_E_UNSUPPORTED, "larger than 32 MiB, it was not checked");
	if (oci_scan_open(&scan, index->tree, index->file, 0, file->size_bytes, err) < 0)
		return -1;
	while ((more = oci_scan_member(&scan, &first, &key, err)) > 0) {
		bool is_map = !strcmp(key.text, "weight_map");
		found |= is_map;
		if ((is_map ? read_weight_map(index, &scan, err) : oci_scan_value(&scan, err)) < 0)
			return -1;
	}
	if (more < 0 || oci_scan_end(&scan, err) < 0)
		return -1;
	return found ? 0 : oci_fail(err, OCI_E_FORMAT, "has no weight_map");
}

/* The place of "-00002-of-00005" in the path, or NULL. */
static const char *row_text(const char *path)
{
	static const char shape[] = "-ddddd-of-ddddd";
	const char *dot = strrchr(oci_tree_base(path), '.');

	if (!dot || dot - path < ROW_TEXT_LEN)
		return NULL;
	const char *text = dot - ROW_TEXT_LEN;
	for (size_t i = 0; i < ROW_TEXT_LEN; i++) {
		if (shape[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != shape[i])
			return NULL;
	}
	return text;
}

/* Warn of shards in the directory of an index that no index names. */
static int find_unnamed(const struct oci_model_tree *tree, size_t index, bool *named,
	struct oci_model_info *info, struct oci_error *err)
{
	const char *index_path = tree->files[index].path;
	size_t dir_len = oci_tree_dir_len(index_path);
	const char *suffix = oci_str_ends(index_path, ".bin" INDEX_SUFFIX) ? ".bin" : ".safetensors";

	for (size_t i = 0; i < tree->count; i++) {
		const char *path = tree->files[i].path;
		if (named[i] || tree->files[i].elsewhere || oci_tree_dir_len(path) != dir_len || strncmp(path, index_path, dir_len) != 0)
			continue;
		if (!row_text(path) || !oci_str_ends(path, suffix))
			continue;
		named[i] = true;
		if (oci_info_find(info, OCI_FINDING_WARNING, path, err,
			    "no index names this shard; it may be left from another revision") < 0)
			return -1;
	}
	return 0;
}

int oci_shards_check_indexes(
	const struct oci_model_tree *tree, bool *named, struct oci_model_info *info, struct oci_error *err)
{
	for (size_t i = 0; i < tree->count; i++) {
		OCI_CLEANUP(index_clear)
		struct index index = {.tree = tree, .file = i, .named = named, .info = info};
		struct oci_error cause = {0};
		if (!is_index(tree->files[i].path) || tree->files[i].elsewhere)
			continue;
		named[i] = true;
		if (read_index(&index, &cause) < 0 &&
			oci_info_find_cause(info, tree->files[i].path, &cause, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < tree->count; i++) {
		if (is_index(tree->files[i].path) && !tree->files[i].elsewhere && find_unnamed(tree, i, named, info, err) < 0)
			return -1;
	}
	return 0;
}

static unsigned five_digits(const char *text)
{
	unsigned n = 0;

	for (int i = 0; i < 5; i++)
		n = 10 * n + (unsigned)(text[i] - '0');
	return n;
}

static int check_number(const struct oci_model_tree *tree, const char *path, unsigned number,
	struct oci_model_info *info, struct oci_error *err)
{
	const char *row = row_text(path);
	oci_autofree char *other = oci_str_printf("%.*s-%05u%s", (int)(row - path), path, number, row + 6);

	if (!other)
		return oci_fail_nomem(err);
	if (oci_tree_has(tree, other))
		return 0;
	return oci_info_find(
		info, OCI_FINDING_ERROR, other, err, "is missing from its row of shards; fetch it");
}

int oci_shards_check_row(
	const struct oci_model_tree *tree, size_t i, struct oci_model_info *info, struct oci_error *err)
{
	const char *path = tree->files[i].path;
	const char *row = row_text(path);

	if (!row)
		return 0;
	unsigned number = five_digits(row + 1), total = five_digits(row + 10);
	if (number && number < total)
		return check_number(tree, path, number + 1, info, err);
	if (number && number == total)
		return check_number(tree, path, 1, info, err);
	return 0;
}

size_t oci_shards_row_len(const char *path)
{
	const char *row = row_text(path);
	return row ? (size_t)(row - path) : strlen(path);
}
