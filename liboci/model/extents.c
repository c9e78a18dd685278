#include "model/extents.h"

#include <stdlib.h>

int oci_extents_add(
	struct oci_extents *extents, uint64_t begin, uint64_t end, uint64_t name_hash, struct oci_error *err)
{
	if (extents->count == OCI_EXTENTS_MAX)
		return oci_fail(err, OCI_E_UNSUPPORTED, "more than %d tensors, its header was not checked",
			OCI_EXTENTS_MAX);
	if (extents->count == extents->cap) {
		size_t cap = extents->cap ? 2 * extents->cap : 256;
		struct oci_extent *grown = reallocarray(extents->items, cap, sizeof *grown);
		if (!grown)
			return oci_fail_nomem(err);
		extents->items = grown;
		extents->cap = cap;
	}
	extents->items[extents->count++] =
		(struct oci_extent){.begin = begin, .end = end, .name_hash = name_hash};
	return 0;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_names(const void *a, const void *b)
{
	return compare_u64(
		((const struct oci_extent *)a)->name_hash, ((const struct oci_extent *)b)->name_hash);
}

static int compare_ranges(const void *pa, const void *pb)
{
	const struct oci_extent *a = pa, *b = pb;
	int by_begin = compare_u64(a->begin, b->begin);
	return by_begin ? by_begin : compare_u64(a->end, b->end);
}

static int check_names(struct oci_extents *extents, struct oci_error *err)
{
	qsort(extents->items, extents->count, sizeof *extents->items, compare_names);
	for (size_t i = 1; i < extents->count; i++) {
		if (extents->items[i].name_hash == extents->items[i - 1].name_hash)
			return oci_fail(err, OCI_E_FORMAT, "the header names a tensor twice");
	}
	return 0;
}

int oci_extents_check(struct oci_extents *extents, uint64_t gap_max, uint64_t *end, struct oci_error *err)
{
	uint64_t at = 0;

	if (!extents->count) {
		*end = 0;
		return 0;
	}
	if (check_names(extents, err) < 0)
		return -1;
	qsort(extents->items, extents->count, sizeof *extents->items, compare_ranges);
	for (size_t i = 0; i < extents->count; i++) {
		const struct oci_extent *e = &extents->items[i];
		if (e->begin < at)
			return oci_fail(err, OCI_E_FORMAT, "two tensors overlap at data offset %llu",
				(unsigned long long)e->begin);
		if (e->begin - at > gap_max)
			return oci_fail(err, OCI_E_FORMAT,
				"%llu bytes at data offset %llu belong to no tensor",
				(unsigned long long)(e->begin - at), (unsigned long long)at);
		at = e->end;
	}
	*end = at;
	return 0;
}

void oci_extents_clear(struct oci_extents *extents)
{
	free(extents->items);
	*extents = (struct oci_extents){0};
}
