#include "engine/reuse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

/* trees */

void oci_reuse_add(struct oci_reuse *reuse, int dir, const struct oci_record *record)
{
	if (reuse->count < OCI_REUSE_TREES_MAX)
		reuse->trees[reuse->count++] = (struct oci_reuse_tree){.dir = dir, .record = record};
}

static void add_owned(struct oci_reuse *reuse, int dir)
{
	struct oci_reuse_tree *tree;

	if (reuse->count == OCI_REUSE_TREES_MAX) {
		close(dir);
		return;
	}
	tree = &reuse->trees[reuse->count++];
	*tree = (struct oci_reuse_tree){.dir = dir, .owned = true};
	if (oci_record_read(dir, OCI_RECORD_NAME, &tree->own, NULL) == 0)
		tree->record = &tree->own;
}

int oci_reuse_add_path(struct oci_reuse *reuse, const char *path, struct oci_error *err)
{
	int dir = oci_fs_open_dir(path, err);

	if (dir < 0)
		return -1;
	add_owned(reuse, dir);
	return 0;
}

struct siblings {
	struct oci_reuse *reuse;
	int parent;
	const char *but;
};

static int take_sibling(void *ctx, const char *name, const struct stat *st, struct oci_error *err)
{
	const struct siblings *s = ctx;
	oci_autoclose int dir = -1;
	struct stat record;

	if (!S_ISDIR(st->st_mode) || oci_str_starts(name, ".modelcar") || strcmp(name, s->but) == 0)
		return 1;
	dir = oci_fs_open_dir_beneath(s->parent, name, NULL);
	if (dir >= 0 && fstatat(dir, OCI_RECORD_NAME, &record, AT_SYMLINK_NOFOLLOW) == 0)
		add_owned(s->reuse, oci_steal_fd(&dir));
	return 1;
}

void oci_reuse_add_siblings(struct oci_reuse *reuse, int parent, const char *but)
{
	struct siblings s = {reuse, parent, but};

	(void)oci_fs_walk(parent, take_sibling, &s, NULL);
}

void oci_reuse_clear(struct oci_reuse *reuse)
{
	for (size_t i = 0; i < reuse->count; i++) {
		if (!reuse->trees[i].owned)
			continue;
		oci_cleanup_close(&reuse->trees[i].dir);
		oci_record_clear(&reuse->trees[i].own);
	}
	*reuse = (struct oci_reuse){0};
}

/* one file */

/* Is the recorded file the planned one, by the layer's digest or its own? */
static bool is_same(const struct oci_record *record, const struct oci_listing_file *have, const struct oci_block_plan *plan,
	const struct oci_plan_file *want)
{
	const struct oci_block_index_layer *layer = plan->layers[want->layer].indexed;

	if (have->link || have->size_bytes != want->file->size_bytes)
		return false;
	if (oci_digest_equal(&have->digest, &want->file->digest))
		return true;
	return have->layer != OCI_LISTING_NO_LAYER && strcmp(have->path, want->file->path) == 0 &&
		oci_digest_equal(&record->listing.layers[have->layer].digest, &layer->digest);
}

static const struct oci_listing_file *find_same(const struct oci_record *record, const struct oci_block_plan *plan,
	const struct oci_plan_file *want)
{
	const struct oci_listing *l = &record->listing;
	const struct oci_listing_file *have = oci_listing_find(l, want->file->path);

	if (have && is_same(record, have, plan, want))
		return have;
	for (size_t i = 0; want->file->digest.alg && i < l->count; i++)
		if (is_same(record, &l->files[i], plan, want))
			return &l->files[i];
	return NULL;
}

/* False when the file system, or who owns what, does not allow it. */
static int try_link(int from, const char *path, const struct oci_stage *stage, const char *part, bool *ret,
	struct oci_error *err)
{
	const char *from_base, *to_base, *slash = strrchr(part, '/');
	oci_autoclose int from_dir = oci_fs_parent_beneath(from, path, &from_base, NULL);
	oci_autofree char *parents = slash ? strndup(part, (size_t)(slash - part)) : NULL;
	oci_autoclose int to_dir = -1;

