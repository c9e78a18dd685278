#include "model/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define FINDINGS_MAX 1000

/* The first file whose path is not less than `path`. */
static size_t lower_bound(const struct oci_model_tree *tree, const char *path)
{
	size_t low = 0, high = tree->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (strcmp(tree->files[mid].path, path) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool oci_tree_find(const struct oci_model_tree *tree, const char *path, size_t *ret)
{
	size_t i = lower_bound(tree, path);

	if (i == tree->count || strcmp(tree->files[i].path, path) != 0)
		return false;
	*ret = i;
	return true;
}

bool oci_tree_find_readable(const struct oci_model_tree *tree, const char *path, size_t *ret)
{
	size_t i;

	if (!oci_tree_find(tree, path, &i) || tree->files[i].elsewhere)
		return false;
	*ret = i;
	return true;
}

bool oci_tree_has(const struct oci_model_tree *tree, const char *path)
{
	size_t i;
	return oci_tree_find(tree, path, &i);
}

size_t oci_tree_dir(const struct oci_model_tree *tree, const char *dir)
{
	if (!*dir)
		return 0;
	oci_autofree char *prefix = oci_str_printf("%s/", dir);
	size_t i = prefix ? lower_bound(tree, prefix) : tree->count;
	return i < tree->count && oci_tree_in_dir(tree->files[i].path, dir) ? i : tree->count;
}

bool oci_tree_in_dir(const char *path, const char *dir)
{
	size_t len = strlen(dir);
	return !len || (!strncmp(path, dir, len) && path[len] == '/');
}

size_t oci_tree_dir_len(const char *path)
{
	return (size_t)(oci_tree_base(path) - path);
}

const char *oci_tree_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

int oci_tree_read(
	const struct oci_model_tree *tree, size_t i, size_t max, struct oci_buf *out, struct oci_error *err)
{
	char block[8192];
	size_t done = 0;

	while (done < max) {
		size_t want = max - done < sizeof block ? max - done : sizeof block;
		ssize_t n = tree->read(tree->ctx, i, done, block, want, err);
		if (n < 0)
			return -1;
		if (!n)
			break;
		if (oci_buf_append(out, block, (size_t)n, err) < 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

static int add_finding(struct oci_model_info *info, enum oci_finding_level level, const char *path,
	const char *text, struct oci_error *err)
{
	struct oci_finding *grown =
		reallocarray(info->findings, info->finding_count + 1, sizeof *info->findings);

	if (!grown)
		return oci_fail_nomem(err);
	info->findings = grown;
	oci_autofree char *path_copy = strdup(*path ? path : ".");
	oci_autofree char *text_copy = strdup(text);
	if (!path_copy || !text_copy)
		return oci_fail_nomem(err);
	grown[info->finding_count++] = (struct oci_finding){
		.level = level, .path = oci_steal(&path_copy), .text = oci_steal(&text_copy)};
	return 0;
}

int oci_info_find(struct oci_model_info *info, enum oci_finding_level level, const char *path,
	struct oci_error *err, const char *format, ...)
{
	char text[512];
	va_list args;

	if (info->finding_count > FINDINGS_MAX)
		return 0;
	if (info->finding_count == FINDINGS_MAX)
		return add_finding(info, OCI_FINDING_ERROR, "", "further findings are not listed", err);
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return add_finding(info, level, path, text, err);
}

int oci_info_find_cause(
	struct oci_model_info *info, const char *path, const struct oci_error *cause, struct oci_error *err)
{
	if (cause->code == OCI_E_FORMAT)
		return oci_info_find(info, OCI_FINDING_ERROR, path, err, "%s", cause->text);
	if (cause->code == OCI_E_UNSUPPORTED)
		return oci_info_find(info, OCI_FINDING_WARNING, path, err, "%s", cause->text);
	if (err)
		*err = *cause;
	return -1;
}

int oci_info_set(char **field, const char *text, struct oci_error *err)
{
	if (*field || !text || !*text || !oci_str_clean_utf8(text))
		return 0;
	return oci_str_set(field, text, err);
}
