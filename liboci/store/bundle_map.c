#include "store/bundle_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/field.h"
#include "core/grow.h"
#include "store/index.h"
#include "stream/tar.h"

#define VERSION 1
#define LAYOUT_FILE "oci-layout"
#define INDEX_FILE "index.json"
#define MEMBER_PATH_MAX (sizeof "blobs/sha512/" + OCI_DIGEST_TEXT_MAX)
/* Room for headers and padding around blobs, so that no sum overflows. */
#define STREAM_MAX (INT64_MAX / 2)

void oci_bundle_map_init(struct oci_bundle_map *map)
{
	*map = (struct oci_bundle_map){0};
	oci_buf_init(&map->index, OCI_INDEX_MAX);
	oci_buf_init(&map->text, OCI_BUNDLE_MAP_MAX);
}

void oci_bundle_map_clear(struct oci_bundle_map *map)
{
	free(map->blobs);
	free(map->needed);
	free(map->by_digest);
	oci_buf_clear(&map->index);
	oci_buf_clear(&map->text);
	oci_bundle_map_init(map);
}

static int add(struct oci_bundle_map *map, struct oci_bundle_blob **list, size_t *count,
	const struct oci_digest *digest, uint64_t size_bytes, struct oci_error *err)
{
	struct oci_bundle_blob *items;

	if (map->count + map->needed_count == OCI_BUNDLE_BLOBS_MAX)
		return oci_fail(err, OCI_E_FORMAT, "a bundle of more than %d blobs", OCI_BUNDLE_BLOBS_MAX);
	items = oci_grow(*list, *count, sizeof *items);
	if (!items)
		return oci_fail_nomem(err);
	*list = items;
	items[(*count)++] = (struct oci_bundle_blob){.digest = *digest, .size_bytes = size_bytes};
	return 0;
}

int oci_bundle_map_add(struct oci_bundle_map *map, const struct oci_digest *digest, uint64_t size_bytes,
	struct oci_error *err)
{
	return add(map, &map->blobs, &map->count, digest, size_bytes, err);
}

int oci_bundle_map_need(struct oci_bundle_map *map, const struct oci_digest *digest, uint64_t size_bytes,
	struct oci_error *err)
{
	return add(map, &map->needed, &map->needed_count, digest, size_bytes, err);
}

static const char *member_path(const struct oci_digest *digest, char out[MEMBER_PATH_MAX])
{
	char hex[OCI_DIGEST_TEXT_MAX];

	snprintf(out, MEMBER_PATH_MAX, "blobs/%s/%s", oci_digest_alg_name(digest->alg), oci_digest_hex(digest, hex));
	return out;
}

static uint64_t padded(uint64_t size_bytes)
{
	return size_bytes + oci_tar_padding(size_bytes);
}

static int place_blobs(struct oci_bundle_map *map, struct oci_error *err)
{
	uint64_t end = oci_tar_header_bytes(LAYOUT_FILE) + padded(strlen(OCI_LAYOUT_TEXT)) +
		oci_tar_header_bytes(INDEX_FILE) + padded(map->index.len) +
		oci_tar_header_bytes(OCI_BUNDLE_MAP_FILE) + padded(map->text.len);
	char path[MEMBER_PATH_MAX];

	for (size_t i = 0; i < map->count; i++) {
		struct oci_bundle_blob *blob = &map->blobs[i];

		if (blob->size_bytes > STREAM_MAX - end)
			return oci_fail(err, OCI_E_FORMAT, "the blobs are larger than a file can be");
		blob->offset = end + oci_tar_header_bytes(member_path(&blob->digest, path));
		end = blob->offset + padded(blob->size_bytes);
	}
	map->stream_bytes = end + OCI_TAR_END_BYTES;
	return 0;
}

static const struct oci_bundle_blob *blob_at(const struct oci_bundle_map *map, size_t number)
{
	return number < map->count ? &map->blobs[number] : &map->needed[number - map->count];
}

