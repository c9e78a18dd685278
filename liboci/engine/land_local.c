/* Blocks that lie on this volume already. */
#include "engine/land_job.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/fs.h"

/* The plan's number of file `file` of the layer; -1 when it is not wanted. */
static ssize_t number_of(const struct land_local *local, size_t file)
{
	const struct oci_block_plan *plan = local->land->plan;
	const struct oci_block_index_file *want = &plan->index->files[local->layer->indexed->first_file + file];
	size_t low = local->layer->first, high = local->layer->first + local->layer->count;

	while (low < high) { /* both lists are in the order of the paths */
		size_t middle = low + (high - low) / 2;

		if (plan->files[middle].file < want)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < local->layer->first + local->layer->count && plan->files[low].file == want)
		return (ssize_t)low;
	return -1;
}

static int open_file(void *ctx, size_t file, struct oci_error *err)
{
	const struct land_local *local = ctx;
	const struct oci_land *land = local->land;
	ssize_t number = number_of(local, file);
	const struct oci_plan_file *planned = number < 0 ? NULL : &land->plan->files[number];
	char room[OCI_STAGE_NAME_MAX];

	if (local->from == LAND_FROM_DIR)
		return oci_fs_open_beneath(local->dir, local->files[file].path, O_RDONLY | O_NONBLOCK, 0, err);
	if (!planned)
		return oci_fail(err, OCI_E_NOT_FOUND, "not wanted");
	if (local->from == LAND_FROM_PART)
		return oci_fs_open_beneath(land->stage->tree,
			oci_stage_part_name(land->stage, (size_t)number, planned->file->path, room), O_RDONLY, 0, err);
	if (planned->tree < 0)
		return oci_fail(err, OCI_E_NOT_FOUND, "no candidate");
	return oci_fs_open_beneath(planned->tree, planned->tree_path, O_RDONLY | O_NONBLOCK, 0, err);
}

static bool has_candidates(const struct oci_land *land, const struct oci_plan_layer *layer)
{
	for (size_t i = 0; i < layer->count; i++)
		if (land->plan->files[layer->first + i].tree >= 0)
			return true;
	return false;
}

int land_local_init(struct land_local *local, const struct oci_land *land, const struct oci_plan_layer *layer,
	enum land_from from, int dir, struct oci_error *err)
{
	*local = (struct land_local){.land = land, .layer = layer, .from = from, .dir = dir};
	local->empty = from == LAND_FROM_TREE && !has_candidates(land, layer);
	return oci_block_index_shape(land->plan->index, (size_t)(layer->indexed - land->plan->index->layers), &local->shape,
		&local->files, err);
}

void land_local_clear(struct land_local *local)
{
	free(local->files);
	*local = (struct land_local){0};
}

/* Through the block once. What cannot be read is not there: no failure. */
static int pass(struct land_local *local, struct land_hands *hands, uint64_t k, bool write, bool *ok, struct oci_error *err)
{
	uint64_t offset = oci_plan_block_offset(local->layer, k);
	struct oci_layer_source source = {.open = open_file, .ctx = local};
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader =
		oci_layer_reader(&local->shape, &source, offset, NULL);
	struct land_check check;

	*ok = false;
	land_check_init(&check, local->land->plan, local->layer, k);
	while (reader && check.done < check.length) {
		size_t want = check.length - check.done < hands->piece_bytes ? check.length - check.done : hands->piece_bytes;
		uint64_t at = offset + check.done;

		if (oci_reader_read_full(reader, hands->piece, want, NULL) != (ssize_t)want)
			return 0;
		land_check_update(&check, hands->pool, hands->piece, want);
		if (write && land_put(hands, local->layer, at, hands->piece, want, err) < 0)
			return -1;
	}
	*ok = check.ok;
	return 0;
}

/* Looked at first, so that nothing is written but what is right: a writer that was
 * stopped may wake up when the part has become a file that others read. */
int land_local_take(struct land_local *local, struct land_hands *hands, uint64_t k, bool *took, struct oci_error *err)
{
	*took = false;
	if (local->empty)
		return 0;
	if (pass(local, hands, k, false, took, err) < 0)
		return -1;
	return *took && local->from == LAND_FROM_TREE ? pass(local, hands, k, true, took, err) : 0;
}
