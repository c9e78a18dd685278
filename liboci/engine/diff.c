#include "engine/diff.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

const char *oci_change_name(enum oci_change change)
{
	static const char *const names[] = {
		[OCI_ADDED] = "added", [OCI_REMOVED] = "removed", [OCI_CHANGED] = "changed"};

	return names[change];
}

int oci_differences_add(struct oci_differences *d, enum oci_change change, const char *path,
	uint64_t before_bytes, uint64_t after_bytes, struct oci_error *err)
{
	struct oci_difference *grown = reallocarray(d->items, d->count + 1, sizeof *grown), *added;

	if (!grown)
		return oci_fail_nomem(err);
	d->items = grown;
	added = &grown[d->count];
	*added = (struct oci_difference){change, strdup(path), before_bytes, after_bytes};
	if (!added->path)
		return oci_fail_nomem(err);
	d->count++;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct oci_difference *x = a, *y = b;

	return strcmp(x->path, y->path);
}

void oci_differences_sort(struct oci_differences *d)
{
	if (d->count > 1)
		qsort(d->items, d->count, sizeof *d->items, compare);
}

void oci_differences_clear(struct oci_differences *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->items[i].path);
	free(d->items);
	*d = (struct oci_differences){0};
}

enum verdict { SAME, OTHER, UNDECIDED };

/* One of the two lists, with the number of files in each of its layers. */
struct side {
	const struct oci_listing *list;
	size_t *files_in;
};

static int count_files(const struct oci_listing *list, struct side *ret, struct oci_error *err)
{
	*ret = (struct side){list, calloc(list->layer_count + 1, sizeof *ret->files_in)};
	if (!ret->files_in)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < list->count; i++)
		if (list->files[i].layer != OCI_LISTING_NO_LAYER)
			ret->files_in[list->files[i].layer]++;
	return 0;
}

static void clear_side(struct side *side)
{
	free(side->files_in);
}

/* The only file of its layer is what the layer's digest says, name included. */
static enum verdict compare_layers(const struct side *a, const struct oci_listing_file *x,
	const struct side *b, const struct oci_listing_file *y)
{
	if (x->layer == OCI_LISTING_NO_LAYER || y->layer == OCI_LISTING_NO_LAYER)
		return UNDECIDED;
	if (oci_digest_equal(&a->list->layers[x->layer].digest, &b->list->layers[y->layer].digest))
		return SAME;
	if (a->files_in[x->layer] == 1 && b->files_in[y->layer] == 1)
		return OTHER;
	return UNDECIDED;
}

static enum verdict compare_files(const struct side *a, const struct oci_listing_file *x,
	const struct side *b, const struct oci_listing_file *y)
{
	if (x->link && y->link && strcmp(x->link, y->link) == 0 && !(x->target && y->target))
		return SAME;
	if (!oci_listing_is_file(x) || !oci_listing_is_file(y))
		return OTHER;
	if (x->size_bytes != y->size_bytes)
		return OTHER;
	if (x->digest.alg && y->digest.alg)
		return oci_digest_equal(&x->digest, &y->digest) ? SAME : OTHER;
	return compare_layers(a, x, b, y);
}

static int compare_pair(const struct side *a, const struct oci_listing_file *x, const struct side *b,
	const struct oci_listing_file *y, struct oci_differences *ret, size_t *undecided, struct oci_error *err)
{
	enum verdict verdict = compare_files(a, x, b, y);

	if (verdict == UNDECIDED)
		(*undecided)++;
	if (verdict != OTHER)
		return 0;
	return oci_differences_add(ret, OCI_CHANGED, x->path, x->size_bytes, y->size_bytes, err);
}

int oci_diff(const struct oci_listing *a, const struct oci_listing *b, struct oci_differences *ret,
	size_t *undecided, struct oci_error *err)
{
	OCI_CLEANUP(clear_side) struct side before = {0}, after = {0};
	size_t i = 0, j = 0;

	if (count_files(a, &before, err) < 0 || count_files(b, &after, err) < 0)
		return -1;
	*undecided = 0;
	while (i < a->count || j < b->count) {
		const struct oci_listing_file *x = i < a->count ? &a->files[i] : NULL;
		const struct oci_listing_file *y = j < b->count ? &b->files[j] : NULL;
		int order = !x ? 1 : !y ? -1 : strcmp(x->path, y->path);
		int rc;

		if (order < 0)
			rc = oci_differences_add(ret, OCI_REMOVED, x->path, x->size_bytes, 0, err);
		else if (order > 0)
			rc = oci_differences_add(ret, OCI_ADDED, y->path, 0, y->size_bytes, err);
		else
			rc = compare_pair(&before, x, &after, y, ret, undecided, err);
		if (rc < 0)
			return -1;
		i += order <= 0;
		j += order >= 0;
	}
	return 0;
}
