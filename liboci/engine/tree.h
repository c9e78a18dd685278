/* tree.h - the trees that pulls have made below one directory
 *
 *     OCI_CLEANUP(oci_strings_clear) struct oci_strings paths = {0};
 *     oci_trees_find(root, &paths, err);
 *     oci_tree_remove(root, paths.items[0], err);
 *
 * A tree is a directory with a record (engine/record.h) in it or beside it; below
 * one there are no others. What has no record is nobody's and is left alone, as are
 * a volume's "lost+found" and ".snapshot" and what this user may not read.
 */
#pragma once

#include "base/str.h"

/* Paths below `root`, a descriptor, in the order of their bytes. */
int oci_trees_find(int root, struct oci_strings *ret, struct oci_error *err);

/* Out of sight by one rename, then with all that it holds and what pulls have staged
 * for it. A tree whose record lies beside it loses the record first and goes where it
 * is: in a Triton repository no directory of ours may stand. Of a version that was
 * "current" the link goes, too, and so does a directory above that is empty then, but
 * for `root`. OCI_E_BUSY while a pull is at work on it. */
int oci_tree_remove(int root, const char *path, struct oci_error *err);
