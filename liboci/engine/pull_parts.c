/* Staged parts of streams find their places: by name for a publication in place, else in a tree. */
#include "engine/pull_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/unpack.h"

/* names */

/* What was sealed must be what is there: a writer that was taken for dead may have made it anew. */
static int check_part(const struct pull_tree *t, const struct oci_listing_file *file, const char *part,
	struct oci_error *err)
{
	struct stat st;

	if (fstatat(t->stage.fd, part, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "staged file '%s'", file->path);
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size == file->size_bytes &&
		(int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec == file->mtime_ns)
		return 0;
	return oci_fail(err, OCI_E_BUSY, "file '%s': what was staged has changed; is another pull at work?", file->path);
}

/* A name of its own for a hard link's file; `n` is its number in the listing. */
static int link_part(const struct pull_tree *t, const char *part, size_t n, char room[OCI_STAGE_NAME_MAX],
	struct oci_error *err)
{
	char what[32];
	const char *name;

	snprintf(what, sizeof what, "link-%zu", n);
	name = oci_stage_file_name(&t->stage, what, room);
	if (unlinkat(t->stage.fd, name, 0) < 0 && errno != ENOENT)
		return oci_fail_sys(err, errno, OCI_E_IO, "cannot remove '%s'", name);
	if (linkat(t->stage.fd, part, t->stage.fd, name, 0) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "cannot link '%s'", name);
	return 0;
}

/* Filled in place, a file that is there as it shall be stays: in a Triton model each change is an update. */
static bool stays(const struct pull_tree *t, struct oci_listing_file *file)
{
	const struct oci_place *place = &t->place;

	if (place->mode != OCI_PLACE_IN_PLACE || place->dir < 0 || t->options->repair)
		return false;
	for (size_t r = 0; r < place->record_count; r++) {
		const struct oci_listing_file *had = oci_listing_find(&place->records[r].listing, file->path);

		if (!had || had->link || had->size_bytes != file->size_bytes || had->mode != file->mode ||
			!oci_digest_equal(&had->digest, &file->digest) || !oci_record_holds(place->dir, had))
			continue;
		file->mtime_ns = had->mtime_ns;
		return true;
	}
	return false;
}

static int name_part(struct pull_tree *t, size_t n, struct oci_error *err)
{
	struct oci_listing_file *file = &t->listing.files[n];
	char room[OCI_STAGE_NAME_MAX], link[OCI_STAGE_NAME_MAX];
	const char *part = oci_unpack_part_name(&t->stage, file->part, room);

	if (stays(t, file)) {
		t->report.bytes_kept += file->size_bytes;
		return 0;
	}
	if (check_part(t, file, part, err) < 0)
		return -1;
	if (file->part.linked) {
		if (link_part(t, part, n, link, err) < 0)
			return oci_wrap(err, "file '%s'", file->path);
		snprintf(room, sizeof room, "%s", link);
	}
	if (oci_strings_add(&t->part_names, room, err) < 0)
		return -1;
	t->parts[n] = t->part_names.items[t->part_names.count - 1];
	return 0;
}

/* Hard links are made of the parts before any of these moves. */
int pull_name_parts(struct pull_tree *t, struct oci_error *err)
{
	t->parts = calloc(t->listing.count + 1, sizeof *t->parts);
	if (!t->parts)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < t->listing.count; i++)
		if (!t->listing.files[i].link && name_part(t, i, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
	return 0;
}

/* a tree */

static int place(const struct pull_tree *t, size_t i, int tree, struct oci_error *err)
{
	const struct oci_listing_file *file = &t->listing.files[i];
	const char *slash = strrchr(file->path, '/'), *base;
	oci_autofree char *parents = strndup(file->path, slash ? (size_t)(slash - file->path) : 0);
	oci_autoclose int dir = -1;
	int rc;

	if (!parents)
		return oci_fail_nomem(err);
	if (slash && oci_fs_mkdirs_beneath(tree, parents, 0775, err) < 0)
		return -1;
	dir = oci_fs_parent_beneath(tree, file->path, &base, err);
	if (dir < 0)
		return -1;
	rc = file->link ? symlinkat(file->link, dir, base) : renameat(t->stage.fd, t->parts[i], dir, base);
	return rc < 0 ? oci_fail_sys(err, errno, OCI_E_IO, "cannot place '%s'", file->path) : 0;
}

/* What a run before has put there is in the stage again. */
static int empty_tree(struct oci_stage *stage, struct oci_error *err)
{
	oci_drop_fd(&stage->tree);
	if (oci_fs_remove_tree(stage->fd, "tree", err) < 0 || oci_fs_mkdirs_beneath(stage->fd, "tree", 0775, err) < 0)
		return -1;
	stage->tree = oci_fs_open_dir_beneath(stage->fd, "tree", err);
	return stage->tree < 0 ? -1 : 0;
}

int pull_build_tree(const struct pull_tree *t, const struct oci_strings *dirs, struct oci_stage *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_stage_clear) struct oci_stage stage = OCI_STAGE_NONE;

	if (pull_open_dir(t, &stage, err) < 0 || empty_tree(&stage, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	for (size_t i = 0; i < dirs->count; i++)
		if (oci_fs_mkdirs_beneath(stage.tree, dirs->items[i], 0775, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
	for (size_t i = 0; i < t->listing.count; i++)
		if (place(t, i, stage.tree, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
	*ret = stage;
	stage = OCI_STAGE_NONE;
	return 0;
}

int pull_open_dir(const struct pull_tree *t, struct oci_stage *ret, struct oci_error *err)
{
	return oci_stage_open(t->place.state, t->place.state_name, &t->image.descriptor.digest, false, ret, err);
}
