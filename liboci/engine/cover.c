#include "engine/cover.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define PATH_BYTES 4095 /* as oci_fs_path_ok() */

static int compare_links(const void *a, const void *b)
{
	return strcmp((*(const struct oci_unpack_link *const *)a)->path,
		(*(const struct oci_unpack_link *const *)b)->path);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_hidden(struct oci_cover *cover, const struct oci_strings *names)
{
	for (size_t i = 0; i < names->count; i++)
		cover->hidden[cover->hidden_count++] = names->items[i];
}

static void add_names(struct oci_cover *cover)
{
	const struct oci_unpacked *layer = cover->layer;

	for (size_t i = 0; i < layer->files.count; i++)
		cover->names[cover->name_count++] = layer->files.files[i].path;
	for (size_t i = 0; i < layer->link_count; i++)
		cover->names[cover->name_count++] = layer->links[i].path;
	for (size_t i = 0; i < layer->dirs.count; i++)
		cover->names[cover->name_count++] = layer->dirs.items[i];
	qsort(cover->names, cover->name_count, sizeof *cover->names, compare_names);
}

int oci_cover_init(struct oci_cover *cover, const struct oci_unpacked *layer, struct oci_error *err)
{
	*cover = (struct oci_cover){.layer = layer};
	cover->links = calloc(layer->link_count + 1, sizeof *cover->links);
	cover->hidden = calloc(layer->whiteouts.count + layer->opaques.count + 1, sizeof *cover->hidden);
	cover->names = calloc(layer->files.count + layer->link_count + layer->dirs.count + 1, sizeof *cover->names);
	if (!cover->links || !cover->hidden || !cover->names)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < layer->link_count; i++)
		cover->links[i] = &layer->links[i];
	qsort(cover->links, layer->link_count, sizeof *cover->links, compare_links);
	add_hidden(cover, &layer->whiteouts);
	add_hidden(cover, &layer->opaques);
	qsort(cover->hidden, cover->hidden_count, sizeof *cover->hidden, compare_names);
	add_names(cover);
	return 0;
}

void oci_cover_clear(struct oci_cover *cover)
{
	free(cover->links);
	free(cover->hidden);
	free(cover->names);
	*cover = (struct oci_cover){0};
}

const struct oci_unpack_link *oci_cover_link(const struct oci_cover *cover, const char *path)
{
	const struct oci_unpack_link key = {.path = (char *)path}, *wanted = &key, **found;

	found = bsearch(&wanted, cover->links, cover->layer->link_count, sizeof *cover->links, compare_links);
	return found ? *found : NULL;
}

static bool takes_place(const struct oci_cover *cover, const char *path)
{
	return bsearch(&path, cover->hidden, cover->hidden_count, sizeof *cover->hidden, compare_names) ||
		oci_cover_link(cover, path) || oci_listing_find(&cover->layer->files, path);
}

/* Is there a name that needs a directory at this path: itself one, or in it? */
static bool needs_dir(const struct oci_cover *cover, const char *path)
{
	size_t low = 0, high = cover->name_count, len = strlen(path);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const char *name = cover->names[middle];
		int order = strncmp(name, path, len);

		if (order == 0)
			order = name[len] == '\0' || name[len] == '/' ? 0 : (unsigned char)name[len] - '/';
		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool oci_cover_hides_dir(const struct oci_cover *cover, const char *path)
{
	char part[PATH_BYTES + 1];
	size_t len = strlen(path);

	if (len >= sizeof part || takes_place(cover, ""))
		return true;
	memcpy(part, path, len + 1);
	/* The path itself, then each directory that it lies in. */
	for (char *end = part + len; end; end = strrchr(part, '/')) {
		*end = '\0';
		if (takes_place(cover, part))
			return true;
	}
	return false;
}

bool oci_cover_hides(const struct oci_cover *cover, const char *path)
{
	return needs_dir(cover, path) || oci_cover_hides_dir(cover, path);
}
