#include "engine/merge.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/cover.h"

#define HARDLINK_HOPS_MAX 64

struct merging {
	int tree;
	const char *root;
	struct oci_merge_layer *layers;
	struct oci_cover *covers; /* a layer each */
	size_t count;
	struct oci_listing *ret;
};

/* Remove a path of the tree, whatever it is; absent is success. */
static int hide(int tree, const char *path, struct oci_error *err)
{
	struct oci_error failure = {0};
	const char *base;
	oci_autoclose int parent = oci_fs_parent_beneath(tree, path, &base, &failure);

	if (parent >= 0)
		return oci_fs_remove_tree(parent, base, err);
	if (failure.sys == ENOENT || failure.sys == ENOTDIR)
		return 0;
	if (err)
		*err = failure;
	return -1;
}

static int remove_child(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	const int *dir = ctx;

	if (oci_fs_remove_tree(*dir, path, err) < 0)
		return -1;
	return 1;
}

static int hide_children(int tree, const char *path, struct oci_error *err)
{
	struct oci_error failure = {0};
	oci_autoclose int dir = oci_fs_open_dir_beneath(tree, path, &failure);

	if (dir < 0)
		return 0; /* nothing there to hide */
	return oci_fs_walk(dir, remove_child, &dir, err);
}

/* Directories for a path of an upper layer; what is no directory gives way. */
static int make_dirs(int tree, const char *path, struct oci_error *err)
{
	struct oci_error failure = {0};

	if (oci_fs_mkdirs_beneath(tree, path, 0775, &failure) == 0)
		return 0;
	for (const char *slash = strchr(path, '/');; slash = strchr(slash + 1, '/')) {
		oci_autofree char *part = strndup(path, slash ? (size_t)(slash - path) : strlen(path));
		oci_autoclose int dir = -1;

		if (!part)
			return oci_fail_nomem(err);
		dir = oci_fs_open_dir_beneath(tree, part, NULL);
		if (dir < 0 && hide(tree, part, err) < 0)
			return -1;
		if (!slash)
			break;
	}
	return oci_fs_mkdirs_beneath(tree, path, 0775, err);
}

static int make_parents(int tree, const char *path, struct oci_error *err)
{
	const char *slash = strrchr(path, '/');
	oci_autofree char *parents = slash ? strndup(path, (size_t)(slash - path)) : NULL;

	if (!slash)
		return 0;
	return parents ? make_dirs(tree, parents, err) : oci_fail_nomem(err);
}

/* Two files of one name: taking either would lose the other without a word. */
static int move_new_file(const struct merging *m, int from, const char *path, struct oci_error *err)
{
	const char *slash = strrchr(path, '/'), *base;
	oci_autofree char *parents = strndup(path, slash ? (size_t)(slash - path) : 0);
	oci_autoclose int from_dir = oci_fs_parent_beneath(from, path, &base, err);
	oci_autoclose int to_dir = -1;
	struct oci_error failure = {0};
	char shown[OCI_STR_ESCAPE_MAX];

	if (!parents)
		return oci_fail_nomem(err);
	if (from_dir < 0)
		return -1;
	if (!slash || oci_fs_mkdirs_beneath(m->tree, parents, 0775, &failure) == 0)
		to_dir = oci_fs_parent_beneath(m->tree, path, &base, &failure);
	if (to_dir >= 0 && oci_fs_rename_new(from_dir, base, to_dir, base, &failure) == 0)
		return 0;
	if (failure.code == OCI_E_OCCUPIED || failure.code == OCI_E_FORMAT)
		return oci_fail(err, OCI_E_FORMAT, "the place of '%s' is taken by another file of the artifact",
			oci_str_escape(path, shown));
	if (err)
		*err = failure;
	return -1;
}

