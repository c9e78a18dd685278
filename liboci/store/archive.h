/* archive.h - images in one plain tar file as a store
 *
 * READ takes an OCI layout, and what `docker save` and `podman save` write
 * (store/archive_docker.h). It walks the member headers and then reads blobs
 * where they lie (store/archive_index.h). A missing file is OCI_E_NOT_FOUND, one that is no
 * such archive OCI_E_FORMAT. It may be compressed or cut into parts
 * (store/archive_input.h): then blobs come in order (store.h, order).
 *
 * WRITE makes a new file with an OCI layout beside FILE, which finish renames over FILE, durable;
 * close without finish removes it. Members: `oci-layout`, the blobs in the
 * order of their begin, `index.json`, two zero blocks. Of a file that was there
 * the names resolve and the blobs open, but they exist only in the old file.
 *
 * Blobs are written in parallel, each into a region that begin reserves. The
 * region of an aborted blob waits for content of the same size, which a
 * retry is; a finish that finds one left over is OCI_E_PARTIAL. A blob that is
 * committed twice is stored once, unless both were under way together.
 */
#pragma once

#include "store/store.h"

struct oci_store *oci_store_archive(const char *path, enum oci_store_mode mode, struct oci_error *err);
