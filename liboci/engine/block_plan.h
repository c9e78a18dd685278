/* block_plan.h - the wanted files of an image in our format, and the blocks they lie in
 *
 *     struct oci_block_plan plan = {0};
 *     oci_block_plan_make(&image, &filter, &plan, err);
 *     for each plan.layers[l]: its wanted files are plan.files[first .. first + count)
 *     oci_block_plan_clear(&plan);
 *
 * Of a path that stands in several layers the uppermost counts. A layer that an
 * index describes is known to its last byte but for the data of its files: what
 * stands before the first of them is compared with its first checkpoint here, so
 * that the blocks alone prove the layer.
 *
 * The plan borrows the image and the filter.
 */
#pragma once

#include "engine/image.h"
#include "engine/listing.h"

enum oci_plan_state {
	OCI_PLAN_WANTED, /* its blocks have to come from somewhere */
	OCI_PLAN_LINKED, /* its part is a hard link to a proven file */
	OCI_PLAN_KEPT,   /* it lies proven at its place in the destination */
};

struct oci_plan_file {
	const struct oci_block_index_file *file;
	size_t layer; /* in the plan */
	enum oci_plan_state state;
	int tree;     /* where a file lies that may hold some of its blocks; -1: nowhere */
	const char *tree_path; /* below that directory, borrowed */
};

struct oci_plan_layer {
	const struct oci_descriptor *blob;
	const struct oci_block_index_layer *indexed;
	size_t first, count; /* wanted files, by offset in the layer */
	bool whole;          /* they are all of its files: its digest proves them */
};

struct oci_block_plan {
	const struct oci_block_index *index;
	struct oci_plan_layer *layers;
	size_t layer_count;
	struct oci_plan_file *files;
	size_t file_count;
	uint64_t bytes; /* of the files */
};

/* Can all layers of this image that hold files be taken by blocks? */
bool oci_block_plan_fits(const struct oci_image *image);
/* OCI_E_FORMAT when a layer's head is not what its files make of it. */
int oci_block_plan_make(const struct oci_image *image, const struct oci_filter *filter, struct oci_block_plan *ret,
	struct oci_error *err);
void oci_block_plan_clear(struct oci_block_plan *plan);

uint64_t oci_plan_block_count(const struct oci_plan_layer *layer);
/* Where block `k` begins in its layer, and its length. */
uint64_t oci_plan_block_offset(const struct oci_plan_layer *layer, uint64_t k);
size_t oci_plan_block_length(const struct oci_plan_layer *layer, uint64_t k);
/* Does a file that is still wanted have bytes in it? An empty file has none. */
bool oci_plan_block_wanted(const struct oci_block_plan *plan, const struct oci_plan_layer *layer, uint64_t k);
