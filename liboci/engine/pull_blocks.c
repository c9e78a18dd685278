/* An image in our format: plan, reuse, land, seal. */
#include "engine/pull_job.h"
#include "engine/pull_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cgroup.h"
#include "base/cleanup.h"
#include "base/fs.h"

struct blocks {
	struct pull_tree *t;
	struct oci_block_plan plan;
	struct oci_journal journal;
	struct oci_land land;
};

static void clear(struct blocks *b)
{
	oci_block_plan_clear(&b->plan);
	oci_journal_close(&b->journal);
}

static uint64_t total_of(const struct oci_block_plan *plan, enum oci_plan_state state)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < plan->file_count; i++)
		if (plan->files[i].state == state)
			sum += plan->files[i].file->size_bytes;
	return sum;
}

/* reuse */

/* The destination first: what lies there stays there. */
static int find_trees(struct blocks *b, struct oci_error *err)
{
	struct pull_tree *t = b->t;
	const struct oci_strings *more = t->options->reuse_from;

	for (size_t i = 0; !t->options->repair && i < t->place.record_count; i++)
		oci_reuse_add(&t->reuse, t->place.dir, &t->place.records[i]);
	if (t->place.dir >= 0)
		oci_reuse_add(&t->reuse, t->place.dir, NULL);
	for (size_t i = 0; more && i < more->count; i++)
		if (oci_reuse_add_path(&t->reuse, more->items[i], err) < 0)
			return oci_wrap(err, "--reuse-from");
	oci_reuse_add_siblings(&t->reuse, t->place.parent, t->place.name);
	return 0;
}

/* Files that lie at their places, and that no record vouches for. */
static int prove_place(struct blocks *b, struct oci_error *err)
{
	struct pull_tree *t = b->t;

	if (t->place.mode != OCI_PLACE_IN_PLACE || t->place.dir < 0 || t->place.entries == 0)
		return 0;
	oci_event_phase(t->options->observer, "check", total_of(&b->plan, OCI_PLAN_WANTED), b->plan.file_count);
	return oci_land_prove(&b->land, t->place.dir, err);
}

/* A repair trusts no time or size, of siblings as little: one may be the same damaged file by another name. */
static bool may_link(const struct pull_tree *t)
{
	return !t->options->no_link && !t->options->repair;
}

static int reuse(struct blocks *b, struct oci_error *err)
{
	struct pull_tree *t = b->t;
	int place = t->place.mode == OCI_PLACE_IN_PLACE ? t->place.dir : -1;

	if (find_trees(b, err) < 0 ||
		oci_reuse_apply(&t->reuse, place, &b->plan, &t->stage, may_link(t),
			pull_file_mode(t->options), &t->report.bytes_linked, err) < 0)
		return -1;
	return prove_place(b, err);
}

/* landing */

/* Does the model fit the memory that its pages may take? */
static bool goes_direct(const struct pull_tree *t, uint64_t missing)
{
	struct oci_cgroup_memory group;
	uint64_t available;

	if (t->options->cache != OCI_PULL_CACHE_AUTO)
		return t->options->cache == OCI_PULL_DIRECT;
	if (oci_cgroup_memory("", &group) && missing > group.limit_bytes / 2)
		return true;
	return oci_cgroup_available("", &available) && missing > available / 2;
}

static int land(struct blocks *b, struct oci_error *err)
{
	struct pull_tree *t = b->t;
	uint64_t wanted = total_of(&b->plan, OCI_PLAN_WANTED), missing = oci_land_missing(&b->land);
	int rc;

	if (missing > 0 && pull_make_room(t, &b->plan, wanted, err) < 0)
		return -1;
	b->land.direct = goes_direct(t, missing);
	if (b->land.direct) /* writers wait for the device: it does more for many */
		b->land.jobs = b->land.jobs_most;
	t->report.bytes_kept = total_of(&b->plan, OCI_PLAN_KEPT);
	oci_event_phase(t->options->observer, "pull", missing, b->plan.file_count); /* all of them are sealed */
	rc = oci_land_run(&b->land, err);
	t->report.bytes_fetched = atomic_load(&b->land.fetched);
	t->report.bytes_reused = atomic_load(&b->land.reused) + (wanted > missing ? wanted - missing : 0);
	t->keep = t->keep || t->report.bytes_fetched + t->report.bytes_reused > 0;
	return rc;
}

/* the result */

static int list_file(struct pull_tree *t, const struct oci_block_plan *plan, size_t i, const size_t *numbers,
	int64_t mtime_ns, const struct oci_digest *digest, struct oci_error *err)
{
	const struct oci_plan_file *from = &plan->files[i];
	struct oci_listing_file *file = oci_listing_add(&t->listing, from->file->path, err);

	if (!file)
		return -1;
	file->size_bytes = from->file->size_bytes;
	file->mtime_ns = mtime_ns;
	file->mode = pull_file_mode(t->options);
	file->digest = *digest;
	file->layer = numbers[from->layer];
	return 0;
}

/* Layers that are there whole prove their files. */
static int list_layers(struct pull_tree *t, const struct oci_block_plan *plan, size_t *numbers, struct oci_error *err)
{
	for (size_t l = 0; l < plan->layer_count; l++) {
		const struct oci_descriptor *blob = plan->layers[l].blob;

		numbers[l] = OCI_LISTING_NO_LAYER;
		if (!plan->layers[l].whole)
			continue;
		numbers[l] = t->listing.layer_count;
		if (oci_listing_add_layer(&t->listing, &blob->digest, blob->size_bytes, err) < 0)
			return -1;
	}
	return 0;
}

