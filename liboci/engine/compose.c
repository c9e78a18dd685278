#include "engine/compose.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/mediatype.h"
#include "engine/block_index.h"
#include "engine/modelpack.h"

#define RUNNABLE "image"

static struct oci_document *add_document(struct oci_documents *documents, struct oci_error *err)
{
	struct oci_document *grown = reallocarray(documents->items, documents->count + 1, sizeof *grown);

	if (!grown) {
		oci_fail_nomem(err);
		return NULL;
	}
	documents->items = grown;
	grown[documents->count] = (struct oci_document){0};
	oci_buf_init(&grown[documents->count].bytes, OCI_MANIFEST_MAX);
	return &grown[documents->count++];
}

static int describe_document(struct oci_document *document, const char *media_type, struct oci_error *err)
{
	return oci_descriptor_of(media_type, document->bytes.data, document->bytes.len, &document->descriptor,
		err);
}

/* Registries refuse manifests by size, and some only after every blob has been sent. */
static int check_size(const struct oci_document *document, struct oci_error *err)
{
	if (document->bytes.len <= OCI_COMPOSE_MANIFEST_MAX)
		return 0;
	return oci_fail(err, OCI_E_UNSUPPORTED,
		"a manifest of %zu KiB is more than the %zu KiB that registries take; use fewer or shorter "
		"annotations, or shorter paths", document->bytes.len / OCI_KIB,
		OCI_COMPOSE_MANIFEST_MAX / OCI_KIB);
}

static int fill_config(const struct oci_compose_layer *layers, size_t count,
	const struct oci_compose_options *options, size_t p, struct oci_config *config, struct oci_error *err)
{
	const struct oci_strings *env = options->env ? &options->env[p] : NULL;

	if (oci_str_set(&config->created, options->created, err) < 0 ||
		oci_str_set(&config->user, "65534:0", err) < 0 ||
		oci_platform_copy(&config->platform, &options->platforms[p], err) < 0)
		return -1;
	for (size_t i = 0; env && i < env->count; i++)
		if (oci_strings_add(&config->env, env->items[i], err) < 0)
			return -1;
	for (size_t i = 0; i < count; i++)
		if (oci_config_add_diff_id(config, &layers[i].diff_id, err) < 0 ||
			oci_config_add_history(config, layers[i].history, err) < 0)
			return -1;
	return 0;
}

static int add_config(const struct oci_compose_layer *layers, size_t count,
	const struct oci_compose_options *options, size_t p, struct oci_documents *documents, struct oci_error *err)
{
	OCI_CLEANUP(oci_config_clear) struct oci_config config = {0};
	struct oci_document *document = add_document(documents, err);

	if (!document || fill_config(layers, count, options, p, &config, err) < 0 ||
		oci_config_format(&config, &document->bytes, err) < 0)
		return -1;
	return describe_document(document, OCI_MT_CONFIG, err);
}

