#include "engine/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/cover.h"

#define PATH_BYTES 4095 /* as oci_fs_path_ok() */
#define HARDLINK_HOPS_MAX 64

struct merging {
	const char *root;
	const struct oci_merge_layer *layers;
	struct oci_cover *covers; /* a layer each */
	size_t count;
	struct oci_listing *ret;
	struct oci_strings *dirs;
};

/* symbolic links */

/* Where an absolute target lies in the tree, seen from the link: "../" for each
 * parent of the link. NULL when it lies elsewhere in the image. */
static int relative_target(const char *root, const struct oci_unpack_link *link, char **ret,
	struct oci_error *err)
{
	const char *target = link->target + strspn(link->target, "/");
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, 64 * OCI_KIB);
	if (!oci_str_starts(target, root))
		return 0;
	for (const char *slash = strchr(link->path, '/'); slash; slash = strchr(slash + 1, '/'))
		if (oci_buf_puts(&text, "../", err) < 0)
			return -1;
	if (oci_buf_puts(&text, target + strlen(root), err) < 0)
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

/* One that leads outside is refused, whether a layer above hides it or not. */
static int take_symlink(const struct merging *m, const struct oci_unpack_link *link, bool visible,
	struct oci_error *err)
{
	oci_autofree char *target = NULL;
	struct oci_listing_file *file;
	char shown[OCI_STR_ESCAPE_MAX];

	if (link->target[0] == '/' && relative_target(m->root, link, &target, err) < 0)
		return -1;
	if (link->target[0] != '/' && oci_str_set(&target, link->target, err) < 0)
		return -1;
	if (!target || !*target || !stays_within(link->path, target))
		return oci_fail(err, OCI_E_FORMAT, "link '%s' leads outside the tree", oci_str_escape(link->path, shown));
	if (!visible)
		return 0;
	file = oci_listing_add(m->ret, link->path, err);
	if (!file)
		return -1;
	file->link = oci_steal(&target);
	return 0;
}

/* hard links */

static const struct oci_unpack_link *find_hardlink(const struct oci_cover *cover, const char *path)
{
	const struct oci_unpack_link *link = oci_cover_link(cover, path);

	return link && !link->symbolic ? link : NULL;
}

/* The file that a hard link of layer `i` leads to: what this layer, or the uppermost one below
 * that is not hidden from it, has at that path. NULL: no file, or hard links in a circle. */
static const struct oci_listing_file *origin(const struct merging *m, size_t i, const char *path)
{
	size_t hops = 0;

	for (;; i--) {
		const struct oci_listing_file *found;
		const struct oci_unpack_link *link;

		while ((link = find_hardlink(&m->covers[i], path)) && hops++ < HARDLINK_HOPS_MAX)
			path = link->target;
		found = oci_listing_find(&m->layers[i].unpacked->files, path);
		if (found && !link)
			return found;
		if (link || i == 0 || oci_cover_hides(&m->covers[i], path))
			return NULL;
	}
}

/* What is known of a file, under a name of its own. */
static struct oci_listing_file *list_as(const struct merging *m, const char *path, const struct oci_listing_file *from,
	struct oci_error *err)
{
	struct oci_listing_file *file = oci_listing_add(m->ret, path, err);

	if (!file)
		return NULL;
	file->size_bytes = from->size_bytes;
	file->mtime_ns = from->mtime_ns;
	file->mode = from->mode;
	file->digest = from->digest;
	file->part = from->part;
	return file;
}

static int take_hardlink(const struct merging *m, size_t i, const struct oci_unpack_link *link, struct oci_error *err)
{
	const struct oci_listing_file *from = origin(m, i, link->target);
	struct oci_listing_file *file;
	char shown[OCI_STR_ESCAPE_MAX];

	if (!from)
		return oci_fail(err, OCI_E_FORMAT, "hard link '%s' leads to no file", oci_str_escape(link->path, shown));
	file = list_as(m, link->path, from, err);
	if (!file)
		return -1;
	file->part.linked = true;
	return 0;
}

/* layers */

/* An exclusive layer replaces nothing: what it would replace shows as a clash. */
static bool is_visible(const struct merging *m, size_t i, const char *path,
	bool (*hides)(const struct oci_cover *cover, const char *path))
{
	for (size_t above = i + 1; above < m->count; above++)
		if (!m->layers[above].exclusive && hides(&m->covers[above], path))
			return false;
	return true;
}

