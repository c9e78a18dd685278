/* subject.h - an operand that is a directory or an image: what ls, verify and
 * diff take
 *
 * A directory is one that exists and is not written as a transport
 * ("oci:..."), or is written as dir:PATH; anything else is a reference.
 */
#pragma once

#include "common.h"
#include "engine/image.h"
#include "engine/record.h"

struct subject {
	const char *text;
	bool is_dir;
	bool has_record;          /* a directory that a pull has left */
	struct oci_record record;
	struct oci_reference ref; /* an image */
	struct oci_store *store;
	struct oci_image image;
	struct oci_listing listing; /* once subject_list() was called */
};

int subject_open(struct subject *s, const struct invocation *inv, const struct registry_flags *registry,
	const char *text, const char *platform, struct oci_error *err);
/* Fills the listing. Of an image: what a pull would land. Of a directory: its files as they are,
 * hashed when `digests`. */
int subject_list(struct subject *s, const struct invocation *inv, bool digests, struct oci_error *err);
void subject_clear(struct subject *s);
