/* tar.h - the one tar shape that we write, and a reader for everybody's
 *
 * Writing: GNU headers with nothing in them that could differ between two
 * machines: uid/gid 0, no owner names, files 0664, directories 0775, mtime 0,
 * base-256 sizes from 8 GiB on, names over 100 bytes by a GNU 'L' record, no
 * PAX. An archive ends with two zero blocks and nothing after. spec/tar.md has
 * the bytes.
 *
 *     oci_tar_add_header(&buf, "models/", OCI_TAR_DIR, 0, err);
 *     oci_tar_add_header(&buf, "models/a", OCI_TAR_FILE, size, err);
 *     ... size bytes, oci_tar_padding(size) zeros, OCI_TAR_END_BYTES zeros
 *
 * Reading: libarchive's tar reader (ustar, GNU, PAX), fed by a reader that is
 * already decompressed.
 *
 *     while ((more = oci_tar_next(tar, &entry, err)) > 0)
 *             while ((failed = oci_tar_read(tar, &data, &len, err)) == 0 && len > 0) ...
 *
 * Names come out byte for byte as they are in the archive, with "./" and '/' in
 * front and '/' at the end removed; the root directory itself is not reported.
 * Refused (OCI_E_FORMAT): names and link targets that are not clean UTF-8,
 * names that are no plain path after that ("..", "a//b", "a/./b", over the
 * limits of oci_fs_path_ok), sparse members, and whatever libarchive warns
 * about. Unknown types are files, as POSIX asks.
 *
 * No byte at all, or only zero blocks, is an empty archive. One that ends
 * between two members without zero blocks, or after the last byte of its last
 * file, is taken for whole, as other readers do: that all bytes came is for a
 * verifying reader below to say. One that ends within a header or data is OCI_E_FORMAT, unless the reader below failed: then it is
 * that failure. After the last member the rest of the input is read to its end,
 * so that a verifying reader has seen every byte.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "stream/reader.h"

#define OCI_TAR_BLOCK 512
#define OCI_TAR_END_BYTES 1024

enum oci_tar_type {
	OCI_TAR_FILE,
	OCI_TAR_DIR,
	OCI_TAR_SYMLINK,
	OCI_TAR_HARDLINK,
	OCI_TAR_OTHER, /* device or fifo: named, so that a reader may refuse it or not care */
};

/* Append the header (with its long-name record) of one member. A directory's
 * path ends in '/' and its size is 0. Type is FILE or DIR, all else is
 * OCI_E_BUG; a size above 2^63-1 is OCI_E_UNSUPPORTED. */
int oci_tar_add_header(struct oci_buf *out, const char *path, enum oci_tar_type type,
	uint64_t size_bytes, struct oci_error *err);
/* What that appends: 512, or more with a long name. */
uint64_t oci_tar_header_bytes(const char *path);
/* Zero bytes after `size_bytes` of data up to the next block. */
uint64_t oci_tar_padding(uint64_t size_bytes);

struct oci_tar_entry {
	char *path;          /* owned by the tar, until the next oci_tar_next() */
	char *link;          /* a symlink's target as stored; a hard link's as `path`; else NULL */
	enum oci_tar_type type;
	uint64_t size_bytes; /* of a file; else 0 */
	uint32_t mode;       /* permissions, setuid, setgid, sticky: 07777 */
};

struct oci_tar;
struct oci_tar *oci_tar_open_take(struct oci_reader *inner, struct oci_error *err);
/* 1: *entry is filled; 0: the end, all input read; -1: failure. After 0 or -1
 * nothing but close is called. Data that was not read is skipped. */
int oci_tar_next(struct oci_tar *tar, struct oci_tar_entry *entry, struct oci_error *err);
/* Data of the current member: a block borrowed until the next call; *len 0 at
 * its end, and at once when it is no file. */
int oci_tar_read(struct oci_tar *tar, const void **data, size_t *len, struct oci_error *err);
/* How much of the input lies before what comes next: after oci_tar_next() where the data
 * of the member begins. */
uint64_t oci_tar_position(const struct oci_tar *tar);
void oci_tar_close(struct oci_tar *tar);
void oci_tar_cleanup(struct oci_tar **tar);
