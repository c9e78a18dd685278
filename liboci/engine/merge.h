/* merge.h - layers, unpacked one by one, become one tree: which part goes where
 *
 * spec: OCI image-spec layer.md "Applying changesets". Of what a layer has, what no
 * layer above hides or replaces is in the tree. Nothing on disk is touched: the result
 * says which part each file is, and two files with one part are hard links of it.
 *
 * A layer names a path once, and nothing below a file (OCI_E_FORMAT). A symbolic link
 * must stay within the tree: relative, or absolute within the image and then made
 * relative, with ".." nowhere but in front; any other is refused. A hard link leads to a
 * file of its layer or of one below it.
 */
#pragma once

#include "engine/unpack.h"

struct oci_merge_layer {
	const struct oci_unpacked *unpacked; /* its files sorted */
	bool exclusive; /* one file, named by an annotation: in the place of another it is OCI_E_FORMAT */
};

/* Fills a sorted listing of the tree's files and symbolic links; `layer` of each file
 * is the number of the layer it came from, none where a hard link gave it another name.
 * `dirs`: directories that layers name. `root` is where in the image the tree lies ("models/"). */
int oci_merge(const struct oci_merge_layer *layers, size_t count, const char *root, struct oci_listing *ret,
	struct oci_strings *dirs, struct oci_error *err);