static int name_parts(struct pull_tree *t, const struct oci_block_plan *plan, struct oci_error *err)
{
	char room[OCI_STAGE_NAME_MAX];

	t->parts = calloc(t->listing.count + 1, sizeof *t->parts);
	if (!t->parts)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < plan->file_count; i++)
		if (oci_strings_add(&t->part_names, oci_stage_part_name(&t->stage, i, plan->files[i].file->path, room), err) < 0)
			return -1;
	for (size_t i = 0; i < plan->file_count; i++) {
		const struct oci_listing_file *file = oci_listing_find(&t->listing, plan->files[i].file->path);

		if (plan->files[i].state != OCI_PLAN_KEPT)
			t->parts[file - t->listing.files] = t->part_names.items[i];
	}
	return 0;
}

static int list(struct blocks *b, struct oci_error *err)
{
	struct pull_tree *t = b->t;
	const struct oci_block_plan *plan = &b->plan;
	oci_autofree int64_t *mtimes = calloc(plan->file_count + 1, sizeof *mtimes);
	oci_autofree struct oci_digest *digests = calloc(plan->file_count + 1, sizeof *digests);
	oci_autofree size_t *numbers = calloc(plan->layer_count + 1, sizeof *numbers);

	if (!mtimes || !digests || !numbers)
		return oci_fail_nomem(err);
	if (pull_seal(t, plan, mtimes, digests, err) < 0 || list_layers(t, plan, numbers, err) < 0)
		return -1;
	oci_event_phase(t->options->observer, "publish", 0, 0);
	for (size_t i = 0; i < plan->file_count; i++)
		if (list_file(t, plan, i, numbers, mtimes[i], &digests[i], err) < 0)
			return -1;
	oci_listing_sort(&t->listing);
	return name_parts(t, plan, err);
}

/* The same files of the same image, whatever include and exclude say: nothing is to be done. */
static bool is_there(const struct pull_tree *t, const struct oci_block_plan *plan)
{
	const struct oci_record *record = &t->place.records[0];

	if (t->options->repair || !t->place.has_record || record->part || !oci_digest_equal(&record->root, &t->root.digest) ||
		record->listing.count != plan->file_count)
		return false;
	for (size_t i = 0; i < plan->file_count; i++) {
		const struct oci_listing_file *file = oci_listing_find(&record->listing, plan->files[i].file->path);

		if (!file || !oci_record_holds(t->place.dir, file))
			return false;
	}
	return true;
}

static int make_plan(struct blocks *b, struct oci_error *err)
{
	struct pull_tree *t = b->t;

	if (oci_block_plan_make(&t->image, &t->filter, &b->plan, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	if (b->plan.file_count == 0)
		return oci_fail(err, OCI_E_NOT_FOUND, "no file matches --include and --exclude");
	t->report.unchanged = is_there(t, &b->plan);
	return t->report.unchanged ? 0 : pull_check_version(t, err);
}

static uint64_t wanted_blocks(const struct oci_block_plan *plan)
{
	uint64_t sum = 0;

	for (size_t l = 0; l < plan->layer_count; l++)
		for (uint64_t k = 0; k < oci_plan_block_count(&plan->layers[l]); k++)
			if (oci_plan_block_wanted(plan, &plan->layers[l], k))
				sum += oci_plan_block_length(&plan->layers[l], k);
	return sum;
}

int pull_blocks_preview(struct pull_tree *t, struct oci_error *err)
{
	OCI_CLEANUP(clear) struct blocks b = {.t = t, .journal = {.fd = -1}};
	int place = t->place.mode == OCI_PLACE_IN_PLACE ? t->place.dir : -1;

	if (make_plan(&b, err) < 0)
		return -1;
	if (t->report.unchanged)
		return 0;
	if (find_trees(&b, err) < 0 || oci_reuse_apply(&t->reuse, place, &b.plan, NULL, may_link(t),
					       pull_file_mode(t->options), &t->report.bytes_linked, err) < 0)
		return -1;
	t->report.file_count = b.plan.file_count;
	t->report.bytes_files = b.plan.bytes;
	t->report.bytes_kept = total_of(&b.plan, OCI_PLAN_KEPT);
	t->report.bytes_fetched = wanted_blocks(&b.plan);
	return 0;
}

int pull_blocks(struct pull_tree *t, struct oci_error *err)
{
	OCI_CLEANUP(clear) struct blocks b = {.t = t, .journal = {.fd = -1}};
	char room[OCI_STAGE_NAME_MAX];

	if (make_plan(&b, err) < 0)
		return -1;
	if (t->report.unchanged)
		return 0;
	if (oci_journal_open(t->stage.fd, oci_stage_file_name(&t->stage, "journal", room), &t->image.descriptor.digest,
		    t->image.index.chain_count, &b.journal, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	b.land = (struct oci_land){.store = t->store,
		.plan = &b.plan,
		.stage = &t->stage,
		.journal = &b.journal,
		.lease = t->lease,
		.files = t->dir ? t->store : NULL,
		.jobs = t->jobs,
		.jobs_most = pull_jobs_most(t->options->jobs),
		.observer = t->options->observer,
		.cancel = t->options->cancel};
	if (reuse(&b, err) < 0 || land(&b, err) < 0)
		return -1;
	return list(&b, err);
}
