#include "engine/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "core/config.h"

#define INDEX_DEPTH_MAX 4 /* indexes within indexes */

#define TITLE "org.opencontainers.image.title"

const char *oci_image_name(const struct oci_reference *ref, char *buffer)
{
	if (ref->digest.alg)
		return oci_digest_format(&ref->digest, buffer);
	if (ref->tag)
		return ref->tag;
	return ref->transport == OCI_TRANSPORT_REGISTRY ? "latest" : NULL;
}

int oci_image_read_manifest(struct oci_store *store, const struct oci_descriptor *d, struct oci_manifest *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, OCI_MANIFEST_MAX);
	if (oci_store_read(store, d, &buf, err) < 0)
		return -1;
	return oci_manifest_parse(oci_buf_text(&buf), buf.len, d->media_type, ret, err);
}

static bool is_unknown(const struct oci_platform *platform)
{
	return platform->os && strcmp(platform->os, "unknown") == 0;
}

static bool is_ours(const struct oci_descriptor *d)
{
	return oci_annotations_get(&d->annotations, OCI_ANNOTATION_KIND) != NULL;
}

/* How well an entry of an index serves: 0 not at all. */
static int rank(const struct oci_descriptor *d, const struct oci_platform *wanted)
{
	bool described = d->platform.os && d->platform.architecture;

	if (!oci_media_is_manifest(d->media_type) && !oci_media_is_index(d->media_type))
		return 0;
	if (wanted)
		return described && oci_platform_match(wanted, &d->platform);
	if (described && oci_platform_match(oci_platform_host(), &d->platform))
		return 5;
	if (is_ours(d))
		return 4;
	if (!is_unknown(&d->platform) && !d->artifact_type)
		return 3;
	return d->artifact_type || !described ? 2 : 0;
}

static int no_match(const struct oci_manifest *index, struct oci_error *err)
{
	char list[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < index->manifest_count; i++) {
		const struct oci_platform *p = &index->manifests[i].platform;
		char shown[OCI_STR_ESCAPE_MAX];
		oci_autofree char *text =
			p->os && p->architecture ? oci_str_printf(" %s/%s", p->os, p->architecture) : NULL;

		if (!text || used + strlen(text) >= sizeof list)
			continue;
		memcpy(list + used, oci_str_escape(text, shown), strlen(text) + 1);
		used += strlen(text);
	}
	return oci_fail(err, OCI_E_NOT_FOUND, "no manifest for this platform; --platform takes one of:%s",
		used ? list : " (none)");
}

static int choose(struct oci_store *store, const struct oci_manifest *index, const struct oci_platform *wanted,
	unsigned depth, struct oci_image *image, struct oci_error *err);

/* Follow `d` down to a manifest, which is left in the image. */
static int descend(struct oci_store *store, const struct oci_descriptor *d, const struct oci_platform *wanted,
	unsigned depth, struct oci_image *image, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest manifest = {0};

	if (oci_image_read_manifest(store, d, &manifest, err) < 0)
		return -1;
	if (manifest.is_index)
		return choose(store, &manifest, wanted, depth, image, err);
	if (oci_descriptor_copy(&image->descriptor, d, err) < 0)
		return -1;
	image->manifest = manifest;
	manifest = (struct oci_manifest){0};
	return 0;
}

static int choose(struct oci_store *store, const struct oci_manifest *index, const struct oci_platform *wanted,
	unsigned depth, struct oci_image *image, struct oci_error *err)
{
	const struct oci_descriptor *best = NULL;
	int best_rank = 0;

	if (depth == INDEX_DEPTH_MAX)
		return oci_fail(err, OCI_E_FORMAT, "indexes are nested more than %d deep", INDEX_DEPTH_MAX);
	for (size_t i = 0; i < index->manifest_count; i++) {
		int r = rank(&index->manifests[i], wanted);

		if (r > best_rank) {
			best_rank = r;
			best = &index->manifests[i];
		}
	}
	if (!best)
		return no_match(index, err);
	return descend(store, best, wanted, depth + 1, image, err);
}

