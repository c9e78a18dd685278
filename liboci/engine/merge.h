/* merge.h - layers, unpacked one by one, become one tree
 *
 * spec: OCI image-spec layer.md "Applying changesets". Bottom to top: what a
 * layer hides goes from the tree, then its files move in by rename, then its
 * links are made. A symbolic link must stay within the tree: relative, or
 * absolute within the image and then made relative, with ".." nowhere but in
 * front; any other is refused.
 */
#pragma once

#include "engine/unpack.h"

struct oci_merge_layer {
	struct oci_unpacked *unpacked;
	char name[32];  /* of its directory in the staging directory */
	bool exclusive; /* one file, named by an annotation: in the place of another it is OCI_E_FORMAT */
};

/* `staging` holds the layers' directories and "tree", which exists and is empty.
 * Fills a sorted listing of the tree; `layer` of each file is the number of the
 * layer it came from. `root` is where in the image the tree lies ("models/"). */
int oci_merge(int staging, struct oci_merge_layer *layers, size_t count, const char *root,
	struct oci_listing *ret, struct oci_error *err);
