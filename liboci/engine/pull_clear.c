/* Room for the new tree: where two do not fit, the old one goes before the new one comes. */
#include "engine/pull_tree.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/publish.h"

static bool is_kept(const struct oci_block_plan *plan, const char *path)
{
	for (size_t i = 0; plan && i < plan->file_count; i++)
		if (plan->files[i].state == OCI_PLAN_KEPT && strcmp(plan->files[i].file->path, path) == 0)
			return true;
	return false;
}

static void forget_candidates(const struct pull_tree *t, struct oci_block_plan *plan)
{
	for (size_t i = 0; plan && i < plan->file_count; i++)
		if (plan->files[i].tree == t->place.dir)
			plan->files[i].tree = -1;
}

static int clear_old(struct pull_tree *t, struct oci_block_plan *plan, struct oci_error *err)
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

/* What a file gives back when it goes: nothing, where another tree shares it. */
static uint64_t freed_bytes(int dir, const char *path)
{
	oci_autoclose int fd = oci_fs_open_beneath(dir, path, O_PATH, 0, NULL);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1)
		return 0;
	return (uint64_t)st.st_blocks * 512; /* what st_blocks counts, whatever the file system */
}

static uint64_t old_bytes(const struct pull_tree *t, const struct oci_block_plan *plan)
{
	const struct oci_place *place = &t->place;
	uint64_t sum = 0;

	for (size_t r = 0; r < place->record_count; r++)
		for (size_t i = 0; i < place->records[r].listing.count; i++) {
			const char *path = place->records[r].listing.files[i].path;

			if (!is_kept(plan, path))
				sum += freed_bytes(place->dir, path);
		}
	return sum;
}

static bool fits(const struct pull_tree *t, uint64_t parts, struct oci_error *err)
{
	return oci_stage_check_space(&t->stage, t->options->dest, parts, err) == 0;
}

int pull_make_room(struct pull_tree *t, struct oci_block_plan *plan, uint64_t parts, struct oci_error *err)
{
	struct oci_error why = {0};
	uint64_t old;

	if (fits(t, parts, &why))
		return 0;
	if (t->options->replace_first && t->place.dir >= 0 && t->place.record_count > 0) {
		old = old_bytes(t, plan);
		if (fits(t, parts > old ? parts - old : 0, NULL)) {
			oci_event_note(t->options->observer, "old and new do not fit together: the old tree goes first");
			return clear_old(t, plan, err);
		}
		oci_append(&why, "; it would not fit without the old tree either, which stays");
	} else if (t->place.record_count > 0) {
		oci_append(&why, "; --replace-first removes the old tree before");
	}
	if (err)
		*err = why;
	return -1;
}
