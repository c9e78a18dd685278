/* archive_members.h - the files of a tar by their path
 *
 *     oci_archive_members_read(input, &members, err);
 *     file = oci_archive_members_find(&members, "id/layer.tar", err);
 *
 * A path may be that of a symbolic or hard link: it leads to a file of the same
 * archive over at most 8 links, none of them a directory. OCI_E_FORMAT: no such
 * file, a link that leads elsewhere, a path that several members have, more
 * than OCI_ARCHIVE_MEMBERS_KEPT_MAX files and links or 16 MiB of their names,
 * and what archive_walk.h refuses.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "core/digest.h"
#include "store/archive_walk.h"

#define OCI_ARCHIVE_MEMBERS_KEPT_MAX 100000

struct oci_archive_file {
	size_t path, target; /* offsets in the names; a link's target as stored */
	enum oci_archive_type type;
	uint64_t offset; /* of the data */
	uint64_t size_bytes;
	struct oci_digest digest; /* the user's: absent until it is set */
};

struct oci_archive_members {
	struct oci_archive_input *input; /* borrowed */
	struct oci_archive_file *files; /* by path, links too */
	size_t count;
	struct oci_buf names;
};

/* *ret need not be initialised and is to be cleared, also on failure. */
int oci_archive_members_read(struct oci_archive_input *input, struct oci_archive_members *ret, struct oci_error *err);
bool oci_archive_members_has(const struct oci_archive_members *members, const char *path);
/* Never a link; NULL: failure. */
struct oci_archive_file *oci_archive_members_find(const struct oci_archive_members *members, const char *path,
	struct oci_error *err);
/* Whole, appended to `out`, whose maximum bounds it. */
int oci_archive_members_load(const struct oci_archive_members *members, const struct oci_archive_file *file,
	struct oci_buf *out, struct oci_error *err);
void oci_archive_members_clear(struct oci_archive_members *members);
