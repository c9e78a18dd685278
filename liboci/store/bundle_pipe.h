/* bundle_pipe.h - the stream of a bundle from where bytes come once: a pipe
 *
 *     oci_bundle_pipe_open(&pipe, "-", err);       reads up to the map: pipe.map
 *     oci_bundle_pipe_read(&pipe, data, len, err); the stream behind gap 0, in order
 *     oci_bundle_pipe_gap(&pipe, i, err);          compares what lies between two blobs
 *     oci_bundle_pipe_end(&pipe, err);             the last gap, and nothing after it
 *     oci_bundle_pipe_close(&pipe);
 *
 * A whole bundle, or the parts of one, each behind the one before it; an index
 * may stand anywhere between them. A part's own sum is checked where it ends,
 * so a part that is damaged is named: at once, or by oci_bundle_pipe_blame()
 * where a blob turns out to be wrong before.
 *
 * OCI_E_DIGEST: a part is damaged. OCI_E_MORE: a part is missing, or not in
 * its place. OCI_E_FORMAT: no bundle, a whole one that is damaged, parts of two bundles.
 */
#pragma once

#include "store/bundle_parts.h"

struct oci_bundle_pipe {
	struct oci_bundle_map map;
	struct oci_bundle_parts parts;
	int fd;
	char *name;            /* for messages */
	size_t number;         /* of the part under way */
	uint64_t offset;       /* in the stream */
	struct oci_hash hash;  /* of the part so far */
	struct oci_digest *sums; /* of those that were whole */
};

/* Is this a name that is read once and in order: "-", a pipe, a device? */
bool oci_bundle_pipe_probe(const char *path);
/* *ret need not be initialised; it is to be closed, also on failure. */
int oci_bundle_pipe_open(struct oci_bundle_pipe *ret, const char *path, struct oci_error *err);
/* Exactly `len` bytes. */
int oci_bundle_pipe_read(struct oci_bundle_pipe *pipe, void *data, size_t len, struct oci_error *err);
int oci_bundle_pipe_gap(struct oci_bundle_pipe *pipe, size_t i, struct oci_error *err);
int oci_bundle_pipe_end(struct oci_bundle_pipe *pipe, struct oci_error *err);
/* A blob was wrong: reads on to the end of the part, and fails with what is to blame. */
int oci_bundle_pipe_blame(struct oci_bundle_pipe *pipe, struct oci_error *err);
void oci_bundle_pipe_close(struct oci_bundle_pipe *pipe);
