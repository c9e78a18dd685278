#include "engine/modelpack.h"

#include <string.h>

#include "base/cleanup.h"
#include "core/json.h"
#include "core/mediatype.h"

static bool takes_part(const struct oci_compose_layer *layer)
{
	return !layer->base && !layer->index;
}

static void put_descriptor(struct oci_json_writer *w, const struct oci_compose_options *options)
{
	const struct oci_model_info *info = options->info;

	oci_json_object(w, "descriptor");
	oci_json_put_text(w, "createdAt", options->created);
	oci_json_put_text(w, "family", info->family);
	oci_json_put_text(w, "name", info->name);
	oci_json_put_text(w, "sourceURL", info->source_url);
	if (info->license) {
		oci_json_array(w, "licenses");
		oci_json_put_text(w, NULL, info->license);
		oci_json_close(w);
	}
	oci_json_close(w);
}

static void put_config(struct oci_json_writer *w, const struct oci_model_info *info)
{
	char params[16];

	oci_json_object(w, "config");
	oci_json_put_text(w, "architecture", info->architecture);
	oci_json_put_text(w, "format", info->format);
	if (info->parameters)
		oci_json_put_text(w, "paramSize", oci_model_param_text(info->parameters, params));
	oci_json_put_text(w, "precision", info->precision);
	oci_json_put_text(w, "quantization", info->quantization);
	oci_json_close(w);
}

static void put_modelfs(struct oci_json_writer *w, const struct oci_compose_layer *layers, size_t count)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_json_object(w, "modelfs");
	oci_json_put_text(w, "type", "layers");
	oci_json_array(w, "diffIds");
	for (size_t i = 0; i < count; i++)
		if (takes_part(&layers[i]))
			oci_json_put_text(w, NULL, oci_digest_format(&layers[i].diff_id, digest));
	oci_json_close(w);
	oci_json_close(w);
}

int oci_modelpack_config(const struct oci_compose_layer *layers, size_t count,
	const struct oci_compose_options *options, struct oci_buf *out, struct oci_error *err)
{
	struct oci_json_writer w;

	oci_json_begin(&w, out);
	oci_json_object(&w, NULL);
	put_descriptor(&w, options);
	put_config(&w, options->info);
	put_modelfs(&w, layers, count);
	oci_json_close(&w);
	return oci_json_end(&w, err);
}

/* application/vnd.cncf.model.<kind>.v1.<raw|tar> */
static int layer_type(const struct oci_compose_layer *layer, char **ret, struct oci_error *err)
{
	static const char *const kinds[] = {
		[OCI_KIND_WEIGHTS] = "weight",
		[OCI_KIND_CONFIG] = "weight.config",
		[OCI_KIND_DOC] = "doc",
		[OCI_KIND_CODE] = "code",
		[OCI_KIND_OTHER] = "weight.config",
	};
	bool raw = strcmp(layer->descriptor.media_type, OCI_MT_LAYER_TAR) != 0;
	oci_autofree char *type = oci_str_printf("application/vnd.cncf.model.%s.v1.%s", kinds[layer->kind],
		raw ? "raw" : "tar");

	if (!type)
		return oci_fail_nomem(err);
	return oci_str_set(ret, type, err);
}

static int file_metadata(const struct oci_compose_layer *layer, struct oci_buf *out, struct oci_error *err)
{
	struct oci_json_writer w;

	oci_json_begin(&w, out);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "name", layer->path);
	oci_json_put_u64(&w, "mode", 0664);
	oci_json_put_u64(&w, "uid", 0);
	oci_json_put_u64(&w, "gid", 0);
	oci_json_put_u64(&w, "size", layer->file_size_bytes);
	oci_json_put_text(&w, "mtime", "1970-01-01T00:00:00Z");
	oci_json_put_u64(&w, "typeflag", '0');
	oci_json_close(&w);
	return oci_json_end(&w, err);
}

static int annotate_metadata(const struct oci_compose_layer *layer, struct oci_annotations *a, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf metadata;

	oci_buf_init(&metadata, 64 * OCI_KIB);
	if (file_metadata(layer, &metadata, err) < 0)
		return -1;
	return oci_annotations_set(a, "org.cncf.model.file.metadata+json", oci_buf_text(&metadata), err);
}

static int annotate(const struct oci_compose_layer *layer, unsigned level, struct oci_annotations *a,
	struct oci_error *err)
{
	const char *title = oci_annotations_get(&layer->descriptor.annotations, "org.opencontainers.image.title");

	if (!layer->path)
		return oci_annotations_set(a, "org.cncf.model.filepath", title ? title : "files", err);
	if (oci_annotations_set(a, "org.cncf.model.file.mediatype.untested", "true", err) < 0 ||
		oci_annotations_set(a, "org.cncf.model.filepath", layer->path, err) < 0 ||
		(level < 1 && annotate_metadata(layer, a, err) < 0))
		return -1;
	/* A raw layer is a file to ORAS as well, under the same name. */
	return level < 2 ? oci_annotations_set(a, "org.opencontainers.image.title", layer->path, err) : 0;
}

static int add_layer(const struct oci_compose_layer *layer, unsigned level, struct oci_manifest *m,
	struct oci_error *err)
{
	struct oci_descriptor *d = oci_manifest_add_layer(m, err);

	if (!d)
		return -1;
	d->digest = layer->descriptor.digest;
	d->size_bytes = layer->descriptor.size_bytes;
	if (layer_type(layer, &d->media_type, err) < 0 || annotate(layer, level, &d->annotations, err) < 0)
		return -1;
	oci_annotations_sort(&d->annotations);
	return 0;
}

int oci_modelpack_manifest(const struct oci_compose_layer *layers, size_t count,
	const struct oci_compose_options *options, const struct oci_descriptor *config, unsigned level,
	struct oci_buf *out, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};

	if (oci_str_set(&m.media_type, OCI_MT_MANIFEST, err) < 0 ||
		oci_str_set(&m.artifact_type, OCI_MT_MODELPACK_MANIFEST, err) < 0 ||
		oci_descriptor_copy(&m.config, config, err) < 0 ||
		oci_annotations_copy(&m.annotations, options->annotations, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (takes_part(&layers[i]) && add_layer(&layers[i], level, &m, err) < 0)
			return -1;
	return oci_manifest_format(&m, out, err);
}