static int compare(const struct oci_digest *x, const struct oci_digest *y)
{
	if (x->alg != y->alg)
		return x->alg < y->alg ? -1 : 1;
	return memcmp(x->bytes, y->bytes, sizeof x->bytes);
}

static int by_digest(const void *a, const void *b, void *map)
{
	return compare(&blob_at(map, *(const size_t *)a)->digest, &blob_at(map, *(const size_t *)b)->digest);
}

static int sort(struct oci_bundle_map *map, struct oci_error *err)
{
	size_t all = map->count + map->needed_count;
	char text[OCI_DIGEST_TEXT_MAX];

	map->by_digest = calloc(all + 1, sizeof *map->by_digest);
	if (!map->by_digest)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < all; i++)
		map->by_digest[i] = i;
	qsort_r(map->by_digest, all, sizeof *map->by_digest, by_digest, map);
	for (size_t i = 1; i < all; i++)
		if (by_digest(&map->by_digest[i - 1], &map->by_digest[i], map) == 0)
			return oci_fail(err, OCI_E_FORMAT, "blob '%s' is listed twice",
				oci_digest_format(&blob_at(map, map->by_digest[i])->digest, text));
	return 0;
}

const struct oci_bundle_blob *oci_bundle_map_find(const struct oci_bundle_map *map,
	const struct oci_digest *digest, bool *needed)
{
	size_t low = 0, high = map->count + map->needed_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct oci_bundle_blob *blob = blob_at(map, map->by_digest[middle]);
		int order = compare(&blob->digest, digest);

		if (order == 0) {
			*needed = map->by_digest[middle] >= map->count;
			return blob;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void put_blobs(struct oci_json_writer *w, const char *key, const struct oci_bundle_blob *blobs, size_t count)
{
	char text[OCI_DIGEST_TEXT_MAX];

	oci_json_array(w, key);
	for (size_t i = 0; i < count; i++) {
		oci_json_object(w, NULL);
		oci_json_put_text(w, "digest", oci_digest_format(&blobs[i].digest, text));
		oci_json_put_u64(w, "size", blobs[i].size_bytes);
		oci_json_close(w);
	}
	oci_json_close(w);
}

/* The index as every reader of the map gets it back: parsed and written again. */
static int put_index(struct oci_bundle_map *map, const struct oci_buf *index, struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;

	doc = oci_json_parse(oci_buf_text(index), index->len, &OCI_JSON_MANIFEST, err);
	return doc ? oci_json_dump(doc, &map->index, err) : -1;
}

static int finish(struct oci_bundle_map *map, struct oci_error *err)
{
	oci_digest_of(OCI_SHA256, map->text.data, map->text.len, &map->id);
	return sort(map, err) < 0 || place_blobs(map, err) < 0 ? -1 : 0;
}

int oci_bundle_map_seal(struct oci_bundle_map *map, const struct oci_buf *index, struct oci_error *err)
{
	struct oci_json_writer w;

	if (put_index(map, index, err) < 0)
		return oci_wrap(err, "'" INDEX_FILE "'");
	oci_json_begin(&w, &map->text);
	oci_json_object(&w, NULL);
	oci_json_put_u64(&w, "bundleVersion", VERSION);
	oci_json_put_raw(&w, "index", oci_buf_text(&map->index));
	oci_json_put_u64(&w, "documents", map->documents);
	put_blobs(&w, "blobs", map->blobs, map->count);
	put_blobs(&w, "needed", map->needed, map->needed_count);
	oci_json_close(&w);
	if (oci_json_end(&w, err) < 0)
		return -1;
	return finish(map, err);
}

typedef int (*add_fn)(struct oci_bundle_map *map, const struct oci_digest *digest, uint64_t size_bytes,
	struct oci_error *err);

static int take_blobs(struct oci_bundle_map *map, const struct oci_json *doc, const char *key, add_fn take,
	struct oci_error *err)
{
	const struct oci_json *list = oci_json_get(doc, key);
	struct oci_digest digest;
	uint64_t size;

	if (!list || !oci_json_is_array(list))
		return oci_fail(err, OCI_E_FORMAT, "it has no list of '%s'", key);
	for (size_t i = 0; i < oci_json_count(list); i++) {
		const struct oci_json *item = oci_json_at(list, i);
		const char *text = oci_json_text(item, "digest");

		if (!text || !oci_json_u64(item, "size", &size))
			return oci_fail(err, OCI_E_FORMAT, "a blob has no digest or size");
		if (oci_digest_parse(text, &digest, err) < 0 || take(map, &digest, size, err) < 0)
			return -1;
	}
	return 0;
}

static int take_document(struct oci_bundle_map *map, const struct oci_json *doc, struct oci_error *err)
{
	const struct oci_json *index = oci_json_get(doc, "index");
	uint64_t version, documents;

	if (!oci_json_u64(doc, "bundleVersion", &version))
		return oci_fail(err, OCI_E_FORMAT, "it has no bundleVersion");
	if (version != VERSION)
		return oci_fail(err, OCI_E_UNSUPPORTED, "version %llu is not understood, %d is",
			(unsigned long long)version, VERSION);
	if (!oci_json_is_object(index))
		return oci_fail(err, OCI_E_FORMAT, "it has no index");
	if (!oci_json_u64(doc, "documents", &documents))
		return oci_fail(err, OCI_E_FORMAT, "it does not say how many documents there are");
	map->documents = (size_t)documents;
	if (oci_json_dump(index, &map->index, err) < 0 ||
		take_blobs(map, doc, "blobs", oci_bundle_map_add, err) < 0 ||
		take_blobs(map, doc, "needed", oci_bundle_map_need, err) < 0)
		return -1;
	if (documents > map->count)
		return oci_fail(err, OCI_E_FORMAT, "it says that there are more documents than blobs");
	return 0;
}

int oci_bundle_map_parse(const char *text, size_t len, struct oci_bundle_map *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;

	if (oci_buf_append(&ret->text, text, len, err) < 0)
		return oci_wrap(err, "'" OCI_BUNDLE_MAP_FILE "'");
	doc = oci_json_parse(text, len, &OCI_JSON_INDEX, err);
	if (!doc || take_document(ret, doc, err) < 0 || finish(ret, err) < 0)
		return oci_wrap(err, "'" OCI_BUNDLE_MAP_FILE "'");
	return 0;
}

static int put_member(struct oci_buf *out, const char *path, const void *data, size_t len, struct oci_error *err)
{
	if (oci_tar_add_header(out, path, OCI_TAR_FILE, len, err) < 0 || oci_buf_append(out, data, len, err) < 0)
		return -1;
	return oci_buf_append_zeros(out, oci_tar_padding(len), err);
}

static int put_beginning(const struct oci_bundle_map *map, struct oci_buf *out, struct oci_error *err)
{
	if (put_member(out, LAYOUT_FILE, OCI_LAYOUT_TEXT, strlen(OCI_LAYOUT_TEXT), err) < 0 ||
		put_member(out, INDEX_FILE, map->index.data, map->index.len, err) < 0)
		return -1;
	return put_member(out, OCI_BUNDLE_MAP_FILE, map->text.data, map->text.len, err);
}

int oci_bundle_map_gap(const struct oci_bundle_map *map, size_t i, struct oci_buf *out, struct oci_error *err)
{
	char path[MEMBER_PATH_MAX];

	if (i == 0 ? put_beginning(map, out, err) < 0
		   : oci_buf_append_zeros(out, oci_tar_padding(map->blobs[i - 1].size_bytes), err) < 0)
		return -1;
	if (i == map->count)
		return oci_buf_append_zeros(out, OCI_TAR_END_BYTES, err);
	return oci_tar_add_header(out, member_path(&map->blobs[i].digest, path), OCI_TAR_FILE,
		map->blobs[i].size_bytes, err);
}

uint64_t oci_bundle_map_gap_offset(const struct oci_bundle_map *map, size_t i)
{
	return i == 0 ? 0 : map->blobs[i - 1].offset + map->blobs[i - 1].size_bytes;
}
