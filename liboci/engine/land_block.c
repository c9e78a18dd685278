/* One block: compressed from checkpoint to checkpoint, and written. */
#include "engine/land_job.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define HUGE_PAGE (2 * OCI_MIB)
#define DIRECT_ALIGN 4096

/* On huge pages a piece is one run of memory for the disk, not 256: a twentieth of the
 * processor time of direct writes. */
unsigned char *land_pieces_new(const struct oci_land *land, unsigned count, struct oci_error *err)
{
	size_t bytes = (count * land_piece_bytes(land) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	unsigned char *pieces = aligned_alloc(HUGE_PAGE, bytes);

	if (!pieces)
		oci_fail_nomem(err);
	else
		(void)madvise(pieces, bytes, MADV_HUGEPAGE);
	return pieces;
}

void land_hands_init(struct land_hands *hands, const struct oci_land *land, struct oci_digest_pool *pool,
	unsigned char *piece)
{
	*hands = (struct land_hands){.land = land, .pool = pool, .piece = piece, .piece_bytes = land_piece_bytes(land),
		.fd = -1, .direct_fd = -1};
	if (pool)
		oci_digest_pool_join(pool);
}

static void close_part(struct land_hands *hands)
{
	oci_cleanup_close(&hands->fd);
	oci_cleanup_close(&hands->direct_fd);
	hands->fd = hands->direct_fd = -1;
}

void land_hands_clear(struct land_hands *hands)
{
	close_part(hands);
	if (hands->pool)
		oci_digest_pool_leave(hands->pool);
	*hands = (struct land_hands){.fd = -1, .direct_fd = -1};
}

void land_check_init(struct land_check *check, const struct oci_block_plan *plan, const struct oci_plan_layer *layer,
	uint64_t k)
{
	*check = (struct land_check){.index = plan->index, .layer = layer, .k = k,
		.length = oci_plan_block_length(layer, k)};
	memcpy(check->chain, plan->index->chains + (layer->indexed->first + k) * OCI_CHAIN_BYTES, OCI_CHAIN_BYTES);
}

static bool is_last(const struct land_check *check)
{
	return check->k + 1 == oci_plan_block_count(check->layer);
}

void land_check_update(struct land_check *check, struct oci_digest_pool *pool, const void *data, size_t len)
{
	const struct oci_block_index_layer *layer = check->layer->indexed;
	struct oci_digest digest;

	check->done += len;
	if (check->done < check->length || !is_last(check)) {
		if (pool)
			oci_digest_pool_chain(pool, check->chain, data, len);
		else
			oci_chain_update(check->chain, data, len);
		check->ok = check->done == check->length &&
			memcmp(check->chain, check->index->chains + (layer->first + check->k + 1) * OCI_CHAIN_BYTES,
				OCI_CHAIN_BYTES) == 0;
		return;
	}
	oci_chain_final(check->chain, data, len, layer->size_bytes, &digest);
	check->ok = oci_digest_equal(&digest, &layer->digest);
}

static int open_part(struct land_hands *hands, size_t file, struct oci_error *err)
{
	const struct oci_land *land = hands->land;
	const char *path = land->plan->files[file].file->path;
	char room[OCI_STAGE_NAME_MAX];
	const char *name = oci_stage_part_name(land->stage, file, path, room);

	if (hands->fd >= 0 && hands->file == file)
		return 0;
	close_part(hands);
	hands->file = file;
	hands->fd = oci_fs_open_beneath(land->stage->tree, name, O_WRONLY, 0, err);
	if (hands->fd < 0)
		return -1;
	if (land->direct) /* a file system that cannot is written through its cache */
		hands->direct_fd = oci_fs_open_beneath(land->stage->tree, name, O_WRONLY | O_DIRECT, 0, NULL);
	return 0;
}

static int write_piece(struct land_hands *hands, const unsigned char *data, size_t len, uint64_t offset,
	struct oci_error *err)
{
	bool aligned = offset % DIRECT_ALIGN == 0 && (uintptr_t)data % DIRECT_ALIGN == 0;
	size_t direct = hands->direct_fd >= 0 && aligned ? len - len % DIRECT_ALIGN : 0;

	if (direct > 0) {
		struct oci_error failure = {0};

		if (oci_fs_pwrite_all(hands->direct_fd, data, direct, offset, &failure) < 0) {
			if (failure.sys != EINVAL) {
				*err = failure;
				return -1;
			}
			direct = 0;
		}
	}
	return direct == len ? 0 : oci_fs_pwrite_all(hands->fd, data + direct, len - direct, offset + direct, err);
}

/* The first file of the layer that ends behind `offset`. */
static size_t first_behind(const struct oci_block_plan *plan, const struct oci_plan_layer *layer, uint64_t offset)
{
	size_t low = layer->first, high = layer->first + layer->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct oci_block_index_file *file = plan->files[middle].file;

		if (file->offset + file->size_bytes > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

int land_put(struct land_hands *hands, const struct oci_plan_layer *layer, uint64_t offset, const void *data, size_t len,
	struct oci_error *err)
{
	const struct oci_block_plan *plan = hands->land->plan;
	uint64_t end = offset + len;

	if (oci_lease_check_time(hands->land->lease, err) < 0)
		return -1;
	for (size_t f = first_behind(plan, layer, offset); f < layer->first + layer->count; f++) {
		const struct oci_block_index_file *file = plan->files[f].file;
		uint64_t from = file->offset > offset ? file->offset : offset;
		uint64_t to = file->offset + file->size_bytes < end ? file->offset + file->size_bytes : end;

		if (file->offset >= end)
			break;
		if (plan->files[f].state != OCI_PLAN_WANTED || from >= to)
			continue;
		if (open_part(hands, f, err) < 0 || write_piece(hands, (const unsigned char *)data + (from - offset),
							    (size_t)(to - from), from - file->offset, err) < 0) {
			oci_wrap(err, "file '%s'", file->path);
			return oci_fail_side(err, OCI_SIDE_DEST);
		}
	}
	return 0;
}
