#include "engine/listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct oci_listing_file *oci_listing_add(struct oci_listing *l, const char *path, struct oci_error *err)
{
	struct oci_listing_file *file;

	/* Grows at powers of two: the count says when. */
	if ((l->count & (l->count - 1)) == 0) {
		size_t room = l->count ? l->count * 2 : 1;
		struct oci_listing_file *grown = reallocarray(l->files, room, sizeof *grown);

		if (!grown) {
			oci_fail_nomem(err);
			return NULL;
		}
		l->files = grown;
	}
	file = &l->files[l->count];
	*file = (struct oci_listing_file){
		.path = strdup(path), .mode = 0664, .layer = OCI_LISTING_NO_LAYER};
	if (!file->path) {
		oci_fail_nomem(err);
		return NULL;
	}
	l->count++;
	return file;
}

int oci_listing_add_layer(struct oci_listing *l, const struct oci_digest *digest, uint64_t size_bytes,
	struct oci_error *err)
{
	struct oci_listing_layer *grown = reallocarray(l->layers, l->layer_count + 1, sizeof *grown);

	if (!grown)
		return oci_fail_nomem(err);
	l->layers = grown;
	grown[l->layer_count++] = (struct oci_listing_layer){*digest, size_bytes};
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	const struct oci_listing_file *x = a, *y = b;

	return strcmp(x->path, y->path);
}

void oci_listing_sort(struct oci_listing *l)
{
	if (l->count > 1)
		qsort(l->files, l->count, sizeof *l->files, compare_files);
}

const struct oci_listing_file *oci_listing_find(const struct oci_listing *l, const char *path)
{
	const struct oci_listing_file key = {.path = (char *)path};

	return l->count ? bsearch(&key, l->files, l->count, sizeof *l->files, compare_files) : NULL;
}

int oci_listing_shape(const struct oci_listing *l, size_t i, struct oci_layer_shape *ret,
	struct oci_layer_file **files, size_t **numbers, struct oci_error *err)
{
	oci_autofree struct oci_layer_file *list = calloc(l->count + 1, sizeof *list);
	oci_autofree size_t *at = calloc(l->count + 1, sizeof *at);
	size_t count = 0;

	if (!list || !at)
		return oci_fail_nomem(err);
	for (size_t f = 0; f < l->count; f++) {
		if (l->files[f].layer != i)
			continue;
		list[count] = (struct oci_layer_file){l->files[f].path, l->files[f].size_bytes};
		at[count++] = f;
	}
	*ret = (struct oci_layer_shape){.root = OCI_MODEL_ROOT, .files = list, .count = count};
	*files = oci_steal(&list);
	*numbers = oci_steal(&at);
	return 0;
}

void oci_listing_clear(struct oci_listing *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->files[i].path);
		free(l->files[i].link);
		free(l->files[i].target);
	}
	free(l->files);
	free(l->layers);
	*l = (struct oci_listing){0};
}

static bool any_matches(const struct oci_strings *globs, const char *path)
{
	for (size_t i = 0; globs && i < globs->count; i++)
		if (oci_str_glob_within(globs->items[i], path))
			return true;
	return false;
}

bool oci_filter_takes(const struct oci_filter *filter, const char *path)
{
	if (filter->only && !oci_listing_find(filter->only, path))
		return false;
	if (filter->include && filter->include->count > 0 && !any_matches(filter->include, path))
		return false;
	return !any_matches(filter->exclude, path);
}

bool oci_filter_is_empty(const struct oci_filter *filter)
{
	return !filter->only && (!filter->include || filter->include->count == 0) &&
		(!filter->exclude || filter->exclude->count == 0);
}
