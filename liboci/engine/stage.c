#include "engine/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/temp.h"

#define TREE "tree"
#define DEST_HEX 8
#define MANIFEST_HEX 12
#define PREALLOCATE_FROM OCI_MIB

/* ".modelcar.<8 hex>", of the destination's name alone. */
static void dest_prefix(const char *name, char ret[OCI_STAGE_NAME_MAX])
{
	char hex[OCI_DIGEST_TEXT_MAX];
	struct oci_digest digest;

	oci_digest_of(OCI_SHA256, name, strlen(name), &digest);
	oci_digest_hex(&digest, hex);
	snprintf(ret, OCI_STAGE_NAME_MAX, ".modelcar.%.*s", DEST_HEX, hex);
}

void oci_stage_dest_name(const char *name, const char *what, char ret[OCI_STAGE_NAME_MAX])
{
	char prefix[OCI_STAGE_NAME_MAX];

	dest_prefix(name, prefix);
	snprintf(ret, OCI_STAGE_NAME_MAX, "%.40s.%.20s.part", prefix, what);
}

static void dir_name(const struct oci_stage *stage, char ret[OCI_STAGE_NAME_MAX])
{
	snprintf(ret, OCI_STAGE_NAME_MAX, "%s.part", stage->prefix);
}

/* "tree.<inode>", what a tree is called before it is published: after an exchange
 * the name is another tree's. */
static void claim_prefix(ino_t ino, char ret[OCI_STAGE_NAME_MAX])
{
	snprintf(ret, OCI_STAGE_NAME_MAX, TREE ".%llx", (unsigned long long)ino);
}

/* A tree that another writer was about to publish is ours now; one that was replaced goes. */
static int take_back(void *ctx, const char *name, const struct stat *st, struct oci_error *err)
{
	const int *dir = ctx;
	char prefix[OCI_STAGE_NAME_MAX];
	struct oci_error why = {0};

	if (!oci_str_starts(name, TREE "."))
		return 1;
	claim_prefix(st->st_ino, prefix);
	if (!oci_str_starts(name, prefix) || name[strlen(prefix)] != '.')
		(void)oci_fs_remove_tree(*dir, name, NULL);
	else if (oci_fs_rename_new(*dir, name, *dir, TREE, &why) < 0 && why.sys != ENOENT)
		(void)oci_fs_remove_tree(*dir, name, NULL);
	return 1;
}

/* A record that was being written: nobody else writes here. */
static int drop_temp(void *ctx, const char *name, const struct stat *st, struct oci_error *err)
{
	const int *tree = ctx;

	if (oci_str_starts(name, ".modelcar.") && oci_str_ends(name, ".part"))
		(void)oci_fs_remove_tree(*tree, name, NULL);
	return 1;
}

/* The name that a tree has in the end. */
struct claim {
	int dir;
	const char *prefix, *name;
	bool done;
};

static int claim_claimed(void *ctx, const char *name, const struct stat *st, struct oci_error *err)
{
	struct claim *claim = ctx;

	if (oci_str_starts(name, claim->prefix) && name[strlen(claim->prefix)] == '.' &&
		renameat(claim->dir, name, claim->dir, claim->name) == 0)
		claim->done = true;
	return 1;
}

/* One who has lost the lease may have claimed it before he saw that. */
int oci_stage_claim_tree(const struct oci_stage *stage, char ret[OCI_STAGE_NAME_MAX], struct oci_error *err)
{
	char prefix[OCI_STAGE_NAME_MAX];
	struct claim claim = {.dir = stage->fd, .prefix = prefix, .name = ret};
	struct stat st;

	if (fstat(stage->tree, &st) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "staged tree");
	claim_prefix(st.st_ino, prefix);
	if (oci_fs_temp_name(prefix, "", ret, OCI_STAGE_NAME_MAX, err) < 0)
		return -1;
	if (renameat(stage->fd, TREE, stage->fd, ret) == 0)
		return 0;
	if (errno != ENOENT)
		return oci_fail_sys(err, errno, OCI_E_IO, "staged tree");
	if (oci_fs_walk(stage->fd, claim_claimed, &claim, err) < 0)
		return -1;
	return claim.done ? 0 : oci_fail_sys(err, ENOENT, OCI_E_IO, "staged tree");
}

static int open_dirs(struct oci_stage *stage, struct oci_error *err)
{
	char name[OCI_STAGE_NAME_MAX];

	if (stage->flat) {
		stage->fd = fcntl(stage->parent, F_DUPFD_CLOEXEC, 0);
		stage->tree = fcntl(stage->parent, F_DUPFD_CLOEXEC, 0);
		return stage->fd < 0 || stage->tree < 0 ? oci_fail_sys(err, errno, OCI_E_IO, "staging") : 0;
	}
	dir_name(stage, name);
	if (oci_fs_mkdirs_beneath(stage->parent, name, 0700, err) < 0)
		return -1;
	stage->fd = oci_fs_open_dir_beneath(stage->parent, name, err);
	if (stage->fd < 0 || oci_fs_walk(stage->fd, take_back, &stage->fd, err) < 0 ||
		oci_fs_mkdirs_beneath(stage->fd, "tree", 0775, err) < 0)
		return -1;
	stage->tree = oci_fs_open_dir_beneath(stage->fd, "tree", err);
	return stage->tree < 0 ? -1 : oci_fs_walk(stage->tree, drop_temp, &stage->tree, err);
}

