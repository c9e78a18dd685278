/* archive_docker.h - an archive of `docker save`, read as if it were an OCI layout
 *
 * What Docker before version 25, `podman save` and `skopeo copy ...
 * docker-archive:` write: `manifest.json` names for each image its config, its
 * RepoTags and its layers, all by member path. There is no manifest in it, so
 * one is made up: OCI media types, the config as it lies there, a plain layer
 * under its diff_id, which reading verifies. A compressed layer is hashed here,
 * once, for its digest. The same archive gives the same manifest digest; it is
 * not the one that the image had in a registry.
 *
 * An image is found by each RepoTag, as it stands or in its full form
 * (core/reference.h), and by its tag alone.
 *
 * OCI_E_FORMAT: no `manifest.json` or not such a list, more than
 * OCI_ARCHIVE_IMAGES_MAX images, as many layers as not diff_ids, configs of
 * more than OCI_ARCHIVE_DOCUMENTS_MAX together, and what archive_members.h and
 * core/config.h refuse.
 */
#pragma once

#include "store/archive_index.h"

#define OCI_ARCHIVE_IMAGES_MAX 1000

/* Fills blobs, text and documents of *ret, which is empty. `input` is borrowed. */
int oci_archive_docker_read(struct oci_archive_input *input, struct oci_archive_index *ret, struct oci_error *err);