static int move_file(const struct merging *m, int from, const char *path, struct oci_error *err)
{
	const char *base;
	oci_autoclose int from_dir = oci_fs_parent_beneath(from, path, &base, err);
	oci_autoclose int to_dir = -1;

	if (from_dir < 0 || make_parents(m->tree, path, err) < 0)
		return -1;
	to_dir = oci_fs_parent_beneath(m->tree, path, &base, err);
	if (to_dir < 0)
		return -1;
	if (renameat(from_dir, base, to_dir, base) == 0)
		return 0;
	if (errno != EISDIR && errno != ENOTEMPTY && errno != EEXIST)
		return oci_fail_sys(err, errno, OCI_E_IO, "cannot place '%s'", path);
	if (oci_fs_remove_tree(to_dir, base, err) < 0)
		return -1;
	if (renameat(from_dir, base, to_dir, base) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "cannot place '%s'", path);
	return 0;
}

/* Where an absolute target lies in the tree, seen from the link: "../" for each
 * parent of the link. NULL when it lies elsewhere in the image. */
static int relative_target(const struct merging *m, const struct oci_unpack_link *link, char **ret,
	struct oci_error *err)
{
	const char *target = link->target + strspn(link->target, "/");
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, 64 * OCI_KIB);
	if (!oci_str_starts(target, m->root))
		return 0;
	for (const char *slash = strchr(link->path, '/'); slash; slash = strchr(slash + 1, '/'))
		if (oci_buf_puts(&text, "../", err) < 0)
			return -1;
	if (oci_buf_puts(&text, target + strlen(m->root), err) < 0)
		return -1;
	*ret = oci_steal(&text.data);
	return 0;
}

/* Does a relative target stay within the tree? ".." may stand in front only: a
 * link lies in real directories, but behind a name, which may be a link itself,
 * nobody can tell where ".." leads. */
static bool stays_within(const char *path, const char *target)
{
	bool descends = false;
	int depth = 0;

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/'))
		depth++;
	while (*target) {
		size_t len = strcspn(target, "/");

		if (len == 2 && strncmp(target, "..", 2) == 0) {
			if (descends || depth-- == 0)
				return false;
		} else if (len > 0 && !(len == 1 && *target == '.')) {
			descends = true;
		}
		target += len;
		target += strspn(target, "/");
	}
	return true;
}

static int make_symlink(const struct merging *m, const struct oci_unpack_link *link, int parent,
	const char *base, struct oci_error *err)
{
	oci_autofree char *target = NULL;
	char shown[OCI_STR_ESCAPE_MAX];

	if (link->target[0] == '/' && relative_target(m, link, &target, err) < 0)
		return -1;
	if (link->target[0] != '/')
		target = strdup(link->target);
	if (!target || !*target || !stays_within(link->path, target))
		return oci_fail(err, OCI_E_FORMAT, "link '%s' leads outside the tree", oci_str_escape(link->path, shown));
	if (symlinkat(target, parent, base) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "link '%s'", oci_str_escape(link->path, shown));
	return 0;
}

