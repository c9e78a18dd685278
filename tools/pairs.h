/* pairs.h - what the storage initializer is told: sources and the directories they fill */
#pragma once

#include "dest.h"

struct pair {
	const char *uri; /* the caller's */
	char *dest;
	bool is_image; /* else another program's */
	bool is_outer; /* other pairs fill directories below dest */
};
struct pairs {
	struct pair *items;
	size_t count;
};

/* From SRC DEST SRC DEST …, `count` of them, an even number, whose texts must live as long. In their order, but a
 * directory comes before those below it. OCI_E_USAGE when an image and another source fill the same one: the second
 * would replace the first. */
int pairs_read(const struct dest_flags *flags, const char *const *operands, size_t count, struct pairs *ret,
	struct oci_error *err);
void pairs_clear(struct pairs *pairs);
