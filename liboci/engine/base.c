#include "engine/base.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static int read_config(struct oci_store *store, const struct oci_image *image, struct oci_config *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	if (!image->runnable)
		return oci_fail(err, OCI_E_UNSUPPORTED, "it is an artifact, not an image");
	oci_buf_init(&buf, OCI_CONFIG_MAX);
	if (oci_store_read(store, &image->manifest.config, &buf, err) < 0 ||
		oci_config_parse(oci_buf_text(&buf), buf.len, ret, err) < 0)
		return -1;
	if (ret->diff_id_count != image->manifest.layer_count)
		return oci_fail(err, OCI_E_FORMAT, "its config lists %zu layers, its manifest %zu",
			ret->diff_id_count, image->manifest.layer_count);
	return 0;
}

/* What made layer `i`, if the history is complete. */
static const char *layer_history(const struct oci_config *config, size_t i)
{
	size_t real = 0;
	const char *found = NULL;

	for (size_t h = 0; h < config->history_count; h++) {
		if (config->history[h].empty_layer)
			continue;
		if (real == i)
			found = config->history[h].created_by;
		real++;
	}
	return real == config->diff_id_count && found ? found : "base image";
}

static int take_layers(const struct oci_image *image, struct oci_base_platform *p, struct oci_error *err)
{
	p->layers = calloc(image->manifest.layer_count + 1, sizeof *p->layers);
	if (!p->layers)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < image->manifest.layer_count; i++) {
		const struct oci_descriptor *from = &image->manifest.layers[i];
		struct oci_compose_layer *layer = &p->layers[p->count];

		if (image->has_index && oci_block_index_is(from))
			continue;
		if (oci_descriptor_copy(&layer->descriptor, from, err) < 0 ||
			oci_str_set(&layer->descriptor.media_type, oci_media_oci_layer(from->media_type), err) < 0)
			return -1;
		layer->diff_id = p->config.diff_ids[i];
		layer->history = layer_history(&p->config, i);
		layer->base = true;
		p->count++;
	}
	return 0;
}

static int add_platform(struct oci_store *store, const char *name, const struct oci_platform *platform,
	struct oci_base *base, struct oci_error *err)
{
	OCI_CLEANUP(oci_image_clear) struct oci_image image = {0};
	struct oci_base_platform *p = &base->platforms[base->count];

	if (oci_image_open(store, name, platform, &image, err) < 0)
		return -1;
	base->count++;
	if (read_config(store, &image, &p->config, err) < 0)
		return -1;
	if (!oci_platform_match(platform, &p->config.platform))
		return oci_fail(err, OCI_E_NOT_FOUND, "it is not for %s/%s", platform->os, platform->architecture);
	if (oci_platform_copy(&p->platform, platform, err) < 0 || take_layers(&image, p, err) < 0)
		return -1;
	for (size_t i = 0; i < p->config.env.count; i++)
		if (oci_strings_add(&p->env, p->config.env.items[i], err) < 0)
			return -1;
	if (image.has_index && base->count == 1) {
		base->index = image.index;
		base->has_index = true;
		image.index = (struct oci_block_index){0};
		if (oci_annotations_copy(&base->annotations, &image.manifest.annotations, err) < 0)
			return -1;
	}
	return base->root.digest.alg ? 0 : oci_descriptor_copy(&base->root, &image.root, err);
}

static void clear_platform(struct oci_base_platform *p)
{
	for (size_t i = 0; i < p->count; i++)
		oci_descriptor_clear(&p->layers[i].descriptor);
	free(p->layers);
	oci_platform_clear(&p->platform);
	oci_strings_clear(&p->env);
	oci_config_clear(&p->config);
	*p = (struct oci_base_platform){0};
}

int oci_base_load(struct oci_store *store, const char *name, const struct oci_platform *platforms, size_t count,
	bool optional, struct oci_base *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_base_clear) struct oci_base base = {0};

	base.platforms = calloc(count + 1, sizeof *base.platforms);
	if (!base.platforms)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < count; i++) {
		struct oci_error failure = {0};
		size_t before = base.count;

		if (add_platform(store, name, &platforms[i], &base, &failure) == 0)
			continue;
		if (!optional || failure.code != OCI_E_NOT_FOUND || (i + 1 == count && before == 0)) {
			if (err)
				*err = failure;
			return -1;
		}
		if (base.count > before)
			clear_platform(&base.platforms[--base.count]);
	}
	*ret = base;
	base = (struct oci_base){0};
	return 0;
}

void oci_base_clear(struct oci_base *base)
{
	for (size_t p = 0; p < base->count; p++)
		clear_platform(&base->platforms[p]);
	free(base->platforms);
	oci_block_index_clear(&base->index);
	oci_annotations_clear(&base->annotations);
	oci_descriptor_clear(&base->root);
	*base = (struct oci_base){0};
}
