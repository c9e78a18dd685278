#include "store/archive_docker.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/config.h"
#include "core/field.h"
#include "core/mediatype.h"
#include "store/archive_members.h"
#include "store/index.h"

#define MANIFEST_FILE "manifest.json"
#define CHUNK_BYTES (256 * OCI_KIB)

struct docker {
	struct oci_archive_members members;
	struct oci_archive_index *ret;
	struct oci_manifest index; /* the coming text of *ret */
	uint64_t config_bytes;     /* read so far */
};

/* The media type of a layer by how its member begins. */
static const char *layer_type(const struct docker *d, const struct oci_archive_file *file, struct oci_error *err)
{
	static const struct {
		const char *magic, *media_type;
		size_t len;
	} packed[] = {{"\x1f\x8b", OCI_MT_LAYER_GZIP, 2}, {"\x28\xb5\x2f\xfd", OCI_MT_LAYER_ZSTD, 4}};
	char start[4] = {0};
	size_t want = file->size_bytes < sizeof start ? file->size_bytes : sizeof start;

	if (oci_archive_input_read(d->members.input, start, want, file->offset, err) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
		if (memcmp(start, packed[i].magic, packed[i].len) == 0)
			return packed[i].media_type;
	return OCI_MT_LAYER_TAR;
}

/* Several images may have the layer: hash it for the first. */
static int hash_file(const struct docker *d, struct oci_archive_file *file, struct oci_error *err)
{
	oci_autofree char *chunk = malloc(CHUNK_BYTES);
	struct oci_hash hash;
	ssize_t n;

	if (file->digest.alg)
		return 0;
	if (!chunk)
		return oci_fail_nomem(err);
	oci_hash_init(&hash, OCI_SHA256);
	for (uint64_t at = 0; at < file->size_bytes; at += (uint64_t)n) {
		uint64_t left = file->size_bytes - at;

		n = oci_archive_input_read(d->members.input, chunk, left < CHUNK_BYTES ? left : CHUNK_BYTES,
			file->offset + at, err);
		if (n < 0)
			return -1;
		if (n == 0)
			return oci_fail(err, OCI_E_SOURCE, "became shorter while it was read");
		oci_hash_update(&hash, chunk, (size_t)n);
	}
	oci_hash_final(&hash, &file->digest);
	return 0;
}

static int add_file_blob(struct docker *d, const struct oci_archive_file *file,
	const struct oci_digest *digest, struct oci_error *err)
{
	const struct oci_archive_blob blob = {
		.digest = *digest,
		.offset = file->offset,
		.size_bytes = file->size_bytes,
	};

	return oci_archive_index_add(d->ret, &blob, err);
}

static int add_layer(struct docker *d, struct oci_manifest *manifest, const char *path,
	const struct oci_digest *diff_id, struct oci_error *err)
{
	struct oci_archive_file *file = oci_archive_members_find(&d->members, path, err);
	struct oci_descriptor *layer;
	const char *media_type;
	bool plain;

	if (!file)
		return -1;
	media_type = layer_type(d, file, err);
	if (!media_type)
		return -1;
	plain = strcmp(media_type, OCI_MT_LAYER_TAR) == 0;
	if (!plain && hash_file(d, file, err) < 0)
		return -1;
	layer = oci_manifest_add_layer(manifest, err);
	if (!layer || oci_str_set(&layer->media_type, media_type, err) < 0)
		return -1;
	layer->digest = plain ? *diff_id : file->digest;
	layer->size_bytes = file->size_bytes;
	return add_file_blob(d, file, &layer->digest, err);
}

static int add_layers(struct docker *d, struct oci_manifest *manifest, const struct oci_json *paths,
	const struct oci_config *config, struct oci_error *err)
{
	size_t count = oci_json_count(paths);

	if (count != config->diff_id_count)
		return oci_fail(err, OCI_E_FORMAT, "has %zu layers, but %zu diff_ids in its config", count,
			config->diff_id_count);
	for (size_t i = 0; i < count; i++) {
		const char *path = oci_json_value_text(oci_json_at(paths, i));

		if (!path)
			return oci_fail(err, OCI_E_FORMAT, "has a layer that is no path");
		if (add_layer(d, manifest, path, &config->diff_ids[i], err) < 0)
			return oci_wrap(err, "layer %zu", i + 1);
	}
	return 0;
}

static int add_config(struct docker *d, struct oci_manifest *manifest, const char *path,
	struct oci_config *config, struct oci_error *err)
{
	struct oci_archive_file *file = oci_archive_members_find(&d->members, path, err);
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, OCI_CONFIG_MAX);
	if (!file || oci_archive_members_load(&d->members, file, &text, err) < 0)
		return -1;
	d->config_bytes += text.len;
	if (d->config_bytes > OCI_ARCHIVE_DOCUMENTS_MAX)
		return oci_fail(err, OCI_E_FORMAT, "the configs of all images are too large");
	if (oci_config_parse(oci_buf_text(&text), text.len, config, err) < 0 ||
		oci_descriptor_of(OCI_MT_CONFIG, oci_buf_text(&text), text.len, &manifest->config, err) < 0)
		return -1;
	return add_file_blob(d, file, &manifest->config.digest, err);
}