static int load_index(struct oci_store *store, struct oci_image *image, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	const struct oci_descriptor *last;

	if (image->manifest.layer_count == 0)
		return 0;
	last = &image->manifest.layers[image->manifest.layer_count - 1];
	if (!oci_block_index_is(last))
		return 0;
	oci_buf_init(&buf, OCI_BLOCK_INDEX_MAX);
	if (oci_store_read(store, last, &buf, err) < 0 || oci_block_index_parse(buf.data, buf.len, &image->index, err) < 0)
		return -1;
	image->has_index = true;
	return 0;
}

static const char *first_annotation(const struct oci_descriptor *d, const char *const keys[])
{
	for (; *keys; keys++) {
		const char *value = oci_annotations_get(&d->annotations, *keys);

		if (value)
			return value;
	}
	return NULL;
}

/* The file name of a raw layer; foreign text, so it is checked here once. */
static int raw_path(const struct oci_descriptor *d, struct oci_image_layer *layer, struct oci_error *err)
{
	static const char *const keys[] = {"org.cncf.model.filepath", "org.cnai.model.filepath", TITLE, NULL};
	const char *path = first_annotation(d, keys);
	char shown[OCI_STR_ESCAPE_MAX], digest[OCI_DIGEST_TEXT_MAX];

	if (!path)
		return oci_fail(err, OCI_E_UNSUPPORTED, "layer %s of type '%s' has no file name",
			oci_digest_format(&d->digest, digest), oci_str_escape(d->media_type, shown));
	while (strncmp(path, "./", 2) == 0)
		path += 2;
	if (!oci_fs_path_ok(path) || !oci_str_clean_utf8(path))
		return oci_fail(err, OCI_E_FORMAT, "unsafe file name '%s'", oci_str_escape(path, shown));
	return oci_str_set(&layer->path, path, err);
}

static bool names_archive(const char *title)
{
	return oci_str_ends(title, ".gz") || oci_str_ends(title, ".tgz") || oci_str_ends(title, ".tar");
}

/* A directory that ORAS has packed: its CLI says so by an annotation, its
 * Python library by the type alone, so there the name must not be an archive's. */
static bool is_packed_dir(const struct oci_descriptor *d)
{
	const char *unpack = oci_annotations_get(&d->annotations, "io.deis.oras.content.unpack");
	const char *title = oci_annotations_get(&d->annotations, TITLE);

	if (unpack)
		return strcmp(unpack, "true") == 0;
	return title && strcmp(d->media_type, OCI_MT_LAYER_GZIP) == 0 && !names_archive(title);
}

static int describe_artifact(const struct oci_descriptor *d, enum oci_layer_form form,
	struct oci_image_layer *layer, struct oci_error *err)
{
	static const char *const keys[] = {"org.cncf.model.filepath", "org.cnai.model.filepath", NULL};

	if (is_packed_dir(d)) {
		layer->use = OCI_USE_TAR;
		layer->compression = OCI_GZIP;
		return 0;
	}
	/* An image layer's type with a title in an artifact is a file to ORAS. */
	if (form == OCI_LAYER_TAR || (form == OCI_LAYER_IMAGE && !oci_annotations_get(&d->annotations, TITLE))) {
		layer->use = OCI_USE_TAR;
		return oci_str_set(&layer->path, first_annotation(d, keys), err);
	}
	layer->use = OCI_USE_RAW;
	layer->compression = OCI_PLAIN; /* a file's bytes are the blob's */
	return raw_path(d, layer, err);
}

