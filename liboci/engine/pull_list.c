/* What a pull would land, without landing it. */
#include "engine/pull_job.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/workers.h"
#include "engine/cover.h"

static int list_shaped(struct pull_job *p, size_t i, struct oci_error *err)
{
	const struct oci_block_index *index = &p->image->index;
	const struct oci_block_index_layer *layer = &index->layers[p->image->layers[i].indexed];

	for (size_t f = 0; f < layer->file_count; f++) {
		const struct oci_block_index_file *from = &index->files[layer->first_file + f];
		struct oci_listing_file *file = oci_listing_add(&p->unpacked[i].files, from->path, err);

		if (!file)
			return -1;
		file->size_bytes = from->size_bytes;
		file->digest = from->digest;
	}
	return 0;
}

static int list_raw(struct pull_job *p, size_t i, struct oci_error *err)
{
	const struct oci_descriptor *d = &p->image->manifest.layers[i];
	struct oci_listing_file *file = oci_listing_add(&p->unpacked[i].files, p->image->layers[i].path, err);

	if (!file)
		return -1;
	file->size_bytes = d->size_bytes;
	file->digest = d->digest;
	return 0;
}

static bool lacks_digests(const struct pull_job *p, size_t i)
{
	const struct oci_block_index_layer *layer = &p->image->index.layers[p->image->layers[i].indexed];

	for (size_t f = 0; f < layer->file_count; f++)
		if (!p->image->index.files[layer->first_file + f].digest.alg)
			return true;
	return false;
}

static int list_layer(struct oci_worker *worker, size_t i, struct oci_error *err)
{
	struct pull_job *p = worker->ctx;
	const struct oci_image_layer *layer = &p->image->layers[i];
	struct oci_unpack_options options = pull_options(p, i, worker->failed);

	if (layer->use == OCI_USE_NONE)
		return 0;
	if (layer->use == OCI_USE_SHAPED && strcmp(p->root, OCI_MODEL_ROOT) == 0 &&
		!(p->all_digests && lacks_digests(p, i)))
		return list_shaped(p, i, err);
	if (layer->use == OCI_USE_RAW)
		return list_raw(p, i, err);
	options.digests = true;
	if (pull_unpack(p, i, &options, err) < 0)
		return -1;
	oci_listing_sort(&p->unpacked[i].files);
	return 0;
}

/* The layers one over the other. */
struct stack {
	const struct pull_job *job;
	struct oci_cover *covers; /* a layer each */
};

static bool is_visible(const struct stack *stack, size_t layer, const char *path)
{
	for (size_t above = layer + 1; above < stack->job->image->manifest.layer_count; above++)
		if (oci_cover_hides(&stack->covers[above], path))
			return false;
	return true;
}

static int take_links(const struct stack *stack, size_t i, struct oci_listing *ret, struct oci_error *err)
{
	const struct oci_unpacked *layer = &stack->job->unpacked[i];

	for (size_t l = 0; l < layer->link_count; l++) {
		const struct oci_unpack_link *link = &layer->links[l];
		struct oci_listing_file *file;

		if (!is_visible(stack, i, link->path))
			continue;
		file = oci_listing_add(ret, link->path, err);
		if (!file || oci_str_set(&file->link, link->target, err) < 0)
			return -1;
	}
	return 0;
}

static int take_files(const struct stack *stack, size_t i, struct oci_listing *ret, struct oci_error *err)
{
	const struct pull_job *p = stack->job;
	const struct oci_listing *files = &p->unpacked[i].files;
	const struct oci_descriptor *d = &p->image->manifest.layers[i];
	size_t number = OCI_LISTING_NO_LAYER;

	if (!p->digests[i] && p->image->layers[i].use == OCI_USE_SHAPED) {
		number = ret->layer_count;
		if (oci_listing_add_layer(ret, &d->digest, d->size_bytes, err) < 0)
			return -1;
	}
	for (size_t f = 0; f < files->count; f++) {
		struct oci_listing_file *file;

		if (!is_visible(stack, i, files->files[f].path))
			continue;
		file = oci_listing_add(ret, files->files[f].path, err);
		if (!file)
			return -1;
		file->size_bytes = files->files[f].size_bytes;
		file->digest = files->files[f].digest;
		file->mode = files->files[f].mode;
		file->layer = number;
	}
	return take_links(stack, i, ret, err);
}

static void clear_stack(struct stack *stack)
{
	for (size_t i = 0; stack->covers && i < stack->job->image->manifest.layer_count; i++)
		oci_cover_clear(&stack->covers[i]);
	free(stack->covers);
}

static int take_all(const struct pull_job *p, struct oci_listing *ret, struct oci_error *err)
{
	size_t count = p->image->manifest.layer_count;
	OCI_CLEANUP(clear_stack) struct stack stack = {.job = p, .covers = calloc(count + 1, sizeof *stack.covers)};

	if (!stack.covers)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < count; i++)
		if (oci_cover_init(&stack.covers[i], &p->unpacked[i], err) < 0)
			return -1;
	for (size_t i = 0; i < count; i++)
		if (take_files(&stack, i, ret, err) < 0)
			return -1;
	oci_listing_sort(ret);
	return 0;
}

int oci_pull_list(struct oci_store *store, const struct oci_image *image, const char *root, bool digests,
	unsigned jobs, const atomic_int *cancel, struct oci_listing *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_listing_clear) struct oci_listing listing = {0};
	OCI_CLEANUP(pull_clear) struct pull_job p = {.store = store,
		.image = image,
		.root = root ? root : OCI_MODEL_ROOT,
		.all_digests = digests,
		.cancel = cancel};

	if (pull_decide(&p, err) < 0 ||
		oci_workers_run(pull_jobs(jobs), image->manifest.layer_count, list_layer, &p, cancel, err) < 0 ||
		take_all(&p, &listing, err) < 0)
		return -1;
	*ret = listing;
	listing = (struct oci_listing){0};
	return 0;
}
