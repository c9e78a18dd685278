#include "model/triton.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "model/pbtxt.h"
#include "model/tree.h"

static int set_version(struct oci_triton_config *config, const char *value, struct oci_error *err)
{
	uint64_t version;

	if (!oci_str_u64(value, &version))
		return oci_fail(err, OCI_E_FORMAT, "version_policy names a version that is no number");
	if (config->version_count == OCI_TRITON_VERSIONS_MAX)
		return oci_fail(err, OCI_E_UNSUPPORTED, "version_policy names more than %d versions",
			OCI_TRITON_VERSIONS_MAX);
	config->versions[config->version_count++] = version;
	return 0;
}

static int set_field(void *ctx, const char *path, const char *value, struct oci_error *err)
{
	struct oci_triton_config *config = ctx;

	if (!strcmp(path, "version_policy.specific"))
		config->policy = OCI_TRITON_SPECIFIC;
	if (!strcmp(path, "version_policy.all"))
		config->policy = OCI_TRITON_ALL;
	if (!value)
		return 0;
	if (!strcmp(path, "name"))
		return oci_str_set(&config->name, value, err);
	if (!strcmp(path, "platform"))
		return oci_str_set(&config->platform, value, err);
	if (!strcmp(path, "backend"))
		return oci_str_set(&config->backend, value, err);
	if (!strcmp(path, "max_batch_size"))
		oci_str_u64(value, &config->max_batch_size);
	if (!strcmp(path, "version_policy.specific.versions"))
		return set_version(config, value, err);
	return 0;
}

int oci_triton_config_parse(const char *text, struct oci_triton_config *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_triton_config_clear) struct oci_triton_config config = {0};

	if (oci_pbtxt_parse(text, set_field, &config, err) < 0)
		return -1;
	*ret = config;
	config = (struct oci_triton_config){0};
	return 0;
}

void oci_triton_config_clear(struct oci_triton_config *config)
{
	free(config->name);
	free(config->platform);
	free(config->backend);
	*config = (struct oci_triton_config){0};
}

/* The part of a path below `dir`. */
static const char *below(const char *path, const char *dir)
{
	return *dir ? path + strlen(dir) + 1 : path;
}

/* What follows "<version>/" in a path below a model, else NULL. */
static const char *after_version(const char *path)
{
	size_t digits = strspn(path, "0123456789");
	return digits && path[0] != '0' && path[digits] == '/' ? path + digits + 1 : NULL;
}

static char *join(const char *dir, const char *name)
{
	return *dir ? oci_str_printf("%s/%s", dir, name) : oci_str_printf("%s", name);
}

static bool has_version(const struct oci_model_tree *tree, const char *dir)
{
	for (size_t i = oci_tree_dir(tree, dir); i < tree->count; i++) {
		if (!oci_tree_in_dir(tree->files[i].path, dir))
			return false;
		if (after_version(below(tree->files[i].path, dir)))
			return true;
	}
	return false;
}

/* A number alone could be anything; with a model.* in it, it is a version. */
static bool has_model_file(const struct oci_model_tree *tree, const char *dir)
{
	for (size_t i = oci_tree_dir(tree, dir); i < tree->count; i++) {
		if (!oci_tree_in_dir(tree->files[i].path, dir))
			return false;
		const char *name = after_version(below(tree->files[i].path, dir));
		if (name && oci_str_starts(name, "model."))
			return true;
	}
	return false;
}

static bool find_config(const struct oci_model_tree *tree, const char *dir, size_t *ret)
{
	oci_autofree char *path = join(dir, "config.pbtxt");
	return path && oci_tree_find(tree, path, ret);
}

bool oci_triton_is_model(const struct oci_model_tree *tree, const char *dir)
{
	size_t i;
	return find_config(tree, dir, &i) || has_model_file(tree, dir);
}

/* Step to the next directory at the top: its name, the caller's to free, and
 * the first file after it; NULL at the end. */
static char *next_dir(const struct oci_model_tree *tree, size_t *at)
{
	for (; *at < tree->count; ++*at) {
		const char *path = tree->files[*at].path;
		const char *slash = strchr(path, '/');
		if (!slash)
			continue;
		char *dir = strndup(path, (size_t)(slash - path));
		while (dir && *at < tree->count && oci_tree_in_dir(tree->files[*at].path, dir))
			++*at;
		return dir;
	}
	return NULL;
}

