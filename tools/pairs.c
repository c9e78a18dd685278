#include "pairs.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "kserve.h"

static int refuse_same(const struct pair *a, const struct pair *b, struct oci_error *err)
{
	char first[OCI_STR_ESCAPE_MAX], second[OCI_STR_ESCAPE_MAX], dest[OCI_STR_ESCAPE_MAX];

	return oci_fail(err, OCI_E_USAGE, "'%s' and '%s' would both fill '%s'; give each a directory of its own",
		oci_str_escape(a->uri, first), oci_str_escape(b->uri, second), oci_str_escape(b->dest, dest));
}

static int relate(struct pair *a, struct pair *b, struct oci_error *err)
{
	bool above = dest_is_at_or_below(b->dest, a->dest), below = dest_is_at_or_below(a->dest, b->dest);

	if (above && below)
		return a->is_image || b->is_image ? refuse_same(a, b, err) : 0;
	a->is_outer = a->is_outer || above;
	b->is_outer = b->is_outer || below;
	return 0;
}

/* Before the first that lies below it: all that it lies below are before that one already. */
static void insert(struct pairs *pairs, struct pair *pair)
{
	size_t at = 0;

	while (at < pairs->count && !dest_is_at_or_below(pairs->items[at].dest, pair->dest))
		at++;
	memmove(pairs->items + at + 1, pairs->items + at, (pairs->count - at) * sizeof *pairs->items);
	pairs->items[at] = *pair;
	pairs->count++;
	*pair = (struct pair){0};
}

static int add(struct pairs *pairs, const struct dest_flags *flags, const char *uri, const char *dest,
	struct oci_error *err)
{
	struct pair pair = {.uri = uri, .dest = dest_path(flags, dest, err), .is_image = kserve_is_image(uri)};

	if (!pair.dest)
		return -1;
	for (size_t i = 0; i < pairs->count; i++)
		if (relate(&pairs->items[i], &pair, err) < 0) {
			free(pair.dest);
			return -1;
		}
	insert(pairs, &pair);
	return 0;
}

int pairs_read(const struct dest_flags *flags, const char *const *operands, size_t count, struct pairs *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(pairs_clear) struct pairs pairs = {.items = calloc(count / 2 + 1, sizeof *pairs.items)};

	if (!pairs.items)
		return oci_fail_nomem(err);
	for (size_t i = 0; i + 1 < count; i += 2)
		if (add(&pairs, flags, operands[i], operands[i + 1], err) < 0)
			return -1;
	*ret = pairs;
	pairs = (struct pairs){0};
	return 0;
}

void pairs_clear(struct pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++)
		free(pairs->items[i].dest);
	free(pairs->items);
	*pairs = (struct pairs){0};
}