/* What a sweep looks for. */
struct sweep {
	int parent;
	const char *prefix, *keep; /* keep: a prefix, too; "" for nothing */
	const char *lease;
	bool all, unchanged;
	bool found; /* and nothing is removed */
	bool look;
};

static int sweep_entry(void *ctx, const char *name, const struct stat *st, struct oci_error *err)
{
	struct sweep *sweep = ctx;

	if (!oci_str_starts(name, sweep->prefix) || name[strlen(sweep->prefix)] != '.' || !oci_str_ends(name, ".part"))
		return 1;
	if (strcmp(name, sweep->lease) == 0 || (*sweep->keep && oci_str_starts(name, sweep->keep)))
		return 1;
	if (sweep->unchanged && oci_str_ends(name, ".old.part"))
		return 1;
	if (!sweep->all && (oci_str_ends(name, ".record.part") || oci_str_ends(name, ".was.part")))
		return 1;
	sweep->found = true;
	if (!sweep->look)
		(void)oci_fs_remove_tree(sweep->parent, name, NULL);
	return 1;
}

static void sweep(struct sweep *job)
{
	(void)oci_fs_walk(job->parent, sweep_entry, job, NULL);
}

static bool is_found(const struct oci_stage *stage)
{
	struct sweep job = {.parent = stage->parent, .prefix = stage->prefix, .keep = "", .lease = "", .all = true, .look = true};

	sweep(&job);
	return job.found;
}

int oci_stage_open(int parent, const char *name, const struct oci_digest *manifest, bool flat, struct oci_stage *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_stage_clear) struct oci_stage stage = OCI_STAGE_NONE;
	char prefix[OCI_STAGE_NAME_MAX], hex[OCI_DIGEST_TEXT_MAX];

	dest_prefix(name, prefix);
	oci_digest_hex(manifest, hex);
	snprintf(stage.prefix, sizeof stage.prefix, "%.30s.%.*s", prefix, MANIFEST_HEX, hex);
	stage.flat = flat;
	stage.parent = fcntl(parent, F_DUPFD_CLOEXEC, 0);
	if (stage.parent < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "staging");
	stage.found = is_found(&stage);
	if (open_dirs(&stage, err) < 0) {
		oci_wrap(err, "cannot write beside '%s'", name);
		return oci_fail_side(err, OCI_SIDE_DEST);
	}
	*ret = stage;
	stage = OCI_STAGE_NONE;
	return 0;
}

