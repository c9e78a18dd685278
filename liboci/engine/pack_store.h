/* pack_store.h - a plain directory, read as the image that pack would make of it
 *
 *     struct oci_pack_options options = {.source = "model", .platforms = platforms, ...};
 *     struct oci_store *store = oci_pack_store(&options, err);
 *     oci_store_resolve(store, NULL, &root, err);       what pack of the same directory prints
 *     ... pull from it ...
 *     oci_pack_store_check(store, err);                 is it still that directory?
 *     oci_store_close(store);
 *
 * spec/local.md. Opening it scans and hashes the directory, but for layers that the
 * cache knows; the documents and the index layer are made in memory. Layers are read from
 * the files when they are asked for, never copied. So whoever can pull an image can pull a
 * directory, and proves every byte of it on its way against checkpoints.
 *
 * It can be read by several threads and not written (OCI_E_UNSUPPORTED). It names one
 * image, which has no tag; another digest is OCI_E_SOURCE: the directory is not that. A
 * file that changed since it was scanned is OCI_E_SOURCE when it is opened; one that changes
 * while it is read gives other bytes than its digest says. oci_pack_store_check() finds
 * both out, and files that came or went.
 */
#pragma once

#include "engine/pack.h"

/* Of the options those of the source, the format, cache, jobs, observer and cancel flag are
 * used. They and what they point to are borrowed until close. */
struct oci_store *oci_pack_store(const struct oci_pack_options *options, struct oci_error *err);
/* The three below are for a store that oci_pack_store() has made. */
const struct oci_dir *oci_pack_store_dir(const struct oci_store *store);
int oci_pack_store_check(const struct oci_store *store, struct oci_error *err);
/* A file of the image by its path below models/, for reading. OCI_E_NOT_FOUND, OCI_E_SOURCE. */
int oci_pack_store_open_file(const struct oci_store *store, const char *path, struct oci_error *err);
