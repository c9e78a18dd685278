/* bundle_fixture.h - a small bundle in memory and in files: for the tests of what reads it */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/bundle_parts.h"
#include "store/index.h"

#define BLOBS 3
#define AUTO_MAP OCI_CLEANUP(oci_bundle_map_clear) struct oci_bundle_map
#define AUTO_BUF OCI_CLEANUP(oci_buf_clear) struct oci_buf

/* The text of blob i: of 700, 1401 and 2102 bytes. */
static inline size_t bundle_text(size_t i, char out[4096])
{
	size_t len = 701 * (i + 1) - 1 + i;

	memset(out, 'a' + (int)i, len);
	return len;
}

static inline void bundle_map(struct oci_bundle_map *map)
{
	struct oci_buf index = {.data = (char *)OCI_INDEX_EMPTY_TEXT, .len = strlen(OCI_INDEX_EMPTY_TEXT)};
	char text[4096];

	oci_bundle_map_init(map);
	for (size_t i = 0; i < BLOBS; i++) {
		struct oci_digest digest;
		size_t len = bundle_text(i, text);

		oci_digest_of(OCI_SHA256, text, len, &digest);
		assert_int_equal(oci_bundle_map_add(map, &digest, len, NULL), 0);
	}
	assert_int_equal(oci_bundle_map_seal(map, &index, NULL), 0);
}

/* All of the stream. */
static inline void bundle_stream(const struct oci_bundle_map *map, struct oci_buf *out)
{
	char text[4096];

	for (size_t i = 0; i <= map->count; i++) {
		assert_int_equal(out->len, oci_bundle_map_gap_offset(map, i));
		assert_int_equal(oci_bundle_map_gap(map, i, out, NULL), 0);
		if (i == map->count)
			break;
		assert_int_equal(out->len, map->blobs[i].offset);
		assert_int_equal(oci_buf_append(out, text, bundle_text(i, text), NULL), 0);
	}
	assert_int_equal(out->len, map->stream_bytes);
}

/* The file of a part, with the sums of those before it in `sums`, where its own is set. */
static inline void bundle_part(const struct oci_bundle_parts *parts, const struct oci_buf *stream, size_t number,
	struct oci_digest *sums, struct oci_buf *out)
{
	struct oci_digest sum;

	assert_int_equal(oci_bundle_parts_head(parts, number, out, NULL), 0);
	assert_int_equal(out->len, parts->head_bytes);
	if (number)
		assert_int_equal(oci_buf_append(out, stream->data + oci_bundle_parts_offset(parts, number),
			oci_bundle_parts_length(parts, number), NULL), 0);
	assert_int_equal(oci_bundle_parts_list(parts, number, sums, out, NULL), 0);
	oci_digest_of(OCI_SHA256, out->data, out->len, &sum);
	if (number)
		sums[number - 1] = sum;
	assert_int_equal(oci_bundle_parts_sum(parts, &sum, out, NULL), 0);
	assert_int_equal(out->len, oci_bundle_parts_file_bytes(parts, number));
}
