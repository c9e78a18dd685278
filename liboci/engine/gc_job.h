/* gc_job.h - a collection under way (private to gc*.c) */
#pragma once

#include "base/fs.h"
#include "base/str.h"
#include "engine/gc.h"

#define GC_LIVE_S 120 /* a pull that is at work has changed its lease since */

struct gc {
	const struct oci_gc_options *options;
	time_t now;
	int dir;
	int beside;                /* the parent, where `dir` is a tree itself; else -1 */
	char *name;                /* of `dir` in there */
	struct oci_strings links;  /* what the links in `dir` lead to */
	struct oci_gc_report report;
	size_t capacity;
};

/* Fill report.items with names, times, sizes and digests. */
int gc_scan(struct gc *gc, struct oci_error *err);
/* Where an item lies: `beside` or `dir`, and its name there. */
int gc_place(const struct gc *gc, const struct oci_gc_item *item, const char **name);
/* Is this the state of a pull to the destination `name`? */
bool gc_is_state_of(const char *item, const char *name);
/* Read the links anew. */
int gc_read_links(struct gc *gc, struct oci_error *err);
