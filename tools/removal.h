/* removal.h - what rm and prune say about the tags that they removed */
#pragma once

#include "common.h"
#include "engine/retain.h"

/* One repository of a command's operands, its texts borrowed. */
struct removal {
	char *place;                /* HOST/REPO; owned */
	struct oci_strings gone;    /* tags, digest texts */
	struct oci_strings kept;    /* that are shown as such */
	struct oci_retain_report report;
	struct oci_error err;       /* of all of it; code 0: none */
};

void removal_clear(struct removal *removal);
/* Prints lines or JSON, and fails when something was not removed: a single failure is
 * that failure and prints nothing, more are OCI_E_PARTIAL. */
int removal_finish(const struct removal *removals, size_t count, bool json, bool dry_run, struct oci_error *err);
