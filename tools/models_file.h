/* models_file.h - a list of models for one volume, as YAML (spec/models-file.md)
 *
 *     OCI_CLEANUP(models_file_clear) struct models_file file = {0};
 *     models_file_read("models.yaml", &file, err);
 *
 * Each has a path of its own below the root, clean, and none inside another.
 * OCI_E_USAGE where the file is not so, OCI_E_FORMAT where it is no YAML,
 * OCI_E_NOT_FOUND.
 */
#pragma once

#include "base/str.h"

struct models_entry {
	char *ref, *path;
	char *platform, *root;  /* NULL: as the command line says */
	char *publish;
	struct oci_strings include, exclude;
};

struct models_file {
	struct models_entry *items;
	size_t count;
};

int models_file_parse(const char *text, size_t len, struct models_file *ret, struct oci_error *err);
/* "-" is standard input. */
int models_file_read(const char *path, struct models_file *ret, struct oci_error *err);
/* Is this path one of the list's, or below one? */
bool models_file_has(const struct models_file *file, const char *path);
void models_file_clear(struct models_file *file);
