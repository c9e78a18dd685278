/* No room for two trees: the old one goes before the new one comes. */
#include "engine/pull_tree.h"

#include <string.h>

#include "engine/publish.h"

static bool is_kept(const struct oci_block_plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->file_count; i++)
		if (plan->files[i].state == OCI_PLAN_KEPT && strcmp(plan->files[i].file->path, path) == 0)
			return true;
	return false;
}

static void forget_candidates(const struct pull_tree *t, struct oci_block_plan *plan)
{
	for (size_t i = 0; i < plan->file_count; i++)
		if (plan->files[i].tree == t->place.dir)
			plan->files[i].tree = -1;
}

int pull_clear_old(struct pull_tree *t, struct oci_block_plan *plan, struct oci_error *err)
{
	struct oci_place *place = &t->place;

	if (oci_lease_check(t->lease, err) < 0 || oci_publish_take_record(place, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	for (size_t r = 0; r < place->record_count; r++)
		for (size_t i = 0; i < place->records[r].listing.count; i++) {
			const char *path = place->records[r].listing.files[i].path;

			if (!is_kept(plan, path) && oci_publish_remove(place->dir, path, err) < 0)
				return oci_fail_side(err, OCI_SIDE_DEST);
		}
	forget_candidates(t, plan);
	return 0;
}