static bool starts_with_any(const char *key, const char *const prefixes[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (oci_str_starts(key, prefixes[i]))
			return true;
	return false;
}

/* What is left out when a manifest grows too large, by how far it does. */
static void thin(struct oci_annotations *annotations, size_t level)
{
	static const char *const optional[] = {"olot.", "io.modelcar.file."};

	for (size_t i = annotations->count; i-- > 0;)
		if (starts_with_any(annotations->items[i].key, optional, level))
			oci_annotations_remove(annotations, annotations->items[i].key);
}

static int fill_manifest(const struct oci_compose_layer *layers, size_t count,
	const struct oci_compose_options *options, const struct oci_descriptor *config, size_t level,
	struct oci_manifest *m, struct oci_error *err)
{
	if (oci_str_set(&m->media_type, OCI_MT_MANIFEST, err) < 0 ||
		oci_descriptor_copy(&m->config, config, err) < 0 ||
		oci_annotations_copy(&m->annotations, options->annotations, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		struct oci_descriptor *layer = oci_manifest_add_layer(m, err);

		if (!layer || oci_descriptor_copy(layer, &layers[i].descriptor, err) < 0)
			return -1;
		thin(&layer->annotations, level);
	}
	return 0;
}

static int add_image_manifest(const struct oci_compose_layer *layers, size_t count,
	const struct oci_compose_options *options, struct oci_documents *documents, struct oci_error *err)
{
	struct oci_document *document = add_document(documents, err);
	const struct oci_descriptor *config;

	if (!document)
		return -1;
	config = &documents->items[documents->count - 2].descriptor;
	for (size_t level = 0; level <= 2; level++) {
		OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};

		oci_buf_reset(&document->bytes);
		if (fill_manifest(layers, count, options, config, level, &m, err) < 0 ||
			oci_manifest_format(&m, &document->bytes, err) < 0)
			return -1;
		if (document->bytes.len <= OCI_COMPOSE_MANIFEST_MAX)
			break;
	}
	if (check_size(document, err) < 0)
		return -1;
	return describe_document(document, OCI_MT_MANIFEST, err);
}

static int add_modelpack(const struct oci_compose_layer *layers, size_t count,
	const struct oci_compose_options *options, struct oci_documents *documents, struct oci_error *err)
{
	struct oci_document *config = add_document(documents, err), *document;

	if (!config || oci_modelpack_config(layers, count, options, &config->bytes, err) < 0 ||
		describe_document(config, OCI_MT_MODELPACK_CONFIG, err) < 0)
		return -1;
	document = add_document(documents, err);
	if (!document)
		return -1;
	config = document - 1;
	for (unsigned level = 0; level <= OCI_MODELPACK_LEVELS; level++) {
		oci_buf_reset(&document->bytes);
		if (oci_modelpack_manifest(layers, count, options, &config->descriptor, level, &document->bytes, err) <
			0)
			return -1;
		if (document->bytes.len <= OCI_COMPOSE_MANIFEST_MAX)
			break;
	}
	if (check_size(document, err) < 0 ||
		describe_document(document, OCI_MT_MANIFEST, err) < 0)
		return -1;
	/* The artifact type stays in the manifest: in an index entry, skopeo 1.9 would
	 * drop it on its way and with it change the digest of the index. */
	documents->modelpack = documents->count;
	return 0;
}

static int add_entry(struct oci_manifest *index, const struct oci_descriptor *d, const struct oci_platform *platform,
	const char *kind, struct oci_error *err)
{
	struct oci_descriptor *entry = oci_manifest_add_manifest(index, err);

	if (!entry || oci_descriptor_copy(entry, d, err) < 0 ||
		oci_platform_copy(&entry->platform, platform, err) < 0)
		return -1;
	return oci_annotations_set(&entry->annotations, OCI_ANNOTATION_KIND, kind, err);
}

/* Documents before it: config and manifest of each platform, then ModelPack's. */
static int add_index(const struct oci_compose_options *options, struct oci_documents *documents,
	struct oci_error *err)
{
	static const struct oci_platform unknown = {.os = (char *)"unknown", .architecture = (char *)"unknown"};
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest index = {.is_index = true};
	struct oci_document *document;

	if (oci_str_set(&index.media_type, OCI_MT_INDEX, err) < 0 ||
		oci_annotations_copy(&index.annotations, options->annotations, err) < 0)
		return -1;
	for (size_t p = 0; p < options->platform_count; p++)
		if (add_entry(&index, &documents->items[2 * p + 1].descriptor, &options->platforms[p], RUNNABLE,
			    err) < 0)
			return -1;
	if (documents->modelpack &&
		add_entry(&index, &documents->items[documents->modelpack - 1].descriptor, &unknown, "modelpack",
			err) < 0)
		return -1;
	document = add_document(documents, err);
	if (!document || oci_manifest_format(&index, &document->bytes, err) < 0 || check_size(document, err) < 0)
		return -1;
	return describe_document(document, OCI_MT_INDEX, err);
}

static int compose(struct oci_compose_layer *const *layers, const size_t *layer_counts,
	const struct oci_compose_options *options, struct oci_documents *documents, struct oci_error *err)
{
	size_t images = options->single ? 1 : options->platform_count;

	if (options->modelpack_only)
		return add_modelpack(layers[0], layer_counts[0], options, documents, err);
	for (size_t p = 0; p < images; p++)
		if (add_config(layers[p], layer_counts[p], options, p, documents, err) < 0 ||
			add_image_manifest(layers[p], layer_counts[p], options, documents, err) < 0)
			return -1;
	if (options->single)
		return 0;
	if (options->modelpack && add_modelpack(layers[0], layer_counts[0], options, documents, err) < 0)
		return -1;
	return add_index(options, documents, err);
}

int oci_compose(struct oci_compose_layer *const *layers, const size_t *layer_counts,
	const struct oci_compose_options *options, struct oci_documents *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_documents_clear) struct oci_documents documents = {0};

	if (compose(layers, layer_counts, options, &documents, err) < 0)
		return -1;
	*ret = documents;
	documents = (struct oci_documents){0};
	return 0;
}

void oci_documents_clear(struct oci_documents *documents)
{
	for (size_t i = 0; i < documents->count; i++) {
		oci_descriptor_clear(&documents->items[i].descriptor);
		oci_buf_clear(&documents->items[i].bytes);
	}
	free(documents->items);
	*documents = (struct oci_documents){0};
}
