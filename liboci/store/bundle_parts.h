/* bundle_parts.h - how the stream of a bundle is laid over files of a bounded size
 *
 * spec: spec/bundle.md. A part is a plain tar of its own: who it is
 * (`part.json`), the bundle's map, a slice of the stream (`data`) and the
 * SHA-256 of all that (`sha256`); the last one, and the index, which is a part
 * with number 0 and no slice, list the sums of all parts before it. Map and
 * size of a part alone say every byte but the slice and the sums.
 *
 * A part's file is, in this order: head, slice, list, sum.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/bundle_map.h"

#define OCI_BUNDLE_PARTS_MAX 99999
#define OCI_BUNDLE_PART_FILE "part.json"

struct oci_bundle_parts {
	const struct oci_bundle_map *map; /* borrowed */
	uint64_t part_bytes;   /* no file is larger; 0: one file that is the stream itself */
	size_t count;
	uint64_t head_bytes;
	uint64_t slice_bytes;  /* of all but the last ones */
};

/* OCI_E_USAGE: parts of this size have no room for the map and the list, or
 * would be too many. */
int oci_bundle_parts_plan(const struct oci_bundle_map *map, uint64_t part_bytes, struct oci_bundle_parts *ret,
	struct oci_error *err);
/* The slice of part `number`, from 1. */
uint64_t oci_bundle_parts_offset(const struct oci_bundle_parts *parts, size_t number);
uint64_t oci_bundle_parts_length(const struct oci_bundle_parts *parts, size_t number);
/* The whole file of a part, or of the index (0). */
uint64_t oci_bundle_parts_file_bytes(const struct oci_bundle_parts *parts, size_t number);

/* Append the pieces; nothing where the file is the stream itself. `sums` are those of the parts from 1 on. */
int oci_bundle_parts_head(const struct oci_bundle_parts *parts, size_t number, struct oci_buf *out,
	struct oci_error *err);
int oci_bundle_parts_list(const struct oci_bundle_parts *parts, size_t number, const struct oci_digest *sums,
	struct oci_buf *out, struct oci_error *err);
int oci_bundle_parts_sum(const struct oci_bundle_parts *parts, const struct oci_digest *sum, struct oci_buf *out,
	struct oci_error *err);
uint64_t oci_bundle_parts_list_bytes(const struct oci_bundle_parts *parts, size_t number);
uint64_t oci_bundle_parts_sum_bytes(const struct oci_bundle_parts *parts);

/* Take the sums back out of such a piece: OCI_E_FORMAT unless it is, byte for
 * byte, one that was written for these. */
int oci_bundle_parts_read_list(const struct oci_bundle_parts *parts, size_t number, const struct oci_buf *piece,
	struct oci_digest *ret, struct oci_error *err);
int oci_bundle_parts_read_sum(const struct oci_bundle_parts *parts, const struct oci_buf *piece,
	struct oci_digest *ret, struct oci_error *err);

/* What `part.json` says: all that a part knows of the others. */
struct oci_bundle_part_id {
	size_t number;
	uint64_t part_bytes;
	struct oci_digest bundle;
};
int oci_bundle_parts_read_id(const struct oci_buf *text, struct oci_bundle_part_id *ret, struct oci_error *err);

/* "<file>.part007"; number 0 is "<file>.idx", and without parts it is <file>.
 * The caller frees; NULL: out of memory. */
char *oci_bundle_parts_name(const struct oci_bundle_parts *parts, const char *file, size_t number);