static int make_hardlink(const struct merging *m, const struct oci_unpack_link *link, int parent,
	const char *base, struct oci_error *err)
{
	const char *name;
	oci_autoclose int from = oci_fs_parent_beneath(m->tree, link->target, &name, NULL);
	char shown[OCI_STR_ESCAPE_MAX];
	struct stat st;

	if (from < 0 || fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return oci_fail(err, OCI_E_FORMAT, "hard link '%s' leads to no file",
			oci_str_escape(link->path, shown));
	if (linkat(from, name, parent, base, 0) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "link '%s'", oci_str_escape(link->path, shown));
	return 0;
}

static int make_link(const struct merging *m, const struct oci_unpack_link *link, struct oci_error *err)
{
	const char *base;
	oci_autoclose int parent = -1;

	if (make_parents(m->tree, link->path, err) < 0 || hide(m->tree, link->path, err) < 0)
		return -1;
	parent = oci_fs_parent_beneath(m->tree, link->path, &base, err);
	if (parent < 0)
		return -1;
	return link->symbolic ? make_symlink(m, link, parent, base, err)
			      : make_hardlink(m, link, parent, base, err);
}

static int apply_layer(int staging, const struct merging *m, const struct oci_merge_layer *layer,
	struct oci_error *err)
{
	const struct oci_unpacked *u = layer->unpacked;
	oci_autoclose int from = oci_fs_open_dir_beneath(staging, layer->name, err);

	if (from < 0)
		return -1;
	for (size_t i = 0; i < u->opaques.count; i++)
		if (hide_children(m->tree, u->opaques.items[i], err) < 0)
			return -1;
	for (size_t i = 0; i < u->whiteouts.count; i++)
		if (hide(m->tree, u->whiteouts.items[i], err) < 0)
			return -1;
	for (size_t i = 0; i < u->dirs.count; i++)
		if (make_dirs(m->tree, u->dirs.items[i], err) < 0)
			return -1;
	for (size_t i = 0; i < u->files.count; i++)
		if ((layer->exclusive ? move_new_file : move_file)(m, from, u->files.files[i].path, err) < 0)
			return -1;
	/* Hard links may name a file of this layer, links of any kind a later one. */
	for (size_t i = 0; i < u->link_count; i++)
		if (make_link(m, &u->links[i], err) < 0)
			return -1;
	return 0;
}

static const struct oci_unpack_link *find_hardlink(const struct oci_cover *cover, const char *path)
{
	const struct oci_unpack_link *link = oci_cover_link(cover, path);

	return link && !link->symbolic ? link : NULL;
}

/* The uppermost layer that has this path put it there; a hard link leads on,
 * in the same layer or below. NULL: hard links in a circle. */
static const struct oci_listing_file *origin(const struct merging *m, const char *path, size_t *layer)
{
	size_t hops = 0;

	for (size_t i = m->count; i-- > 0;) {
		const struct oci_listing_file *found;
		const struct oci_unpack_link *link;

		while ((link = find_hardlink(&m->covers[i], path)) && hops++ < HARDLINK_HOPS_MAX)
			path = link->target;
		found = oci_listing_find(&m->layers[i].unpacked->files, path);
		*layer = i;
		if (found || link)
			return link ? NULL : found;
	}
	return NULL;
}

static int list_entry(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	struct merging *m = ctx;
	const struct oci_listing_file *from = NULL;
	struct oci_listing_file *file;
	size_t layer = OCI_LISTING_NO_LAYER;

	if (S_ISDIR(st->st_mode))
		return 0;
	file = oci_listing_add(m->ret, path, err);
	if (!file)
		return -1;
	if (S_ISLNK(st->st_mode))
		return oci_fs_read_link(m->tree, path, &file->link, err);
	from = origin(m, path, &layer);
	if (!from)
		return oci_fail(err, OCI_E_FORMAT, "'%s' is a hard link in a circle", path);
	file->size_bytes = from->size_bytes;
	file->mtime_ns = from->mtime_ns;
	file->mode = from->mode;
	file->digest = from->digest;
	file->layer = strcmp(from->path, path) == 0 ? layer : OCI_LISTING_NO_LAYER;
	return 0;
}

static void clear(struct merging *m)
{
	for (size_t i = 0; m->covers && i < m->count; i++)
		oci_cover_clear(&m->covers[i]);
	free(m->covers);
}

int oci_merge(int staging, struct oci_merge_layer *layers, size_t count, const char *root,
	struct oci_listing *ret, struct oci_error *err)
{
	oci_autoclose int tree = oci_fs_open_dir_beneath(staging, "tree", err);
	OCI_CLEANUP(clear) struct merging m = {
		.tree = tree, .root = root, .layers = layers, .count = count, .ret = ret};

	if (tree < 0)
		return -1;
	m.covers = calloc(count + 1, sizeof *m.covers);
	if (!m.covers)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < count; i++)
		if (oci_cover_init(&m.covers[i], layers[i].unpacked, err) < 0 ||
			apply_layer(staging, &m, &layers[i], err) < 0)
			return -1;
	if (oci_fs_walk(tree, list_entry, &m, err) < 0)
		return -1;
	oci_listing_sort(ret);
	return 0;
}
