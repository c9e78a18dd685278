/* leftover.h - what lies at the top of a directory: staged parts, and files of others
 *
 *     struct oci_leftovers found;
 *     oci_leftovers_scan(dir, &found, err);
 *
 * Parts (".modelcar.<…>.part") are those of a pull under way, or of one that was
 * killed; the time of the last change is all that tells them apart. The tree
 * that a pull keeps until the next one (".modelcar.<…>.old.part") is none. The
 * record, "lost+found" and ".snapshot" are nobody's.
 */
#pragma once

#include <time.h>

#include "base/error.h"
#include "base/str.h"

struct oci_leftovers {
	size_t part_count;
	uint64_t part_bytes;  /* as much as they take on the volume */
	time_t part_time;     /* the last change of any */
	size_t other_count;   /* entries that are not ours */
	char first_other[OCI_STR_ESCAPE_MAX]; /* by name; safe to print */
};

int oci_leftovers_scan(int dir, struct oci_leftovers *ret, struct oci_error *err);
