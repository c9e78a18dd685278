/* tree.h - the trees that pulls have made below one directory
 *
 *     OCI_CLEANUP(oci_strings_clear) struct oci_strings paths = {0};
 *     oci_trees_find(root, &paths, err);
 *     oci_tree_remove(root, paths.items[0], kept, err);
 *
 * A tree is a directory with a record (engine/record.h) in it or beside it; below
 * one there are no others. What has no record is nobody's and is left alone, as are
 * a volume's "lost+found" and ".snapshot" and what this user may not read.
 */
#pragma once

#include "base/str.h"

/* Paths below `root`, a descriptor, in the order of their bytes. */
int oci_trees_find(int root, struct oci_strings *ret, struct oci_error *err);

/* Out of sight by one rename, then with what pulls have staged for it. Where it holds
 * files that its record does not name, a user's or another tree, they stay: the others
 * go one by one, the record last, and `kept` is the first that stays, escaped; else "".
 * A tree whose record lies beside it loses the record first and goes where it
 * is: in a Triton repository no directory of ours may stand. Of a version that was
 * "current" the link goes, too, and so does a directory above that is empty then, but
 * for `root`. OCI_E_BUSY while a pull is at work on it; OCI_E_FORMAT or
 * OCI_E_UNSUPPORTED when the record cannot be read. */
int oci_tree_remove(int root, const char *path, char kept[OCI_STR_ESCAPE_MAX], struct oci_error *err);
