/* archive_walk.h - the member headers of a tar, one by one
 *
 *     oci_archive_walk_init(&walk, fd, err);        a seekable plain one; or _over(&walk, input)
 *     while ((n = oci_archive_walk_next(&walk, &member, err)) > 0) ...
 *
 * For whoever wants to know where members lie and skip their data;
 * stream/tar.h reads the data. Refusals are listed in archive_index.h.
 */
#pragma once

#include <stdint.h>

#include "store/archive_input.h"

#define OCI_ARCHIVE_PATH_MAX 4096

struct oci_archive_walk {
	int fd; /* borrowed */
	struct oci_archive_input *input; /* borrowed; NULL: fd */
	uint64_t size_bytes; /* of all */
	uint64_t next; /* offset of the next header */
	unsigned headers;
};

enum oci_archive_type { OCI_ARCHIVE_FILE, OCI_ARCHIVE_DIR, OCI_ARCHIVE_SYMLINK, OCI_ARCHIVE_HARDLINK };

struct oci_archive_member {
	char path[OCI_ARCHIVE_PATH_MAX]; /* without leading "./" and trailing "/" */
	char target[OCI_ARCHIVE_PATH_MAX]; /* of a link, as stored: from its directory, a hard link's from the root */
	enum oci_archive_type type;
	uint64_t offset; /* of the data */
	uint64_t size_bytes;
};

int oci_archive_walk_init(struct oci_archive_walk *walk, int fd, struct oci_error *err);
void oci_archive_walk_over(struct oci_archive_walk *walk, struct oci_archive_input *input);
/* 1: *member is filled; 0: the end marker; -1: failure. */
int oci_archive_walk_next(struct oci_archive_walk *walk, struct oci_archive_member *member,
	struct oci_error *err);
