/* pull_many.h - the models of a list, each into a directory of its own below one root */
#pragma once

#include "common.h"
#include "dest.h"
#include "engine/pull.h"
#include "triton.h"

struct pull_many_options {
	const char *file;                     /* models_file.h */
	const char *root;                     /* a directory that exists */
	const char *named;                    /* as the user named it: pvc://…, too (dest.h) */
	const struct dest_flags *dest;
	bool prune;                           /* remove trees of pulls that the list does not name */
	bool json;
	const struct oci_pull_options *pull;  /* for each that says nothing else */
	const struct triton_flags *triton;
};

/* Prints a line a model, or JSON. One that fails does not stop the others:
 * OCI_E_PARTIAL at the end, or, where it was the only one, why. Nothing is removed
 * after a failure. */
int pull_many(const struct invocation *inv, const struct pull_many_options *options, struct oci_error *err);
