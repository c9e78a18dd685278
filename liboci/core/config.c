#include "core/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/field.h"
#include "core/grow.h"
#include "core/json.h"

static const struct oci_json_limits config_limits = {"image config", OCI_CONFIG_MAX, 100000};

static struct oci_history *add_history(struct oci_config *config, struct oci_error *err)
{
	struct oci_history *grown = oci_grow(config->history, config->history_count, sizeof(*grown));
	if (!grown) {
		oci_fail_nomem(err);
		return NULL;
	}
	config->history = grown;
	return &grown[config->history_count++];
}

int oci_config_add_history(struct oci_config *config, const char *created_by, struct oci_error *err)
{
	struct oci_history *h = add_history(config, err);
	if (!h || oci_str_set(&h->created, config->created, err) < 0)
		return -1;
	return oci_str_set(&h->created_by, created_by, err);
}

int oci_config_add_diff_id(struct oci_config *config, const struct oci_digest *diff_id, struct oci_error *err)
{
	struct oci_digest *grown = oci_grow(config->diff_ids, config->diff_id_count, sizeof(*grown));
	if (!grown)
		return oci_fail_nomem(err);
	config->diff_ids = grown;
	grown[config->diff_id_count++] = *diff_id;
	return 0;
}

static int read_runtime(const struct oci_json *doc, struct oci_config *config, struct oci_error *err)
{
	const struct oci_json *runtime = NULL, *env = NULL;
	if (oci_field_object(doc, "config", &runtime, err) < 0 ||
		oci_field_text(runtime, "User", &config->user, err) < 0 ||
		oci_field_array(runtime, "Env", &env, err) < 0)
		return -1;
	for (size_t i = 0; i < oci_json_count(env); i++) {
		const char *text = oci_json_value_text(oci_json_at(env, i));
		if (!text)
			return oci_fail(err, OCI_E_FORMAT, "'Env' entry %zu is not a string", i + 1);
		if (oci_strings_add(&config->env, text, err) < 0)
			return -1;
	}
	return oci_field_annotations(runtime, "Labels", &config->labels, err);
}

static int read_rootfs(const struct oci_json *doc, struct oci_config *config, struct oci_error *err)
{
	const struct oci_json *rootfs = oci_json_get(doc, "rootfs"), *ids = NULL;
	const char *type = oci_json_text(rootfs, "type");
	if (!oci_json_is_object(rootfs))
		return oci_fail(err, OCI_E_FORMAT, "'rootfs' is missing or not an object");
	if (!type || strcmp(type, "layers") != 0)
		return oci_fail(err, OCI_E_UNSUPPORTED, "the type of 'rootfs' is not 'layers'");
	if (oci_field_array(rootfs, "diff_ids", &ids, err) < 0)
		return -1;
	for (size_t i = 0; i < oci_json_count(ids); i++) {
		struct oci_digest diff_id;
		const char *text = oci_json_value_text(oci_json_at(ids, i));
		if (!text)
			return oci_fail(err, OCI_E_FORMAT, "'diff_ids' entry %zu is not a string", i + 1);
		if (oci_digest_parse(text, &diff_id, err) < 0)
			return oci_wrap(err, "'diff_ids' entry %zu", i + 1);
		if (oci_config_add_diff_id(config, &diff_id, err) < 0)
			return -1;
	}
	return 0;
}

static int read_history(const struct oci_json *doc, struct oci_config *config, struct oci_error *err)
{
	const struct oci_json *history = NULL;
	if (oci_field_array(doc, "history", &history, err) < 0)
		return -1;
	for (size_t i = 0; i < oci_json_count(history); i++) {
		const struct oci_json *entry = oci_json_at(history, i);
		struct oci_history *h = add_history(config, err);
		if (!h)
			return -1;
		if (!oci_json_is_object(entry))
			return oci_fail(err, OCI_E_FORMAT, "'history' entry %zu is not an object", i + 1);
		if (oci_field_text(entry, "created", &h->created, err) < 0 ||
			oci_field_text(entry, "created_by", &h->created_by, err) < 0 ||
			oci_field_text(entry, "comment", &h->comment, err) < 0)
			return oci_wrap(err, "'history' entry %zu", i + 1);
		oci_json_bool(entry, "empty_layer", &h->empty_layer);
	}
	return 0;
}

static int read_document(const struct oci_json *doc, struct oci_config *config, struct oci_error *err)
{
	if (!oci_json_is_object(doc))
		return oci_fail(err, OCI_E_FORMAT, "it is not an object");
	if (oci_field_text(doc, "created", &config->created, err) < 0 ||
		oci_field_platform(doc, &config->platform, err) < 0 || read_runtime(doc, config, err) < 0 ||
		read_rootfs(doc, config, err) < 0)
		return -1;
	return read_history(doc, config, err);
}

int oci_config_parse(const char *data, size_t len, struct oci_config *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_config_clear) struct oci_config config = {0};
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = oci_json_parse(data, len, &config_limits, err);
	if (!doc)
		return -1;
	if (read_document(doc, &config, err) < 0)
		return oci_wrap(err, "image config");
	*ret = config;
	config = (struct oci_config){0};
	return 0;
}

static void put_runtime(struct oci_json_writer *w, const struct oci_config *config)
{
	oci_json_object(w, "config");
	oci_json_put_text(w, "User", config->user);
	if (config->env.count > 0) {
		oci_json_array(w, "Env");
		for (size_t i = 0; i < config->env.count; i++)
			oci_json_put_text(w, NULL, config->env.items[i]);
		oci_json_close(w);
	}
	oci_field_put_annotations(w, "Labels", &config->labels);
	oci_json_close(w);
}

static void put_rootfs(struct oci_json_writer *w, const struct oci_config *config)
{
	char digest[OCI_DIGEST_TEXT_MAX];
	oci_json_object(w, "rootfs");
	oci_json_put_text(w, "type", "layers");
	oci_json_array(w, "diff_ids");
	for (size_t i = 0; i < config->diff_id_count; i++)
		oci_json_put_text(w, NULL, oci_digest_format(&config->diff_ids[i], digest));
	oci_json_close(w);
	oci_json_close(w);
}

static void put_history(struct oci_json_writer *w, const struct oci_config *config)
{
	if (config->history_count == 0)
		return;
	oci_json_array(w, "history");
	for (size_t i = 0; i < config->history_count; i++) {
		const struct oci_history *h = &config->history[i];
		oci_json_object(w, NULL);
		oci_json_put_text(w, "created", h->created);
		oci_json_put_text(w, "created_by", h->created_by);
		oci_json_put_text(w, "comment", h->comment);
		if (h->empty_layer)
			oci_json_put_bool(w, "empty_layer", true);
		oci_json_close(w);
	}
	oci_json_close(w);
}

int oci_config_format(const struct oci_config *config, struct oci_buf *out, struct oci_error *err)
{
	struct oci_json_writer w;
	oci_json_begin(&w, out);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "created", config->created);
	oci_field_put_platform(&w, &config->platform);
	put_runtime(&w, config);
	put_rootfs(&w, config);
	put_history(&w, config);
	oci_json_close(&w);
	return oci_json_end(&w, err);
}

void oci_config_clear(struct oci_config *config)
{
	free(config->created);
	oci_platform_clear(&config->platform);
	free(config->user);
	oci_strings_clear(&config->env);
	oci_annotations_clear(&config->labels);
	free(config->diff_ids);
	for (size_t i = 0; i < config->history_count; i++) {
		free(config->history[i].created);
		free(config->history[i].created_by);
		free(config->history[i].comment);
	}
	free(config->history);
	*config = (struct oci_config){0};
}
