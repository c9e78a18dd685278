/* bundle_map.h - what a bundle holds, and where each byte of it lies
 *
 * spec: spec/bundle.md. A bundle is a stream of bytes: the tar of an OCI
 * layout in the one shape of stream/tar.h, with its map, `bundle.json`, in
 * front. The map alone says every byte that is not a blob's: so what a file
 * holds between its blobs is compared, and a blob is proven by its digest.
 *
 *     oci_bundle_map_add(&map, &digest, size, err);         in the order of the stream
 *     oci_bundle_map_need(&map, &digest, size, err);        a blob that the far side has
 *     map.documents = ...;
 *     oci_bundle_map_seal(&map, index, err);                text, id, offsets
 *
 *     oci_bundle_map_parse(text, len, &map, err);           the other way
 *
 * OCI_E_FORMAT: not such a document, a blob that is listed twice or also
 * needed, more than OCI_BUNDLE_BLOBS_MAX of them, sizes that no file can have,
 * a map of more than OCI_BUNDLE_MAP_MAX. Another version is OCI_E_UNSUPPORTED.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/digest.h"

#define OCI_BUNDLE_MAP_FILE "bundle.json"
#define OCI_BUNDLE_MAP_MAX (32 * OCI_MIB)
#define OCI_BUNDLE_BLOBS_MAX 100000

struct oci_bundle_blob {
	struct oci_digest digest;
	uint64_t size_bytes;
	uint64_t offset; /* of its data in the stream; 0 when it is only needed */
};

struct oci_bundle_map {
	struct oci_bundle_blob *blobs; /* in the order of the stream */
	size_t count;
	size_t documents; /* of the blobs, the first so many: manifests and indexes */
	struct oci_bundle_blob *needed; /* belong to the images, but are not in the bundle */
	size_t needed_count;
	struct oci_buf index; /* the text of index.json */
	struct oci_buf text;  /* the map's own */
	struct oci_digest id; /* of the text */
	uint64_t stream_bytes;
	size_t *by_digest;    /* numbers of blobs, then of needed ones behind them, by digest */
};

/* Before anything else; clear is then allowed. */
void oci_bundle_map_init(struct oci_bundle_map *map);
int oci_bundle_map_add(struct oci_bundle_map *map, const struct oci_digest *digest, uint64_t size_bytes,
	struct oci_error *err);
int oci_bundle_map_need(struct oci_bundle_map *map, const struct oci_digest *digest, uint64_t size_bytes,
	struct oci_error *err);
int oci_bundle_map_seal(struct oci_bundle_map *map, const struct oci_buf *index, struct oci_error *err);
/* *ret is initialised; it is to be cleared, also on failure. */
int oci_bundle_map_parse(const char *text, size_t len, struct oci_bundle_map *ret, struct oci_error *err);

/* In a sealed map. NULL: not listed. *needed: it is listed, but elsewhere. */
const struct oci_bundle_blob *oci_bundle_map_find(const struct oci_bundle_map *map,
	const struct oci_digest *digest, bool *needed);
/* Append what lies between the data of blob i - 1 and of blob i; 0 is the
 * beginning, `count` the end of the stream. */
int oci_bundle_map_gap(const struct oci_bundle_map *map, size_t i, struct oci_buf *out, struct oci_error *err);
/* Where that gap begins. */
uint64_t oci_bundle_map_gap_offset(const struct oci_bundle_map *map, size_t i);
void oci_bundle_map_clear(struct oci_bundle_map *map);
