#include "engine/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"

#define TEMP_PREFIX ".modelcar"

static int check_absent(const struct oci_stage *stage, const char *dest, struct oci_error *err)
{
	struct stat st;

	if (fstatat(stage->parent, stage->dest, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return oci_fail(err, OCI_E_OCCUPIED,
			"'%s' exists; pull to a path that does not, or remove it first", dest);
	if (errno != ENOENT)
		return oci_fail_sys(err, errno, OCI_E_IO, "'%s'", dest);
	return 0;
}

static int make_dirs(struct oci_stage *stage, struct oci_error *err)
{
	stage->fd = oci_temp_dir(stage->parent, TEMP_PREFIX, stage->name, err);
	if (stage->fd < 0)
		return oci_wrap(err, "cannot write beside '%s'", stage->dest);
	if (oci_fs_mkdirs_beneath(stage->fd, "tree", 0775, err) < 0)
		return -1;
	stage->tree = oci_fs_open_dir_beneath(stage->fd, "tree", err);
	return stage->tree < 0 ? -1 : 0;
}

/* The path is the user's word, so what is wrong with it is no malformed content. */
static int open_parent(struct oci_stage *stage, const char *dest, struct oci_error *err)
{
	struct oci_error why = {0};

	stage->parent = oci_fs_open_parent(dest, &stage->dest, &why);
	if (stage->parent >= 0)
		return 0;
	if (why.code == OCI_E_NOT_FOUND)
		oci_wrap(&why, "'%s' cannot be made: make its parent directory first", dest);
	else
		oci_wrap(&why, "'%s' cannot be made", dest);
	if (why.code == OCI_E_FORMAT)
		why.code = OCI_E_USAGE;
	if (err)
		*err = why;
	return -1;
}

int oci_stage_open(const char *dest, struct oci_stage *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_stage_clear) struct oci_stage stage = {.parent = -1, .fd = -1, .tree = -1};

	if (open_parent(&stage, dest, err) < 0 || check_absent(&stage, dest, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	oci_temp_sweep(stage.parent, TEMP_PREFIX);
	if (make_dirs(&stage, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	*ret = stage;
	stage = (struct oci_stage){.parent = -1, .fd = -1, .tree = -1};
	return 0;
}

int oci_stage_check_space(const struct oci_stage *stage, uint64_t need_bytes, struct oci_error *err)
{
	char need[OCI_STR_SIZE_MAX], have[OCI_STR_SIZE_MAX];
	struct statvfs vfs;
	uint64_t free_bytes;

	if (fstatvfs(stage->fd, &vfs) < 0 || vfs.f_blocks == 0)
		return 0; /* a file system that does not say is tried */
	free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	if (free_bytes >= need_bytes)
		return 0;
	oci_fail(err, OCI_E_NOSPACE, "'%s' needs %s and %s are free; make room or choose another volume",
		stage->dest, oci_str_size(need_bytes, need), oci_str_size(free_bytes, have));
	return oci_fail_side(err, OCI_SIDE_DEST);
}

static int sync_dir(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	const int *tree = ctx;
	oci_autoclose int dir = -1;

	if (!S_ISDIR(st->st_mode))
		return 0;
	dir = oci_fs_open_dir_beneath(*tree, path, err);
	return dir < 0 ? -1 : oci_fs_sync(dir, err);
}

static int place_tree(const struct oci_stage *stage, struct oci_error *err)
{
	struct oci_error why = {0};

	if (oci_fs_rename_new(stage->fd, "tree", stage->parent, stage->dest, &why) == 0)
		return 0;
	if (why.code == OCI_E_OCCUPIED)
		return oci_fail(err, OCI_E_OCCUPIED, "'%s' was made by another meanwhile and is left as it is",
			stage->dest);
	if (err)
		*err = why;
	return -1;
}

int oci_stage_publish(struct oci_stage *stage, struct oci_error *err)
{
	if (oci_fs_walk(stage->tree, sync_dir, &stage->tree, err) < 0 || oci_fs_sync(stage->tree, err) < 0 ||
		place_tree(stage, err) < 0 || oci_fs_sync(stage->parent, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	return 0;
}

void oci_stage_clear(struct oci_stage *stage)
{
	oci_cleanup_close(&stage->tree);
	if (stage->fd >= 0)
		oci_fs_remove_tree(stage->parent, stage->name, NULL);
	oci_cleanup_close(&stage->fd); /* after that: whoever finds it unlocked removes it, too */
	oci_cleanup_close(&stage->parent);
	free(stage->dest);
	*stage = (struct oci_stage){.parent = -1, .fd = -1, .tree = -1};
}
