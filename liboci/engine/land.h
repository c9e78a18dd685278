/* land.h - the blocks of a plan come to their places: from parts, old trees, the store
 *
 *     struct oci_land land = {.store = store, .plan = &plan, .stage = &stage, .journal = &journal, ...};
 *     oci_land_run(&land, err);       then every wanted file's part is whole and proven
 *
 * A block is done once its bytes were compressed from one checkpoint to the next
 * and written to where they belong, and marked in the journal after that. Its
 * bytes come, in this order:
 * - from the part itself, where the journal claims it (after another boot);
 * - from the file that the plan names as a candidate (`tree`, `tree_path`);
 * - where the store is a plain directory on a file system that shares extents, from there
 *   at once: the part is a clone, whose blocks are proven where they lie;
 * - from the store, in closed ranges of up to 64 MiB. A block that is not what
 *   its checkpoints say is fetched once more, elsewhere where there is an elsewhere;
 *   then it is OCI_E_DIGEST.
 *
 * Nothing is written but to parts of the stage. Each worker holds 1 MiB, and
 * less where there are many, 12 MiB in all.
 */
#pragma once

#include <stdatomic.h>

#include "engine/block_plan.h"
#include "engine/journal.h"
#include "engine/lease.h"
#include "engine/stage.h"
#include "store/store.h"

struct oci_land {
	struct oci_store *store;
	const struct oci_store *files; /* a pack store, whose files may share extents with parts; NULL: none */
	struct oci_block_plan *plan;
	const struct oci_stage *stage;
	struct oci_journal *journal;
	struct oci_lease *lease; /* of those who write here; may be NULL */
	unsigned jobs;      /* transfers at a time, at first, */
	unsigned jobs_most; /* and where more bring more; 0: no more */
	bool direct; /* write around the page cache */
	const struct oci_observer *observer;
	const atomic_int *cancel;
	atomic_ullong fetched, reused; /* bytes that came from the store, from this volume */
};

int oci_land_run(struct oci_land *land, struct oci_error *err);

/* Which wanted files lie whole at their own paths below `dir`? They are read and
 * hashed, and those that are become OCI_PLAN_KEPT. */
int oci_land_prove(struct oci_land *land, int dir, struct oci_error *err);

/* The bytes of wanted blocks that are not done yet. */
uint64_t oci_land_missing(const struct oci_land *land);