bool oci_triton_is_repository(const struct oci_model_tree *tree)
{
	size_t at = 0;

	for (;;) {
		oci_autofree char *dir = next_dir(tree, &at);
		if (!dir)
			return false;
		if (oci_triton_is_model(tree, dir))
			return true;
	}
}

static int read_config(
	const struct oci_model_tree *tree, size_t i, struct oci_triton_config *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, OCI_TRITON_TEXT_MAX);
	if (tree->files[i].size_bytes > OCI_TRITON_TEXT_MAX)
		return oci_fail(err, OCI_E_FORMAT, "larger than %d bytes", OCI_TRITON_TEXT_MAX);
	if (oci_tree_read(tree, i, OCI_TRITON_TEXT_MAX, &text, err) < 0)
		return -1;
	return oci_triton_config_parse(oci_buf_text(&text), ret, err);
}

static int check_versions(const struct oci_model_tree *tree, const char *dir,
	const struct oci_triton_config *config, struct oci_model_info *info, struct oci_error *err)
{
	bool is_ensemble = config->platform && !strcmp(config->platform, "ensemble");

	if (!has_version(tree, dir))
		return is_ensemble
			       ? oci_info_find(info, OCI_FINDING_WARNING, dir, err,
					 "ensemble without a version directory; put a file into '1/', an "
					 "empty directory is not packed")
			       : oci_info_find(info, OCI_FINDING_ERROR, dir, err,
					 "Triton model without a version directory; put the model into '1/'");
	if (config->policy != OCI_TRITON_SPECIFIC)
		return 0;
	for (size_t i = 0; i < config->version_count; i++) {
		unsigned long long version = config->versions[i];
		oci_autofree char *name = oci_str_printf("%llu", version);
		oci_autofree char *path = name ? join(dir, name) : NULL;
		if (!path)
			return oci_fail_nomem(err);
		if (oci_tree_dir(tree, path) == tree->count &&
			oci_info_find(info, OCI_FINDING_ERROR, dir, err,
				"version_policy asks for version %llu, which is not there", version) < 0)
			return -1;
	}
	return 0;
}

/* Triton refuses a model whose directory has another name. */
static int check_name(const char *dir, const char *path, const struct oci_triton_config *config,
	struct oci_model_info *info, struct oci_error *err)
{
	char safe[OCI_STR_ESCAPE_MAX];

	if (!*dir || !config->name || !*config->name || !strcmp(config->name, oci_tree_base(dir)))
		return 0;
	return oci_info_find(info, OCI_FINDING_ERROR, path, err,
		"names the model '%s', and its directory has another name; rename one",
		oci_str_escape(config->name, safe));
}

int oci_triton_inspect_model(const struct oci_model_tree *tree, const char *dir, struct oci_model_info *info,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_triton_config_clear) struct oci_triton_config config = {0};
	struct oci_error cause = {0};
	size_t i;

	if (find_config(tree, dir, &i) && !tree->files[i].elsewhere) {
		const char *path = tree->files[i].path;
		if (read_config(tree, i, &config, &cause) < 0 &&
			oci_info_find_cause(info, path, &cause, err) < 0)
			return -1;
		if (check_name(dir, path, &config, info, err) < 0)
			return -1;
	}
	if (oci_info_set(&info->name, config.name ? config.name : oci_tree_base(dir), err) < 0)
		return -1;
	return check_versions(tree, dir, &config, info, err);
}

int oci_triton_inspect_repository(
	const struct oci_model_tree *tree, struct oci_model_info *info, struct oci_error *err)
{
	size_t at = 0, models = 0;

	for (;;) {
		oci_autofree char *dir = next_dir(tree, &at);
		if (!dir)
			break;
		if (!oci_triton_is_model(tree, dir)) {
			if (oci_info_find(info, OCI_FINDING_WARNING, dir, err,
				    "Triton takes every directory of a repository for a model, and this is "
				    "none") < 0)
				return -1;
			continue;
		}
		if (oci_triton_inspect_model(tree, dir, info, err) < 0)
			return -1;
		models++;
	}
	if (models > 1)
		oci_str_set(&info->name, NULL, err); /* the name of one of many is not the name of all */
	return 0;
}
