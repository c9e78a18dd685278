#include "engine/block_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

bool oci_block_plan_fits(const struct oci_image *image)
{
	bool any = false;

	for (size_t i = 0; i < image->manifest.layer_count; i++) {
		if (image->layers[i].use == OCI_USE_NONE)
			continue;
		if (image->layers[i].use != OCI_USE_SHAPED)
			return false;
		any = true;
	}
	return any;
}

/* One place where a path stands. */
struct place {
	const struct oci_block_index_file *file;
	size_t layer; /* of the manifest */
	size_t number;
};

static int by_path_then_layer(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = strcmp(x->file->path, y->file->path);

	if (order != 0)
		return order;
	return x->layer < y->layer ? 1 : -1; /* the uppermost first */
}

static int check_head(const struct oci_block_index *index, const struct oci_block_index_layer *layer,
	struct oci_error *err)
{
	oci_autofree struct oci_layer_file *files = NULL;
	OCI_CLEANUP(oci_layer_walk_clear) struct oci_layer_walk walk = {0};
	struct oci_layer_shape shape;
	struct oci_layer_segment head;
	char digest[OCI_DIGEST_TEXT_MAX];

	if (oci_block_index_shape(index, (size_t)(layer - index->layers), &shape, &files, err) < 0)
		return -1;
	oci_layer_walk_init(&walk, &shape);
	if (oci_layer_walk_next(&walk, &head, err) < 0)
		return -1;
	if (!head.bytes || !oci_block_index_head_ok(index, layer, head.bytes, head.length))
		return oci_fail(err, OCI_E_FORMAT, "layer %s: its checkpoints do not begin as its files do",
			oci_digest_format(&layer->digest, digest));
	return 0;
}

/* All places of wanted paths, and the number of files each layer has. */
static size_t collect(const struct oci_image *image, const struct oci_filter *filter, struct place *places)
{
	const struct oci_block_index *index = &image->index;
	size_t count = 0;

	for (size_t i = 0; i < image->manifest.layer_count; i++) {
		const struct oci_block_index_layer *layer;

		if (image->layers[i].use != OCI_USE_SHAPED)
			continue;
		layer = &index->layers[image->layers[i].indexed];
		for (size_t f = 0; f < layer->file_count; f++) {
			const struct oci_block_index_file *file = &index->files[layer->first_file + f];

			if (!oci_filter_takes(filter, file->path))
				continue;
			places[count] = (struct place){file, i, count};
			count++;
		}
	}
	return count;
}

static size_t place_count(const struct oci_image *image)
{
	size_t count = 0;

	for (size_t i = 0; i < image->manifest.layer_count; i++)
		if (image->layers[i].use == OCI_USE_SHAPED)
			count += image->index.layers[image->layers[i].indexed].file_count;
	return count;
}

/* Mark those places that no upper layer takes. */
static int choose_visible(const struct place *places, size_t count, bool *visible, struct oci_error *err)
{
	oci_autofree struct place *sorted = calloc(count + 1, sizeof *sorted);

	if (!sorted)
		return oci_fail_nomem(err);
	memcpy(sorted, places, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, by_path_then_layer);
	for (size_t i = 0; i < count; i++)
		visible[sorted[i].number] = i == 0 || strcmp(sorted[i].file->path, sorted[i - 1].file->path) != 0;
	return 0;
}

static struct oci_plan_layer *add_layer(struct oci_block_plan *plan, const struct oci_image *image, size_t i)
{
	struct oci_plan_layer *layer = &plan->layers[plan->layer_count++];

	*layer = (struct oci_plan_layer){
		.blob = &image->manifest.layers[i],
		.indexed = &image->index.layers[image->layers[i].indexed],
		.first = plan->file_count,
	};
	return layer;
}

static void fill(struct oci_block_plan *plan, const struct oci_image *image, const struct place *places,
	const bool *visible, size_t count)
{
	struct oci_plan_layer *layer = NULL;
	size_t of = 0;

	for (size_t i = 0; i < count; i++) {
		if (!visible[i])
			continue;
		if (!layer || of != places[i].layer)
			layer = add_layer(plan, image, places[i].layer);
		of = places[i].layer;
		plan->files[plan->file_count++] = (struct oci_plan_file){
			.file = places[i].file, .layer = plan->layer_count - 1, .tree = -1};
		plan->bytes += places[i].file->size_bytes;
		layer->count++;
	}
	for (size_t l = 0; l < plan->layer_count; l++) {
		layer = &plan->layers[l];
		layer->whole = layer->count == layer->indexed->file_count;
	}
}

int oci_block_plan_make(const struct oci_image *image, const struct oci_filter *filter, struct oci_block_plan *ret,
	struct oci_error *err)
{
	size_t most = place_count(image), count;
	OCI_CLEANUP(oci_block_plan_clear) struct oci_block_plan plan = {.index = &image->index};
	oci_autofree struct place *places = calloc(most + 1, sizeof *places);
	oci_autofree bool *visible = calloc(most + 1, sizeof *visible);

	plan.layers = calloc(image->manifest.layer_count + 1, sizeof *plan.layers);
	plan.files = calloc(most + 1, sizeof *plan.files);
	if (!places || !visible || !plan.layers || !plan.files)
		return oci_fail_nomem(err);
	count = collect(image, filter, places);
	if (choose_visible(places, count, visible, err) < 0)
		return -1;
	fill(&plan, image, places, visible, count);
	for (size_t l = 0; l < plan.layer_count; l++)
		if (check_head(&image->index, plan.layers[l].indexed, err) < 0)
			return -1;
	*ret = plan;
	plan = (struct oci_block_plan){0};
	return 0;
}

void oci_block_plan_clear(struct oci_block_plan *plan)
{
	free(plan->layers);
	free(plan->files);
	*plan = (struct oci_block_plan){0};
}

uint64_t oci_plan_block_count(const struct oci_plan_layer *layer)
{
	return oci_block_index_blocks(layer->indexed->size_bytes, layer->indexed->start);
}

uint64_t oci_plan_block_offset(const struct oci_plan_layer *layer, uint64_t k)
{
	return layer->indexed->start + k * OCI_BLOCK_BYTES;
}

size_t oci_plan_block_length(const struct oci_plan_layer *layer, uint64_t k)
{
	uint64_t left = layer->indexed->size_bytes - oci_plan_block_offset(layer, k);

	return left < OCI_BLOCK_BYTES ? (size_t)left : OCI_BLOCK_BYTES;
}

bool oci_plan_block_wanted(const struct oci_block_plan *plan, const struct oci_plan_layer *layer, uint64_t k)
{
	uint64_t begin = oci_plan_block_offset(layer, k), end = begin + oci_plan_block_length(layer, k);
	size_t low = 0, high = layer->count;

	while (low < high) { /* the first file that ends behind `begin` */
		size_t middle = low + (high - low) / 2;
		const struct oci_block_index_file *file = plan->files[layer->first + middle].file;

		if (file->offset + file->size_bytes > begin)
			high = middle;
		else
			low = middle + 1;
	}
	for (size_t i = low; i < layer->count && plan->files[layer->first + i].file->offset < end; i++)
		if (plan->files[layer->first + i].state == OCI_PLAN_WANTED &&
			plan->files[layer->first + i].file->size_bytes > 0)
			return true;
	return false;
}
