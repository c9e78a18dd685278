/* layout.h - an OCI layout directory as a store
 *
 * spec: OCI image-spec image-layout.md. WRITE creates the directory (its
 * parent must exist), `oci-layout`, `index.json` and `blobs/sha256`; a
 * directory that holds other files and is no layout is OCI_E_OCCUPIED.
 * READ of nothing is OCI_E_NOT_FOUND, of something else OCI_E_FORMAT.
 *
 * A blob is written beside its final place, checked, fsynced and renamed, and
 * replaces what was there, so a damaged blob heals. index.json is replaced
 * under an flock of `oci-layout`: writers of several processes may share the
 * directory. WRITE removes the unfinished blobs of writers that were killed
 * (base/temp.h). A zot serves only manifests that index.json lists: where there
 * is a directory `.uploads` of its own, or with `lists_all`, those without a tag are
 * listed too. Nothing that the directory names is followed if it is a link.
 * Durable after tag (blobs so far and the name) and finish (everything).
 */
#pragma once

#include "store/store.h"

struct oci_store *oci_store_layout(const char *path, enum oci_store_mode mode, bool lists_all, struct oci_error *err);