bool oci_stage_has_dir(const struct oci_stage *flat)
{
	char name[OCI_STAGE_NAME_MAX];
	struct stat st;

	dir_name(flat, name);
	return fstatat(flat->parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

bool oci_stage_any(int parent, const char *name)
{
	char prefix[OCI_STAGE_NAME_MAX];
	struct sweep job = {.parent = parent, .prefix = prefix, .keep = "", .lease = "", .all = true, .unchanged = true,
		.look = true};

	dest_prefix(name, prefix);
	sweep(&job);
	return job.found;
}

void oci_stage_sweep(int parent, const char *name, const struct oci_stage *keep, bool all, bool unchanged)
{
	char prefix[OCI_STAGE_NAME_MAX], lease[OCI_STAGE_NAME_MAX], kept[OCI_STAGE_NAME_MAX] = "";
	struct sweep job = {.parent = parent, .prefix = prefix, .keep = kept, .lease = lease, .all = all, .unchanged = unchanged};

	dest_prefix(name, prefix);
	if (keep && keep->flat)
		snprintf(kept, sizeof kept, "%s", keep->prefix);
	else if (keep)
		dir_name(keep, kept); /* flat parts of the same image are of a run in another mode */
	oci_stage_dest_name(name, "lease", lease);
	sweep(&job);
	oci_temp_sweep(parent, ".modelcar");
}

void oci_stage_remove(const struct oci_stage *stage)
{
	struct sweep job = {.parent = stage->parent, .prefix = stage->prefix, .keep = "", .lease = "", .all = true};
	char name[OCI_STAGE_NAME_MAX];

	if (stage->flat)
		sweep(&job);
	dir_name(stage, name);
	if (!stage->flat)
		(void)oci_fs_remove_tree(stage->parent, name, NULL);
}

void oci_stage_clear(struct oci_stage *stage)
{
	oci_cleanup_close(&stage->tree);
	oci_cleanup_close(&stage->fd);
	oci_cleanup_close(&stage->parent);
	*stage = OCI_STAGE_NONE;
}

const char *oci_stage_part_name(const struct oci_stage *stage, size_t number, const char *path, char *room)
{
	if (!stage->flat)
		return path;
	snprintf(room, OCI_STAGE_NAME_MAX, "%s.%zu.part", stage->prefix, number);
	return room;
}

const char *oci_stage_file_name(const struct oci_stage *stage, const char *what, char room[OCI_STAGE_NAME_MAX])
{
	if (!stage->flat)
		return what;
	snprintf(room, OCI_STAGE_NAME_MAX, "%s.%.15s.part", stage->prefix, what);
	return room;
}

static int make_parents(const struct oci_stage *stage, const char *path, struct oci_error *err)
{
	const char *slash = strrchr(path, '/');
	oci_autofree char *parents = slash ? strndup(path, (size_t)(slash - path)) : NULL;

	if (!slash || stage->flat)
		return 0;
	return parents ? oci_fs_mkdirs_beneath(stage->tree, parents, 0775, err) : oci_fail_nomem(err);
}

/* Room for the whole file at once: a full disk shows now, and extents are
 * contiguous. File systems that cannot are none the worse. */
static int give_size(int fd, uint64_t size_bytes, struct oci_error *err)
{
	if (size_bytes >= PREALLOCATE_FROM && fallocate(fd, 0, 0, (off_t)size_bytes) < 0 &&
		(errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
		return oci_fail_sys(err, errno, OCI_E_IO, "no room for its %llu bytes", (unsigned long long)size_bytes);
	if (ftruncate(fd, (off_t)size_bytes) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "its size");
	return 0;
}

static int make_anew(int dir, const char *path, struct oci_error *err)
{
	const char *base;
	oci_autoclose int parent = oci_fs_parent_beneath(dir, path, &base, err);

	if (parent < 0)
		return -1;
	if (unlinkat(parent, base, 0) < 0)
		return oci_fs_fail(err, errno, "remove", path);
	return oci_fs_open_beneath(parent, base, O_RDWR | O_CREAT | O_EXCL, 0600, err);
}

int oci_stage_part(const struct oci_stage *stage, size_t number, const char *path, uint64_t size_bytes, bool *had,
	struct oci_error *err)
{
	char room[OCI_STAGE_NAME_MAX];
	const char *name = oci_stage_part_name(stage, number, path, room);
	oci_autoclose int fd = -1;
	struct stat st;

	if (make_parents(stage, path, err) < 0)
		return -1;
	fd = oci_fs_open_beneath(stage->tree, name, O_RDWR | O_CREAT, 0600, err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_nlink > 1) { /* linked by a run before: that is another tree's file, too */
		close(oci_steal_fd(&fd));
		fd = make_anew(stage->tree, name, err);
		if (fd < 0)
			return -1;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return oci_fail(err, OCI_E_IO, "'%s' is in the way", name);
	*had = (uint64_t)st.st_size == size_bytes;
	if (!*had && give_size(fd, size_bytes, err) < 0)
		return -1;
	return oci_steal_fd(&fd);
}

struct held {
	const struct oci_stage *stage;
	uint64_t bytes;
};

static int add_held(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	struct held *held = ctx;
	bool mine = !held->stage->flat || oci_str_starts(path, held->stage->prefix);

	if (mine && S_ISREG(st->st_mode) && st->st_nlink == 1)
		held->bytes += (uint64_t)st->st_blocks * 512; /* what st_blocks counts, whatever the file system */
	return held->stage->flat; /* 1: do not go down */
}

/* By parts of its own, not by links to other trees. */
static uint64_t held_bytes(const struct oci_stage *stage)
{
	struct held held = {.stage = stage};

	(void)oci_fs_walk(stage->fd, add_held, &held, NULL);
	return held.bytes;
}

int oci_stage_check_space(const struct oci_stage *stage, const char *dest, uint64_t parts_bytes, struct oci_error *err)
{
	uint64_t held = held_bytes(stage), need_bytes, free_bytes;
	char need[OCI_STR_SIZE_MAX], have[OCI_STR_SIZE_MAX];
	struct statvfs vfs;

	if (fstatvfs(stage->fd, &vfs) < 0 || vfs.f_blocks == 0)
		return 0; /* a file system that does not say is tried */
	need_bytes = (parts_bytes > held ? parts_bytes - held : 0) + OCI_STAGE_MARGIN_BYTES;
	free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	if (free_bytes >= need_bytes)
		return 0;
	oci_fail(err, OCI_E_NOSPACE, "'%s' needs %s and %s are free; make room or choose another volume", dest,
		oci_str_size(need_bytes, need), oci_str_size(free_bytes, have));
	return oci_fail_side(err, OCI_SIDE_DEST);
}