static int take_file(const struct merging *m, size_t i, const struct oci_listing_file *from, struct oci_error *err)
{
	struct oci_listing_file *file = list_as(m, from->path, from, err);

	if (!file)
		return -1;
	file->layer = i;
	return 0;
}

static int take_layer(const struct merging *m, size_t i, struct oci_error *err)
{
	const struct oci_unpacked *u = m->layers[i].unpacked;

	for (size_t n = 0; n < u->files.count; n++)
		if (is_visible(m, i, u->files.files[n].path, oci_cover_hides) &&
			take_file(m, i, &u->files.files[n], err) < 0)
			return -1;
	for (size_t n = 0; n < u->link_count; n++) {
		const struct oci_unpack_link *link = &u->links[n];
		bool visible = is_visible(m, i, link->path, oci_cover_hides);

		if (link->symbolic ? take_symlink(m, link, visible, err) < 0 : visible && take_hardlink(m, i, link, err) < 0)
			return -1;
	}
	for (size_t n = 0; n < u->dirs.count; n++)
		if (is_visible(m, i, u->dirs.items[n], oci_cover_hides_dir) &&
			oci_strings_add(m->dirs, u->dirs.items[n], err) < 0)
			return -1;
	return 0;
}

/* clashes */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool has_name(const char **names, size_t count, const char *name)
{
	return bsearch(&name, names, count, sizeof *names, compare_names) != NULL;
}

/* Is a directory of this path one that a name of the sorted list is, itself or at `whole`? */
static bool lies_below(const char **names, size_t count, const char *path, bool whole)
{
	char part[PATH_BYTES + 1];
	size_t len = strlen(path);

	if (len >= sizeof part)
		return true;
	memcpy(part, path, len + 1);
	if (whole && has_name(names, count, part))
		return true;
	for (char *slash = strrchr(part, '/'); slash; slash = strrchr(part, '/')) {
		*slash = '\0';
		if (has_name(names, count, part))
			return true;
	}
	return false;
}

/* A name twice, or below another one that is no directory: taking either would lose the other
 * without a word. */
static int check_names(const char **names, size_t count, const struct oci_strings *dirs, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];

	qsort(names, count, sizeof *names, compare_names);
	for (size_t i = 0; i < count; i++)
		if ((i > 0 && strcmp(names[i - 1], names[i]) == 0) || lies_below(names, count, names[i], false))
			return oci_fail(err, OCI_E_FORMAT, "the place of '%s' is taken by another file",
				oci_str_escape(names[i], shown));
	for (size_t i = 0; i < dirs->count; i++)
		if (lies_below(names, count, dirs->items[i], true))
			return oci_fail(err, OCI_E_FORMAT, "the place of directory '%s' is taken by a file",
				oci_str_escape(dirs->items[i], shown));
	return 0;
}

static int check_layer(const struct oci_unpacked *u, struct oci_error *err)
{
	oci_autofree const char **names = calloc(u->files.count + u->link_count + 1, sizeof *names);
	size_t count = 0;

	if (!names)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < u->files.count; i++)
		names[count++] = u->files.files[i].path;
	for (size_t i = 0; i < u->link_count; i++)
		names[count++] = u->links[i].path;
	return check_names(names, count, &u->dirs, err);
}

static int check_tree(const struct merging *m, struct oci_error *err)
{
	oci_autofree const char **names = calloc(m->ret->count + 1, sizeof *names);

	if (!names)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < m->ret->count; i++)
		names[i] = m->ret->files[i].path;
	return check_names(names, m->ret->count, m->dirs, err);
}

static void clear(struct merging *m)
{
	for (size_t i = 0; m->covers && i < m->count; i++)
		oci_cover_clear(&m->covers[i]);
	free(m->covers);
}

int oci_merge(const struct oci_merge_layer *layers, size_t count, const char *root, struct oci_listing *ret,
	struct oci_strings *dirs, struct oci_error *err)
{
	OCI_CLEANUP(clear) struct merging m = {
		.root = root, .layers = layers, .count = count, .ret = ret, .dirs = dirs};

	m.covers = calloc(count + 1, sizeof *m.covers);
	if (!m.covers)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < count; i++)
		if (check_layer(layers[i].unpacked, err) < 0 || oci_cover_init(&m.covers[i], layers[i].unpacked, err) < 0)
			return -1;
	for (size_t i = 0; i < count; i++)
		if (take_layer(&m, i, err) < 0)
			return -1;
	if (check_tree(&m, err) < 0)
		return -1;
	oci_listing_sort(ret);
	return 0;
}
