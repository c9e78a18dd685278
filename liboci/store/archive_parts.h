/* archive_parts.h - the bytes of a file, also of one that was cut into parts
 *
 *     oci_archive_parts_open(dir, "haul.tar.zst", &parts, err);
 *     n = oci_archive_parts_read(&parts, data, len, offset, err);
 *     r = oci_archive_parts_reader(&parts, offset, length, err);
 *     oci_archive_parts_clear(&parts);
 *
 * FILE itself, where it is; else its parts, in the directory of the name:
 * FILE.part001, ... as Zarf cuts a package, where FILE.part000 says how many
 * there are, or FILE.001, ... as Hauler does. FILE or any part may be named.
 * They are read where they lie, without joining them, and opened one at a time.
 *
 * OCI_E_NOT_FOUND: neither FILE nor parts, or a part is missing, which is named.
 * OCI_E_FORMAT: no regular file, over OCI_ARCHIVE_PARTS_MAX parts, a malformed
 * part000, parts of another size than it says.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "stream/reader.h"

#define OCI_ARCHIVE_PARTS_MAX 100000

struct oci_archive_parts {
	int dir;            /* borrowed */
	int fd;             /* of a file that is whole, owned; -1: in parts */
	char *base;         /* FILE */
	const char *format; /* of the name of a part: base, number from 1 */
	uint64_t *ends;     /* of each part, in the whole */
	size_t count;
	uint64_t size_bytes;
};

/* Are these names all of parts of one file? Then any of them will do. */
bool oci_archive_parts_are_one(const struct oci_strings *names);
/* *ret need not be initialised and is to be cleared, also on failure. */
int oci_archive_parts_open(int dir, const char *name, struct oci_archive_parts *ret, struct oci_error *err);
/* A file that is open; `fd` is taken. */
int oci_archive_parts_take(int fd, struct oci_archive_parts *ret, struct oci_error *err);
/* Until `len` bytes or the end; the count or -1. From several threads at once. */
ssize_t oci_archive_parts_read(const struct oci_archive_parts *parts, void *data, size_t len, uint64_t offset,
	struct oci_error *err);
/* Borrows the parts. A file that ends early is OCI_E_IO. */
struct oci_reader *oci_archive_parts_reader(const struct oci_archive_parts *parts, uint64_t offset, uint64_t length,
	struct oci_error *err);
void oci_archive_parts_clear(struct oci_archive_parts *parts);