	*ret = false;
	if (from_dir < 0)
		return 0;
	if (slash && (!parents || oci_fs_mkdirs_beneath(stage->tree, parents, 0775, err) < 0))
		return parents ? oci_fail_side(err, OCI_SIDE_DEST) : oci_fail_nomem(err);
	to_dir = oci_fs_parent_beneath(stage->tree, part, &to_base, err);
	if (to_dir < 0)
		return -1;
	if (linkat(from_dir, from_base, to_dir, to_base, 0) == 0) {
		*ret = true;
		return 0;
	}
	if (errno != EEXIST || unlinkat(to_dir, to_base, 0) < 0)
		return 0;
	*ret = linkat(from_dir, from_base, to_dir, to_base, 0) == 0;
	return 0;
}

/* Readers of both trees share it. */
static bool has_mode(int dir, const char *path, mode_t mode)
{
	oci_autoclose int fd = oci_fs_open_beneath(dir, path, O_PATH, 0, NULL);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == mode;
}

struct applying {
	int place;
	struct oci_block_plan *plan;
	const struct oci_stage *stage;
	bool link;
	mode_t mode;
	uint64_t *linked_bytes;
};

static void note_candidate(struct oci_plan_file *file, int dir, const char *path)
{
	if (file->tree >= 0)
		return;
	file->tree = dir;
	file->tree_path = path;
}

static int use_same(const struct applying *a, size_t number, int dir, const struct oci_listing_file *have,
	struct oci_error *err)
{
	struct oci_plan_file *file = &a->plan->files[number];
	char room[OCI_STAGE_NAME_MAX];
	bool linked = false;

	if (!oci_record_holds(dir, have))
		return 0;
	if (dir == a->place && strcmp(have->path, file->file->path) == 0) {
		file->state = OCI_PLAN_KEPT;
		return 0;
	}
	if (!a->link || !has_mode(dir, have->path, a->mode))
		return 0;
	linked = !a->stage;
	if (a->stage && try_link(dir, have->path, a->stage, oci_stage_part_name(a->stage, number, file->file->path, room), &linked,
			err) < 0)
		return -1;
	if (linked) {
		file->state = OCI_PLAN_LINKED;
		*a->linked_bytes += file->file->size_bytes;
	}
	return 0;
}

static int apply_tree(const struct applying *a, size_t number, const struct oci_reuse_tree *tree, struct oci_error *err)
{
	struct oci_plan_file *file = &a->plan->files[number];
	const struct oci_listing_file *same = tree->record ? find_same(tree->record, a->plan, file) : NULL;
	oci_autoclose int fd = -1;

	if (same && use_same(a, number, tree->dir, same, err) < 0)
		return -1;
	if (file->state != OCI_PLAN_WANTED || file->tree >= 0)
		return 0;
	if (same) {
		note_candidate(file, tree->dir, same->path);
		return 0;
	}
	fd = oci_fs_open_beneath(tree->dir, file->file->path, O_PATH, 0, NULL);
	if (fd >= 0)
		note_candidate(file, tree->dir, file->file->path);
	return 0;
}

int oci_reuse_apply(const struct oci_reuse *reuse, int place, struct oci_block_plan *plan, const struct oci_stage *stage,
	bool link, mode_t mode, uint64_t *linked_bytes, struct oci_error *err)
{
	struct applying a = {place, plan, stage, link, mode, linked_bytes};

	for (size_t number = 0; number < plan->file_count; number++)
		for (size_t t = 0; t < reuse->count && plan->files[number].state == OCI_PLAN_WANTED; t++)
			if (apply_tree(&a, number, &reuse->trees[t], err) < 0)
				return -1;
	return 0;
}
