/* bundle_set.h - the files of one bundle, read as the stream that they are
 *
 * A whole bundle is one file; of one in parts any files, in any order, some of
 * them missing or damaged. Opening reads everything but the blobs and compares
 * it with what the map says it must be; a blob's bytes are proven by its
 * digest when they are read, and oci_bundle_set_check() says which part is to
 * blame when they are not.
 *
 *     oci_bundle_set_open(paths, &set, err);           OCI_E_FORMAT: none is a bundle
 *     set.damaged: what is wrong with which file, a line each
 *     r = oci_bundle_set_read(&set, offset, length, err);   OCI_E_MORE: a part is not here
 *     oci_bundle_set_clear(&set);                      after all readers
 *
 * Files are opened when they are read: there may be more of them than
 * descriptors.
 *
 * A file that is damaged counts as missing. One that belongs to another bundle
 * ends it all (OCI_E_FORMAT), and so does a whole bundle that is damaged. Safe to
 * read from several threads.
 */
#pragma once

#include "base/str.h"
#include "store/bundle_parts.h"
#include "stream/reader.h"

struct oci_bundle_file {
	char *path; /* as it was given; NULL: not here */
	struct oci_digest sum; /* what the part says of itself; a whole bundle says nothing */
};

struct oci_bundle_set {
	struct oci_bundle_map map;
	struct oci_bundle_parts parts;
	struct oci_bundle_file *files; /* parts.count of them: part 1 is the first */
	bool *here;                    /* likewise */
	struct oci_strings damaged;
};

/* Is it a file of a bundle of ours: whole (0), a part, or an index (1)? -1: neither. */
int oci_bundle_set_probe(const char *path);
/* The files that a name stands for, appended to *ret: FILE when it is there and
 * no part, else FILE.part* and FILE.idx; with `siblings`, a part stands for all. */
int oci_bundle_set_expand(const char *path, bool siblings, struct oci_strings *ret, struct oci_error *err);

/* *ret need not be initialised and is to be cleared, also on failure. */
int oci_bundle_set_open(const struct oci_strings *paths, struct oci_bundle_set *ret, struct oci_error *err);
/* The numbers of those parts of which `which` says so, "5, 7-9": cut when it is long. Returns how many. */
#define OCI_BUNDLE_RANGES_MAX 128
size_t oci_bundle_ranges(const bool *which, size_t count, bool wanted, char out[OCI_BUNDLE_RANGES_MAX]);
/* From here on a part counts as missing: it turned out to be damaged. */
void oci_bundle_set_drop(struct oci_bundle_set *set, size_t number);
struct oci_reader *oci_bundle_set_read(const struct oci_bundle_set *set, uint64_t offset, uint64_t length,
	struct oci_error *err);
/* Hash a part that is here: OCI_E_DIGEST, naming it, when it is not what it was. */
int oci_bundle_set_check(const struct oci_bundle_set *set, size_t number, struct oci_error *err);
/* The part that this byte lies in. */
size_t oci_bundle_set_part_of(const struct oci_bundle_set *set, uint64_t offset);
/* An open file of the set; starts as {.fd = -1}. */
struct oci_bundle_cursor {
	size_t number;
	int fd;
};
int oci_bundle_cursor_open(struct oci_bundle_cursor *cursor, const struct oci_bundle_set *set, size_t number,
	struct oci_error *err);
void oci_bundle_cursor_clear(struct oci_bundle_cursor *cursor);
/* A regular file that the user named, for reading. */
int oci_bundle_file_open(const char *path, struct oci_error *err);
void oci_bundle_set_clear(struct oci_bundle_set *set);
