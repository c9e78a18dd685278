/* publish.h - what is staged becomes the destination
 *
 * spec/staging.md has the order of the steps and what a crash between any two of
 * them leaves. Everything staged is proven and durable before the first.
 *
 *     struct oci_publication p = {.place = &place, .stage = &stage, .record = &record, .parts = parts, ...};
 *     oci_publish(&p, err);
 *
 * FRESH and SWAP move stage->tree as it is, record included. IN_PLACE takes the
 * record away, moves each part to its path, weights first and what makes a server
 * look last (config.json, config.pbtxt), removes the files that the new tree has
 * no more, and puts the record in place.
 */
#pragma once

#include "base/event.h"
#include "engine/place.h"

struct oci_publication {
	struct oci_place *place;
	const struct oci_stage *stage;
	const struct oci_record *record;  /* of the new tree; its listing is sorted */
	const char **parts;               /* IN_PLACE: below stage->tree, by the listing's number; NULL: lies there already */
	/* Called before each step that others can see; fails when we are no longer the writer. NULL: nobody asks. */
	int (*may)(void *ctx, struct oci_error *err);
	void *ctx;
	const struct oci_observer *observer;
	bool holds_old; /* out: the stage holds the tree that was replaced, and stays */
};

int oci_publish(struct oci_publication *p, struct oci_error *err);
/* IN_PLACE, and what goes before it where there is no room: the record that is there becomes
 * state, so that readers see none. */
int oci_publish_take_record(struct oci_place *place, struct oci_error *err);
/* Remove a file, and directories that are empty then; absent is success. */
int oci_publish_remove(int dir, const char *path, struct oci_error *err);
/* Let the link `name` in `dir` lead to `target`, by one rename. */
int oci_publish_link(int dir, const char *name, const char *target, struct oci_error *err);
