/* tree.h - what the parsers share: files by name, and findings
 *
 * Private to model/. A parser tells two things apart: a file that is not what
 * it should be (OCI_E_FORMAT, OCI_E_UNSUPPORTED) becomes a finding, a file that
 * cannot be read ends the inspection.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "model/detect.h"

bool oci_tree_find(const struct oci_model_tree *tree, const char *path, size_t *ret);
bool oci_tree_find_readable(const struct oci_model_tree *tree, const char *path, size_t *ret); /* not elsewhere */
bool oci_tree_has(const struct oci_model_tree *tree, const char *path);
/* The files of a directory, and below it, stand in one row: the first of them
 * (`dir` without a final slash), or tree->count. */
size_t oci_tree_dir(const struct oci_model_tree *tree, const char *dir);
bool oci_tree_in_dir(const char *path, const char *dir); /* at any depth; "" holds everything */
/* Length of the directory part of `path`, its slash included. */
size_t oci_tree_dir_len(const char *path);
const char *oci_tree_base(const char *path);

/* Append the file, at most `max` bytes of it, to `out`. */
int oci_tree_read(
	const struct oci_model_tree *tree, size_t i, size_t max, struct oci_buf *out, struct oci_error *err);

int oci_info_find(struct oci_model_info *info, enum oci_finding_level level, const char *path,
	struct oci_error *err, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Make a finding of `cause` if it speaks of the content, else pass it on. */
int oci_info_find_cause(
	struct oci_model_info *info, const char *path, const struct oci_error *cause, struct oci_error *err);
/* The first to know wins; NULL, empty and unprintable text is not knowledge. */
int oci_info_set(char **field, const char *text, struct oci_error *err);
