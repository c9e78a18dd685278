/* cover.h - what one layer hides or replaces of the layers below, by path
 *
 *     OCI_CLEANUP(oci_cover_clear) struct oci_cover cover = {0};
 *     oci_cover_init(&cover, &unpacked, err);
 *     oci_cover_hides(&cover, "a/b");
 *
 * Borrows from the unpacked layer, which is complete, its files sorted, and does not change.
 */
#pragma once

#include "engine/unpack.h"

struct oci_cover {
	const struct oci_unpacked *layer;
	const struct oci_unpack_link **links; /* sorted by path */
	const char **hidden;                  /* whiteouts and opaque directories, sorted */
	size_t hidden_count;
	const char **names;                   /* of files, links and directories, sorted */
	size_t name_count;
};

int oci_cover_init(struct oci_cover *cover, const struct oci_unpacked *layer, struct oci_error *err);
void oci_cover_clear(struct oci_cover *cover);

/* The link at this path, or NULL. */
const struct oci_unpack_link *oci_cover_link(const struct oci_cover *cover, const char *path);
/* Is a file that a layer below has at this path gone once this layer lies over it? */
bool oci_cover_hides(const struct oci_cover *cover, const char *path);
/* The same of a directory, which another one, or what is in that, does not replace. */
bool oci_cover_hides_dir(const struct oci_cover *cover, const char *path);
