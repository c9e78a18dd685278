#include "models_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "common.h"
#include "core/reference.h"
#include "core/yaml.h"
#include "dest.h"

#define FILE_BYTES_MAX OCI_MIB
#define MODELS_MAX 10000

static int fail_entry(size_t i, struct oci_error *err, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int fail_entry(size_t i, struct oci_error *err, const char *format, ...)
{
	char what[400];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	return oci_fail(err, OCI_E_USAGE, "model %zu: %s", i + 1, what);
}

/* A text, or several. */
static int take_texts(size_t i, const char *key, const struct oci_json *value, struct oci_strings *ret,
	struct oci_error *err)
{
	const char *text = oci_json_value_text(value);

	if (text)
		return oci_strings_add(ret, text, err);
	if (!oci_json_is_array(value))
		return fail_entry(i, err, "'%s' is a list of texts", key);
	for (size_t k = 0; k < oci_json_count(value); k++) {
		text = oci_json_value_text(oci_json_at(value, k));
		if (!text)
			return fail_entry(i, err, "'%s' is a list of texts", key);
		if (oci_strings_add(ret, text, err) < 0)
			return -1;
	}
	return 0;
}

static int take_member(size_t i, const char *key, const struct oci_json *value, struct models_entry *entry,
	struct oci_error *err)
{
	const struct {
		const char *key;
		char **field;
	} texts[] = {{"ref", &entry->ref}, {"path", &entry->path}, {"platform", &entry->platform},
		{"root", &entry->root}, {"publish", &entry->publish}};
	char shown[OCI_STR_ESCAPE_MAX];

	if (strcmp(key, "include") == 0)
		return take_texts(i, key, value, &entry->include, err);
	if (strcmp(key, "exclude") == 0)
		return take_texts(i, key, value, &entry->exclude, err);
	for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
		if (strcmp(key, texts[k].key) != 0)
			continue;
		if (!oci_json_value_text(value) || !*oci_json_value_text(value))
			return fail_entry(i, err, "'%s' is a text", key);
		return oci_str_set(texts[k].field, oci_json_value_text(value), err);
	}
	return fail_entry(i, err, "'%s' is not known; there are ref, path, platform, root, publish, include, exclude",
		oci_str_escape(key, shown));
}

/* Before anything is pulled, and not hours later. */
static int check_choices(size_t i, const struct models_entry *entry, struct oci_error *err)
{
	OCI_CLEANUP(oci_platform_clear) struct oci_platform platform = {0};
	char shown[OCI_STR_ESCAPE_MAX];

	if (entry->publish && dest_publish_find(entry->publish) < 0)
		return fail_entry(i, err, "'publish' is auto, version, swap or in-place, and not '%s'",
			oci_str_escape(entry->publish, shown));
	if (entry->platform && oci_platform_parse(entry->platform, &platform, err) < 0)
		return oci_wrap(err, "model %zu", i + 1);
	return 0;
}

/* What the repository is called, where no path is said. */
static int name_after_repository(size_t i, struct models_entry *entry, struct oci_error *err)
{
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	const char *slash;

	if (oci_reference_parse(entry->ref, &ref, err) < 0)
		return oci_wrap(err, "model %zu", i + 1);
	if (entry->path)
		return 0;
	if (ref.transport != OCI_TRANSPORT_REGISTRY)
		return fail_entry(i, err, "it needs a 'path'");
	slash = strrchr(ref.path, '/');
	return oci_str_set(&entry->path, slash ? slash + 1 : ref.path, err);
}

static int take_entry(size_t i, const struct oci_json *value, struct models_entry *entry, struct oci_error *err)
{
	const char *text = oci_json_value_text(value);
	char shown[OCI_STR_ESCAPE_MAX];

	if (text && oci_str_set(&entry->ref, text, err) < 0)
		return -1;
	for (void *m = text ? NULL : oci_json_first(value); m; m = oci_json_next(value, m))
		if (take_member(i, oci_json_key(m), oci_json_value(m), entry, err) < 0)
			return -1;
	if (!entry->ref)
		return fail_entry(i, err, "it has no 'ref'");
	if (check_choices(i, entry, err) < 0 || name_after_repository(i, entry, err) < 0)
		return -1;
	if (!oci_fs_path_ok(entry->path) || strstr(entry->path, ".modelcar"))
		return fail_entry(i, err, "the path '%s' is not clean: names with '/' between them, without '.' and '..'",
			oci_str_escape(entry->path, shown));
	return 0;
}

static int check_paths(const struct models_file *file, struct oci_error *err)
{
	for (size_t i = 0; i < file->count; i++)
		for (size_t k = 0; k < file->count; k++)
			if (k != i && dest_is_at_or_below(file->items[i].path, file->items[k].path))
				return fail_entry(i, err, "its path '%s' is that of model %zu, or below it; give each a 'path' of "
					"its own", file->items[i].path, k + 1);
	return 0;
}

int models_file_parse(const char *text, size_t len, struct models_file *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = oci_yaml_parse(text, len, &OCI_JSON_SMALL, err);
	OCI_CLEANUP(models_file_clear) struct models_file file = {0};
	struct oci_json *models;
	char shown[OCI_STR_ESCAPE_MAX];

	if (!doc)
		return -1;
	for (void *m = oci_json_first(doc); m; m = oci_json_next(doc, m))
		if (strcmp(oci_json_key(m), "models") != 0)
			return oci_fail(err, OCI_E_USAGE, "'%s' is not known; there is models",
				oci_str_escape(oci_json_key(m), shown));
	models = oci_json_get(doc, "models");
	if (!oci_json_is_array(models) || oci_json_count(models) == 0 || oci_json_count(models) > MODELS_MAX)
		return oci_fail(err, OCI_E_USAGE, "it holds no list 'models' with 1 to %d entries", MODELS_MAX);
	file.items = calloc(oci_json_count(models), sizeof *file.items);
	if (!file.items)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < oci_json_count(models); i++) {
		file.count++;
		if (take_entry(i, oci_json_at(models, i), &file.items[i], err) < 0)
			return -1;
	}
	if (check_paths(&file, err) < 0)
		return -1;
	*ret = file;
	file = (struct models_file){0};
	return 0;
}

int models_file_read(const char *path, struct models_file *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	char shown[OCI_STR_ESCAPE_MAX];

	oci_buf_init(&text, FILE_BYTES_MAX);
	if (common_read_file(path, &text, err) < 0)
		return -1;
	if (models_file_parse(oci_buf_text(&text), text.len, ret, err) < 0)
		return oci_wrap(err, "'%s'", oci_str_escape(path, shown));
	return 0;
}

bool models_file_has(const struct models_file *file, const char *path)
{
	for (size_t i = 0; i < file->count; i++)
		if (dest_is_at_or_below(path, file->items[i].path))
			return true;
	return false;
}

void models_file_clear(struct models_file *file)
{
	for (size_t i = 0; i < file->count; i++) {
		struct models_entry *entry = &file->items[i];

		free(entry->ref);
		free(entry->path);
		free(entry->platform);
		free(entry->root);
		free(entry->publish);
		oci_strings_clear(&entry->include);
		oci_strings_clear(&entry->exclude);
	}
	free(file->items);
	*file = (struct models_file){0};
}
