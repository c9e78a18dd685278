/* archive_index.h - what a tar archive of images holds, and where
 *
 * An archive with `oci-layout` is an OCI layout, one without it but with
 * `manifest.json` is Docker's (store/archive_docker.h has its rules).
 *
 * One walk over the headers of a tar (ustar, GNU, PAX), which may be compressed
 * or cut into parts (store/archive_input.h). Names may begin with "./" and lie in
 * one directory, as those below images/ of a Zarf package do: the directory of
 * the first `oci-layout` member. Members that are not part of the layout are
 * skipped. Of a compressed archive small blobs are kept in memory, since manifests
 * and configs are read in their own order.
 *
 * OCI_E_FORMAT: not a tar, bad checksums or numbers, truncated, neither
 * `oci-layout` nor `manifest.json`, a layout without `index.json`, one of them twice, a blob twice with different sizes, a
 * layout member that is a link, a name that leads out (absolute, or with ".."),
 * types other than files, directories and links,
 * sparse files, names over 4095 bytes, more than OCI_ARCHIVE_MEMBERS_MAX
 * headers or OCI_ARCHIVE_BLOBS_MAX blobs. Compressed with something else than
 * gzip or zstd: OCI_E_UNSUPPORTED.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/digest.h"
#include "store/archive_input.h"

#define OCI_ARCHIVE_MEMBERS_MAX 1000000
#define OCI_ARCHIVE_BLOBS_MAX 100000
#define OCI_ARCHIVE_DOCUMENTS_MAX (64 * OCI_MIB)

struct oci_archive_blob {
	struct oci_digest digest;
	bool in_memory;  /* in the index's documents instead of the file */
	uint64_t offset; /* of the data */
	uint64_t size_bytes;
	unsigned place; /* while it is read: which of several layouts */
};

struct oci_archive_index {
	struct oci_archive_blob *blobs; /* sorted by digest */
	size_t count;
	struct oci_buf text; /* of index.json */
	struct oci_buf documents; /* that the file itself does not hold */
};

/* `input` is borrowed. *ret need not be initialised and is to be cleared, also on failure. */
int oci_archive_index_read(struct oci_archive_input *input, struct oci_archive_index *ret, struct oci_error *err);
/* NULL: not there. */
const struct oci_archive_blob *oci_archive_index_find(const struct oci_archive_index *index,
	const struct oci_digest *digest);
/* Until it is sorted, for who fills an index. */
int oci_archive_index_add(struct oci_archive_index *index, const struct oci_archive_blob *blob,
	struct oci_error *err);
void oci_archive_index_clear(struct oci_archive_index *index);
