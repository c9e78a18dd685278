/* grow.h - room for one more item in an array that stores only its count
 *
 * The capacity is the next power of two of the count, so adding one by one
 * stays linear. Only for arrays that were built with this function.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The array with a zeroed item at `count`, or NULL when out of memory, in
 * which case `items` stays as it was. */
static inline void *oci_grow(void *items, size_t count, size_t item_size)
{
	if ((count & (count - 1)) == 0) {
		size_t cap = count ? count * 2 : 1;
		if (cap > SIZE_MAX / item_size)
			return NULL;
		items = realloc(items, cap * item_size);
		if (!items)
			return NULL;
	}
	memset((unsigned char *)items + count * item_size, 0, item_size);
	return items;
}
