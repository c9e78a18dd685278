/* layout_index.h - index.json of a layout directory; private to store/
 *
 * It is replaced under an flock of `oci-layout`: writers of several processes may
 * share the directory.
 */
#pragma once

#include "store/index.h"

#define OCI_LAYOUT_FILE "oci-layout"
#define OCI_LAYOUT_INDEX_FILE "index.json"

/* A file that makes a directory a layout; OCI_E_FORMAT where it is not there. */
int oci_layout_read(int root, const char *name, struct oci_buf *out, struct oci_error *err);
/* *ret need not be initialised. */
int oci_layout_read_index(int root, struct oci_buf *ret, struct oci_error *err);
/* The descriptor that holds the lock; closing it releases. */
int oci_layout_lock(int root, struct oci_error *err);
/* Sets the entry of a tag, as oci_index_set() does; `tag` NULL: oci_index_list(). */
int oci_layout_change(int root, const struct oci_descriptor *d, const char *tag, struct oci_error *err);