/* The manifest's text goes to the documents; *ret describes it. */
static int add_manifest(struct docker *d, const struct oci_manifest *manifest, struct oci_descriptor *ret,
	struct oci_error *err)
{
	struct oci_buf *documents = &d->ret->documents;
	struct oci_archive_blob blob = {.in_memory = true, .offset = documents->len};

	if (oci_manifest_format(manifest, documents, err) < 0)
		return -1;
	blob.size_bytes = documents->len - blob.offset;
	if (blob.size_bytes > OCI_MANIFEST_MAX)
		return oci_fail(err, OCI_E_FORMAT, "has too many layers");
	if (oci_descriptor_of(OCI_MT_MANIFEST, documents->data + blob.offset, blob.size_bytes, ret, err) < 0)
		return -1;
	blob.digest = ret->digest;
	return oci_archive_index_add(d->ret, &blob, err);
}

/* One entry of the index; without a RepoTag the image is there by its digest. */
static int add_name(struct docker *d, const struct oci_descriptor *image, const char *repo_tag,
	struct oci_error *err)
{
	struct oci_descriptor *entry = oci_manifest_add_manifest(&d->index, err);
	oci_autofree char *full = NULL;

	if (!entry || oci_descriptor_copy(entry, image, err) < 0)
		return -1;
	if (!repo_tag)
		return 0;
	full = oci_reference_docker_name(repo_tag);
	if (!full)
		return oci_fail_nomem(err);
	if (oci_annotations_set(&entry->annotations, OCI_INDEX_REF_NAME, repo_tag, err) < 0)
		return -1;
	return oci_annotations_set(&entry->annotations, OCI_INDEX_FULL_NAME, full, err);
}

static int add_names(struct docker *d, const struct oci_descriptor *image, const struct oci_json *repo_tags,
	struct oci_error *err)
{
	size_t count = oci_json_count(repo_tags);

	for (size_t i = 0; i < count; i++) {
		const char *repo_tag = oci_json_value_text(oci_json_at(repo_tags, i));

		if (!repo_tag)
			return oci_fail(err, OCI_E_FORMAT, "has a name that is no text");
		if (add_name(d, image, repo_tag, err) < 0)
			return -1;
	}
	return count > 0 ? 0 : add_name(d, image, NULL, err);
}

static int add_image(struct docker *d, const struct oci_json *image, struct oci_error *err)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor described = {0};
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest manifest = {0};
	OCI_CLEANUP(oci_config_clear) struct oci_config config = {0};
	const struct oci_json *layers = NULL, *repo_tags = NULL;
	const char *path = oci_json_text(image, "Config");

	if (!path)
		return oci_fail(err, OCI_E_FORMAT, "names no config");
	if (oci_field_array(image, "Layers", &layers, err) < 0 ||
		oci_field_array(image, "RepoTags", &repo_tags, err) < 0)
		return -1;
	if (add_config(d, &manifest, path, &config, err) < 0)
		return oci_wrap(err, "config");
	if (add_layers(d, &manifest, layers, &config, err) < 0 ||
		add_manifest(d, &manifest, &described, err) < 0)
		return -1;
	return add_names(d, &described, repo_tags, err);
}

static int add_images(struct docker *d, const struct oci_json *images, struct oci_error *err)
{
	size_t count = oci_json_count(images);

	if (!oci_json_is_array(images))
		return oci_fail(err, OCI_E_FORMAT, "is no list of images");
	if (count > OCI_ARCHIVE_IMAGES_MAX)
		return oci_fail(err, OCI_E_FORMAT, "names %zu images, %d are allowed", count,
			OCI_ARCHIVE_IMAGES_MAX);
	for (size_t i = 0; i < count; i++)
		if (add_image(d, oci_json_at(images, i), err) < 0)
			return oci_wrap(err, "image %zu", i + 1);
	return 0;
}

static int read_images(struct docker *d, struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *images = NULL;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	struct oci_archive_file *file = oci_archive_members_find(&d->members, MANIFEST_FILE, err);

	oci_buf_init(&text, OCI_MANIFEST_MAX);
	if (!file || oci_archive_members_load(&d->members, file, &text, err) < 0)
		return -1;
	images = oci_json_parse(oci_buf_text(&text), text.len, &OCI_JSON_MANIFEST, err);
	if (!images || add_images(d, images, err) < 0 ||
		oci_manifest_format(&d->index, &d->ret->text, err) < 0)
		return oci_wrap(err, "'%s'", MANIFEST_FILE);
	return 0;
}

int oci_archive_docker_read(struct oci_archive_input *input, struct oci_archive_index *ret, struct oci_error *err)
{
	struct docker d = {.ret = ret, .index = {.is_index = true}};
	int status = oci_archive_members_read(input, &d.members, err);

	if (status == 0 && !oci_archive_members_has(&d.members, MANIFEST_FILE))
		status = oci_fail(err, OCI_E_FORMAT, "has neither 'oci-layout' nor '%s': not an archive of images",
			MANIFEST_FILE);
	if (status == 0)
		status = read_images(&d, err);
	oci_archive_members_clear(&d.members);
	oci_manifest_clear(&d.index);
	return status;
}