static int describe_layer(struct oci_image *image, size_t i, struct oci_error *err)
{
	const struct oci_descriptor *d = &image->manifest.layers[i];
	struct oci_image_layer *layer = &image->layers[i];
	enum oci_layer_form form = oci_media_layer_form(d->media_type, &layer->compression);
	const struct oci_block_index_layer *indexed = image->has_index ? oci_block_index_find(&image->index, &d->digest) : NULL;
	char shown[OCI_STR_ESCAPE_MAX];

	if (strcmp(d->media_type, OCI_MT_EMPTY) == 0 ||
		(image->has_index && i + 1 == image->manifest.layer_count))
		return 0;
	if (!image->runnable)
		return describe_artifact(d, form, layer, err);
	if (form != OCI_LAYER_IMAGE)
		return oci_fail(err, OCI_E_UNSUPPORTED, "image layer of type '%s'",
			oci_str_escape(d->media_type, shown));
	layer->use = OCI_USE_IMAGE;
	if (indexed && layer->compression == OCI_PLAIN && indexed->size_bytes == d->size_bytes) {
		layer->use = OCI_USE_SHAPED;
		layer->indexed = (size_t)(indexed - image->index.layers);
	}
	return 0;
}

static int take_diff_ids(struct oci_store *store, struct oci_image *image, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	OCI_CLEANUP(oci_config_clear) struct oci_config config = {0};

	oci_buf_init(&buf, OCI_CONFIG_MAX);
	if (oci_store_read(store, &image->manifest.config, &buf, err) < 0 ||
		oci_config_parse(oci_buf_text(&buf), buf.len, &config, err) < 0)
		return -1;
	if (config.diff_id_count != image->manifest.layer_count)
		return oci_fail(err, OCI_E_FORMAT, "config lists %zu layers, manifest %zu", config.diff_id_count,
			image->manifest.layer_count);
	for (size_t i = 0; i < config.diff_id_count; i++) {
		image->layers[i].diff_id = config.diff_ids[i];
		if (image->layers[i].compression == OCI_PLAIN &&
			!oci_digest_equal(&config.diff_ids[i], &image->manifest.layers[i].digest))
			return oci_fail(err, OCI_E_DIGEST, "layer %zu is plain and has another diffID in the config", i);
	}
	return 0;
}

static int describe(struct oci_store *store, struct oci_image *image, struct oci_error *err)
{
	image->runnable =
		oci_media_is_image_config(image->manifest.config.media_type) && !image->manifest.artifact_type;
	if (image->runnable && load_index(store, image, err) < 0)
		return -1;
	image->layers = calloc(image->manifest.layer_count + 1, sizeof *image->layers);
	if (!image->layers)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < image->manifest.layer_count; i++)
		if (describe_layer(image, i, err) < 0)
			return -1;
	if (image->runnable)
		return take_diff_ids(store, image, err);
	return 0;
}

int oci_image_open_root(struct oci_store *store, const struct oci_descriptor *root, const struct oci_platform *platform,
	struct oci_image *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_image_clear) struct oci_image image = {0};

	if (oci_descriptor_copy(&image.root, root, err) < 0 ||
		descend(store, &image.root, platform, 0, &image, err) < 0 || describe(store, &image, err) < 0)
		return -1;
	*ret = image;
	image = (struct oci_image){0};
	return 0;
}

int oci_image_open(struct oci_store *store, const char *name, const struct oci_platform *platform,
	struct oci_image *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor root = {0};

	if (oci_store_resolve(store, name, &root, err) < 0)
		return -1;
	return oci_image_open_root(store, &root, platform, ret, err);
}

int oci_image_choose(struct oci_store *store, const char *name, const struct oci_platform *platform,
	struct oci_descriptor *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_image_clear) struct oci_image image = {0};

	if (oci_store_resolve(store, name, &image.root, err) < 0 || descend(store, &image.root, platform, 0, &image, err) < 0)
		return -1;
	return oci_descriptor_copy(ret, &image.descriptor, err);
}

void oci_image_clear(struct oci_image *image)
{
	for (size_t i = 0; image->layers && i < image->manifest.layer_count; i++)
		free(image->layers[i].path);
	free(image->layers);
	oci_block_index_clear(&image->index);
	oci_manifest_clear(&image->manifest);
	oci_descriptor_clear(&image->descriptor);
	oci_descriptor_clear(&image->root);
	*image = (struct oci_image){0};
}
