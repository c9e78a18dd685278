/* A directory becomes a layout, and ceases to be one where nothing came of it. */
#include "store/layout_root.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/temp.h"
#include "store/layout_index.h"

#define LAYOUT_PREFIX ".layout"
#define DIR_MODE 0755
#define FILE_MODE 0644

static const enum oci_digest_alg algs[] = {OCI_SHA256, OCI_SHA512};

static int pass(struct oci_error *err, const struct oci_error *why)
{
	if (err)
		*err = *why;
	return -1;
}

const char *oci_layout_blobs(enum oci_digest_alg alg, char out[OCI_LAYOUT_BLOBS_MAX])
{
	snprintf(out, OCI_LAYOUT_BLOBS_MAX, "blobs/%s", oci_digest_alg_name(alg));
	return out;
}

int oci_layout_sync_blobs(int root, struct oci_error *err)
{
	for (size_t i = 0; i < sizeof algs / sizeof *algs; i++) {
		oci_autoclose int dir = -1;
		struct oci_error why = {0};
		char name[OCI_LAYOUT_BLOBS_MAX];

		dir = oci_fs_open_dir_beneath(root, oci_layout_blobs(algs[i], name), &why);
		if (dir < 0 && why.code == OCI_E_NOT_FOUND)
			continue;
		if (dir < 0)
			return pass(err, &why);
		if (oci_fs_sync(dir, err) < 0)
			return -1;
	}
	return 0;
}

/* A directory that holds somebody's files does not become a layout. */
static int refuse_foreign(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	static const char *const harmless[] = {"blobs", OCI_LAYOUT_INDEX_FILE, OCI_LAYOUT_FILE, "lost+found"};
	char shown[OCI_STR_ESCAPE_MAX];

	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
		if (strcmp(path, harmless[i]) == 0)
			return 1;
	if (path[0] == '.')
		return 1;
	return oci_fail(err, OCI_E_OCCUPIED, "holds '%s' and is not an OCI layout",
		oci_str_escape(path, shown));
}

/* The file is locked by its inode, so of several writers that create it the
 * first wins and nobody replaces it. */
static int create_layout_file(int root, struct oci_error *err)
{
	static const char text[] = OCI_LAYOUT_TEXT;
	struct oci_error why = {0};
	char temp[OCI_TEMP_NAME_MAX];

	if (oci_fs_walk(root, refuse_foreign, NULL, err) < 0 ||
		oci_fs_temp_name(LAYOUT_PREFIX, ".part", temp, sizeof temp, err) < 0 ||
		oci_fs_write_file(root, temp, text, strlen(text), FILE_MODE, true, err) < 0)
		return -1;
	if (oci_fs_rename_new(root, temp, root, OCI_LAYOUT_FILE, &why) == 0)
		return 0;
	unlinkat(root, temp, 0);
	return why.code == OCI_E_OCCUPIED ? 0 : pass(err, &why);
}

static int has_file(int root, const char *name, bool *ret, struct oci_error *err)
{
	struct stat st;

	*ret = fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!*ret && errno != ENOENT)
		return oci_fail_sys(err, errno, OCI_E_IO, "stat '%s'", name);
	return 0;
}

/* What writers that were killed have left. */
static void sweep(int root)
{
	oci_temp_sweep(root, OCI_FS_TEMP_PREFIX);
	oci_temp_sweep(root, LAYOUT_PREFIX);
	for (size_t i = 0; i < sizeof algs / sizeof *algs; i++) {
		oci_autoclose int dir = -1;
		char name[OCI_LAYOUT_BLOBS_MAX];

		dir = oci_fs_open_dir_beneath(root, oci_layout_blobs(algs[i], name), NULL);
		if (dir >= 0)
			oci_temp_sweep(dir, OCI_LAYOUT_BLOB_PREFIX);
	}
}

static int prepare(int root, struct oci_error *err)
{
	oci_autoclose int lock = -1;
	char dir[OCI_LAYOUT_BLOBS_MAX];
	bool there = false;

	if (has_file(root, OCI_LAYOUT_FILE, &there, err) < 0 || (!there && create_layout_file(root, err) < 0))
		return -1;
	lock = oci_layout_lock(root, err);
	if (lock < 0 || oci_fs_mkdirs_beneath(root, oci_layout_blobs(OCI_SHA256, dir), DIR_MODE, err) < 0 ||
		has_file(root, OCI_LAYOUT_INDEX_FILE, &there, err) < 0)
		return -1;
	if (faccessat(root, dir, W_OK | X_OK, AT_EACCESS) < 0)
		return oci_fail_sys(err, errno, OCI_E_PERM, "write below '%s'", dir);
	sweep(root);
	if (there)
		return 0;
	return oci_fs_write_file(root, OCI_LAYOUT_INDEX_FILE, OCI_INDEX_EMPTY_TEXT, strlen(OCI_INDEX_EMPTY_TEXT),
		FILE_MODE, true, err);
}

static int check(int root, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	bool there = false;

	oci_buf_init(&text, OCI_MIB);
	if (oci_layout_read(root, OCI_LAYOUT_FILE, &text, err) < 0 || oci_index_check_layout(&text, err) < 0 ||
		has_file(root, OCI_LAYOUT_INDEX_FILE, &there, err) < 0)
		return -1;
	return there ? 0 : oci_fail(err, OCI_E_FORMAT, "has no '%s': not an OCI layout", OCI_LAYOUT_INDEX_FILE);
}

static int create_root(const char *path, char **made, struct oci_error *err)
{
	oci_autofree char *name = NULL;
	oci_autoclose int parent = oci_fs_open_parent(path, &name, err);

	if (parent < 0)
		return oci_wrap(err, "cannot be made: make its parent directory first");
	if (mkdirat(parent, name, DIR_MODE) == 0)
		return oci_str_set(made, path, err) < 0 ? -1 : oci_fs_sync(parent, err);
	if (errno != EEXIST)
		return oci_fs_fail(err, errno, "make directory", path);
	return 0;
}

int oci_layout_open_root(const char *path, enum oci_store_mode mode, char **made, struct oci_error *err)
{
	oci_autoclose int root = -1;
	oci_autofree char *fresh = NULL;

	if (mode == OCI_STORE_WRITE && create_root(path, &fresh, err) < 0)
		return -1;
	root = oci_fs_open_dir(path, err);
	if (root < 0 && err && err->code == OCI_E_USAGE)
		err->code = OCI_E_FORMAT; /* something is there, and it is no layout */
	if (root < 0 || (mode == OCI_STORE_WRITE && prepare(root, err) < 0) || check(root, err) < 0)
		return -1;
	*made = oci_steal(&fresh);
	return oci_steal_fd(&root);
}

static int find_part(void *ctx, const char *name, const struct stat *st, struct oci_error *err)
{
	bool *found = ctx;

	*found = *found || oci_str_ends(name, ".part");
	return 0;
}

/* Does anybody still write, or does index.json name something? */
static bool is_in_use(int root)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index = {0};
	bool part = false;

	if (oci_layout_read_index(root, &index, NULL) < 0 || strcmp(oci_buf_text(&index), OCI_INDEX_EMPTY_TEXT) != 0)
		return true;
	return oci_fs_walk(root, find_part, &part, NULL) < 0 || part;
}

void oci_layout_forsake(const char *path, int root)
{
	oci_autofree char *name = NULL;
	oci_autoclose int lock = oci_layout_lock(root, NULL);
	oci_autoclose int parent = oci_fs_open_parent(path, &name, NULL);

	if (lock >= 0 && parent >= 0 && !is_in_use(root))
		(void)oci_fs_remove_tree(parent, name, NULL);
}
