/* reuse.h - what lies on this volume already need not come from afar
 *
 *     oci_reuse_add(&reuse, dir, &record, err);           the old tree, siblings, --reuse-from
 *     oci_reuse_apply(&reuse, place_dir, &plan, &stage, link, &linked, err);
 *
 * A file of the plan that an old tree holds whole, by its record and with the
 * recorded size and time, becomes a hard link (OCI_PLAN_LINKED), or stays where it
 * is when it lies at its place (OCI_PLAN_KEPT). Where a link cannot be made
 * (other mounts, owners, too many links), and for files that have changed, the plan
 * learns where blocks may be found (engine/land.h).
 */
#pragma once

#include "engine/block_plan.h"
#include "engine/record.h"
#include "engine/stage.h"

#define OCI_REUSE_TREES_MAX 40

struct oci_reuse_tree {
	int dir;
	bool owned;                      /* the descriptor, and the record */
	const struct oci_record *record; /* NULL: none, only names are known */
	struct oci_record own;
};

struct oci_reuse {
	struct oci_reuse_tree trees[OCI_REUSE_TREES_MAX];
	size_t count;
};

/* Both borrowed. More trees than there is room for are left out. */
void oci_reuse_add(struct oci_reuse *reuse, int dir, const struct oci_record *record);
/* A directory by its path, with a record or without. */
int oci_reuse_add_path(struct oci_reuse *reuse, const char *path, struct oci_error *err);
/* All trees with a record in `parent`, but for `but`. Best effort. */
void oci_reuse_add_siblings(struct oci_reuse *reuse, int parent, const char *but);
void oci_reuse_clear(struct oci_reuse *reuse);

/* Without a stage nothing is made: a file that could be linked counts as linked.
 * `mode`: what a file must have to be shared. `place`: where kept files lie, -1 when nothing is kept. */
int oci_reuse_apply(const struct oci_reuse *reuse, int place, struct oci_block_plan *plan, const struct oci_stage *stage,
	bool link, mode_t mode, uint64_t *linked_bytes, struct oci_error *err);
