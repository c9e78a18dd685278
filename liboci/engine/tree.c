#include "engine/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/lease.h"
#include "engine/place.h"
#include "engine/record.h"
#include "engine/stage.h"

#define STATE ".modelcar"
#define CURRENT "current"

static bool is_file(int dir, const char *path)
{
	oci_autoclose int fd = oci_fs_open_beneath(dir, path, O_PATH, 0, NULL);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* "a/b" has its record as "a/b/.modelcar.json" or "a/.modelcar.b.json". */
static int has_record(int root, const char *path, bool *ret, struct oci_error *err)
{
	const char *slash = strrchr(path, '/');
	char name[OCI_RECORD_BESIDE_MAX];
	oci_autofree char *inside = oci_str_printf("%s/" OCI_RECORD_NAME, path);
	oci_autofree char *beside = oci_str_printf("%.*s%s", slash ? (int)(slash + 1 - path) : 0, path,
		oci_record_beside(slash ? slash + 1 : path, name));

	if (!inside || !beside)
		return oci_fail_nomem(err);
	*ret = is_file(root, inside) || is_file(root, beside);
	return 0;
}

/* What lies where we may not look is of another. */
static bool may_read(int root, const char *path)
{
	struct oci_error why = {0};
	oci_autoclose int dir = oci_fs_open_dir_beneath(root, path, &why);

	return dir >= 0 || why.code != OCI_E_PERM;
}

struct search {
	int root;
	struct oci_strings *found;
};

static int visit(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	const struct search *search = ctx;
	const char *slash = strrchr(path, '/');
	bool tree;

	if (!S_ISDIR(st->st_mode) || oci_str_starts(slash ? slash + 1 : path, STATE) || oci_place_is_apart(path))
		return 1;
	if (!may_read(search->root, path))
		return 1;
	if (has_record(search->root, path, &tree, err) < 0)
		return -1;
	if (!tree)
		return 0;
	return oci_strings_add(search->found, path, err) < 0 ? -1 : 1;
}

int oci_trees_find(int root, struct oci_strings *ret, struct oci_error *err)
{
	struct search search = {root, ret};

	return oci_fs_walk(root, visit, &search, err);
}

/* A link "current" to what is gone. */
static void remove_current(int parent, const char *base)
{
	oci_autofree char *target = NULL;

	if (oci_fs_read_link(parent, CURRENT, &target, NULL) == 0 && strcmp(target, base) == 0)
		unlinkat(parent, CURRENT, 0);
}

/* Directories above that are empty now; the first that is not ends it. */
static void remove_empty(int root, const char *path)
{
	const char *slash = strrchr(path, '/'), *base;
	oci_autofree char *above = slash ? strndup(path, (size_t)(slash - path)) : NULL;

	while (above && *above) {
		oci_autoclose int parent = oci_fs_parent_beneath(root, above, &base, NULL);
		char *last;

		if (parent < 0 || unlinkat(parent, base, AT_REMOVEDIR) < 0)
			return;
		last = strrchr(above, '/');
		*(last ? last : above) = '\0';
	}
}

struct strangers {
	const struct oci_listing *listing;
	char *first;
};

static int find_stranger(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	struct strangers *s = ctx;
	const char *slash = strrchr(path, '/');

	if (!slash && oci_place_is_apart(path))
		return 1;
	if (S_ISDIR(st->st_mode) || oci_str_starts(slash ? slash + 1 : path, ".nfs") || *s->first ||
		oci_listing_find(s->listing, path))
		return 0;
	oci_str_escape(path, s->first);
	return 0;
}

static int pass(struct oci_error *err, const struct oci_error *why)
{
	if (err)
		*err = *why;
	return -1;
}

static int read_record(int parent, const char *base, int tree, struct oci_record *ret, struct oci_error *err)
{
	struct oci_error why = {0};
	char beside[OCI_RECORD_BESIDE_MAX];

	if (oci_record_read(tree, OCI_RECORD_NAME, ret, &why) == 0)
		return 0;
	return why.code == OCI_E_NOT_FOUND ? oci_record_read(parent, oci_record_beside(base, beside), ret, err)
					   : pass(err, &why);
}

static int remove_file(int tree, const char *path, struct oci_error *err)
{
	struct oci_error why = {0};
	const char *base;
	oci_autoclose int dir = oci_fs_parent_beneath(tree, path, &base, &why);

	if (dir < 0)
		return why.code == OCI_E_NOT_FOUND ? 0 : pass(err, &why);
	if (unlinkat(dir, base, 0) < 0 && errno != ENOENT)
		return oci_fs_fail(err, errno, "remove", path);
	remove_empty(tree, path);
	return 0;
}

/* The record last: killed before, the next run finds it and goes on. */
static int remove_listed(int parent, const char *base, int tree, const struct oci_listing *files, struct oci_error *err)
{
	char beside[OCI_RECORD_BESIDE_MAX];

	for (size_t i = 0; i < files->count; i++)
		if (remove_file(tree, files->files[i].path, err) < 0)
			return -1;
	if ((unlinkat(tree, OCI_RECORD_NAME, 0) < 0 && errno != ENOENT) ||
		(unlinkat(parent, oci_record_beside(base, beside), 0) < 0 && errno != ENOENT))
		return oci_fs_fail(err, errno, "remove the record of", base);
	remove_current(parent, base);
	return 0;
}

static int remove_whole(int parent, const char *base, const char *path, struct oci_error *err)
{
	char hidden[64];

	if (oci_fs_temp_name(STATE, ".part", hidden, sizeof hidden, err) < 0)
		return -1;
	if (renameat(parent, base, parent, hidden) < 0)
		return oci_fs_fail(err, errno, "remove", path);
	remove_current(parent, base);
	return oci_fs_remove_tree(parent, hidden, err);
}

static int remove_tree(int parent, const char *base, const char *path, char *kept, struct oci_error *err)
{
	OCI_CLEANUP(oci_record_clear) struct oci_record record = {0};
	struct strangers strangers = {&record.listing, kept};
	oci_autoclose int tree = oci_fs_open_dir_beneath(parent, base, err);
	char name[OCI_RECORD_BESIDE_MAX];
	bool beside;

	if (tree < 0 || read_record(parent, base, tree, &record, err) < 0 ||
		oci_fs_walk(tree, find_stranger, &strangers, err) < 0)
		return -1;
	/* A Triton model: by another name it would be another model. */
	beside = is_file(parent, oci_record_beside(base, name));
	if (!*kept && !beside)
		return remove_whole(parent, base, path, err);
	if (remove_listed(parent, base, tree, &record.listing, err) < 0)
		return -1;
	return *kept ? 0 : oci_fs_remove_tree(parent, base, err);
}

int oci_tree_remove(int root, const char *path, char kept[OCI_STR_ESCAPE_MAX], struct oci_error *err)
{
	OCI_CLEANUP(oci_lease_cleanup) struct oci_lease *lease = NULL;
	struct oci_lease_options options = {.cancel = NULL};
	struct oci_lease_sight sight = {0};
	char name[OCI_STAGE_NAME_MAX];
	const char *base;
	oci_autoclose int parent = oci_fs_parent_beneath(root, path, &base, err);

	*kept = '\0';
	if (parent < 0)
		return -1;
	oci_stage_dest_name(base, "lease", name);
	if (oci_lease_take(parent, name, &options, &sight, &lease, err) < 0)
		return -1;
	if (!lease)
		return oci_fail(err, OCI_E_BUSY, "a pull is at work on it, or ended a moment ago; run again");
	if (remove_tree(parent, base, path, kept, err) < 0)
		return -1;
	oci_stage_sweep(parent, base, NULL, true, false);
	oci_lease_drop(oci_steal(&lease));
	remove_empty(root, path);
	return 0;
}
