/* layout_root.h - the directory that a layout is; private to store/ */
#pragma once

#include "store/store.h"

#define OCI_LAYOUT_BLOBS_MAX sizeof "blobs/sha512"
#define OCI_LAYOUT_BLOB_PREFIX ".blob"

/* "blobs/<alg>"; returns out. */
const char *oci_layout_blobs(enum oci_digest_alg alg, char out[OCI_LAYOUT_BLOBS_MAX]);
int oci_layout_sync_blobs(int root, struct oci_error *err);

/* Opens a layout, for writing makes what is missing of it. *made is the path, the
 * caller's to free, where the directory itself was made. */
int oci_layout_open_root(const char *path, enum oci_store_mode mode, char **made, struct oci_error *err);
/* Remove one that this process has made, where nothing in it has a name and
 * nobody writes: a run that failed leaves no layout that was not there. Best effort. */
void oci_layout_forsake(const char *path, int root);
