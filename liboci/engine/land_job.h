/* land_job.h - blocks on their way (private to land*.c) */
#pragma once

#include "base/flow.h"
#include "base/workers.h"
#include "core/digest_pool.h"
#include "engine/land.h"

#define LAND_PIECE_MOST OCI_MIB
#define LAND_PIECE_LEAST (128 * OCI_KIB)
#define LAND_PIECES (12 * OCI_MIB) /* of all workers */

/* So many workers there are, though not all may have a transfer at first. */
static inline unsigned land_workers(const struct oci_land *land)
{
	return land->jobs_most > land->jobs ? land->jobs_most : land->jobs;
}

/* Of each of them: a power of two. */
static inline size_t land_piece_bytes(const struct oci_land *land)
{
	size_t bytes = LAND_PIECE_MOST;

	while (bytes > LAND_PIECE_LEAST && bytes * land_workers(land) > LAND_PIECES)
		bytes /= 2;
	return bytes;
}

/* What one worker has at hand. */
struct land_hands {
	const struct oci_land *land;
	struct oci_digest_pool *pool; /* where workers hash together; NULL: alone */
	struct oci_flow *flow;        /* hears of what is fetched; NULL: nobody does */
	unsigned char *piece; /* borrowed */
	size_t piece_bytes;
	size_t file;          /* of the plan, whose part is open */
	int fd, direct_fd;    /* -1: none */
};

/* The pieces of `count` workers, aligned for direct writes. */
unsigned char *land_pieces_new(const struct oci_land *land, unsigned count, struct oci_error *err);
void land_hands_init(struct land_hands *hands, const struct oci_land *land, struct oci_digest_pool *pool,
	unsigned char *piece);
void land_hands_clear(struct land_hands *hands);

/* A block of a layer, being compressed piece by piece. */
struct land_check {
	const struct oci_block_index *index;
	const struct oci_plan_layer *layer;
	uint64_t k;
	size_t done, length;
	unsigned char chain[OCI_CHAIN_BYTES];
	bool ok;
};

void land_check_init(struct land_check *check, const struct oci_block_plan *plan, const struct oci_plan_layer *layer,
	uint64_t k);
/* Pieces in order, each but the last a multiple of 64 bytes; check->ok after the last. */
void land_check_update(struct land_check *check, struct oci_digest_pool *pool, const void *data, size_t len);

/* Write what lies at `offset` of the layer into the parts of wanted files. */
int land_put(struct land_hands *hands, const struct oci_plan_layer *layer, uint64_t offset, const void *data, size_t len,
	struct oci_error *err);

enum land_from {
	LAND_FROM_PART, /* the part itself: nothing is written */
	LAND_FROM_TREE, /* the plan's candidates */
	LAND_FROM_DIR,  /* files at their own paths below `dir`: nothing is written */
};

/* The layer, as local files have it. */
struct land_local {
	const struct oci_land *land;
	const struct oci_plan_layer *layer;
	enum land_from from;
	int dir;
	struct oci_layer_file *files;
	struct oci_layer_shape shape;
	bool empty; /* there is nothing to take */
};

int land_local_init(struct land_local *local, const struct oci_land *land, const struct oci_plan_layer *layer,
	enum land_from from, int dir, struct oci_error *err);
void land_local_clear(struct land_local *local);
/* Take block `k`; *took false when these files do not have it. */
int land_local_take(struct land_local *local, struct land_hands *hands, uint64_t k, bool *took, struct oci_error *err);
