/* The index layer as bytes: its two members, written and read. */
#include "engine/block_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "core/json.h"
#include "stream/tar.h"

#define STATE_DIR ".modelcar/"
#define INDEX_PATH STATE_DIR "index.json"
#define BLOCKS_PATH STATE_DIR "blocks"

static void put_layer(struct oci_json_writer *w, const struct oci_block_index_layer *layer)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_json_object(w, NULL);
	oci_json_put_text(w, "digest", oci_digest_format(&layer->digest, digest));
	oci_json_put_u64(w, "size", layer->size_bytes);
	oci_json_put_u64(w, "start", layer->start);
	oci_json_put_u64(w, "first", layer->first);
	oci_json_close(w);
}

static void put_file(struct oci_json_writer *w, const struct oci_block_index_file *file)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_json_object(w, NULL);
	oci_json_put_text(w, "path", file->path);
	oci_json_put_u64(w, "size", file->size_bytes);
	oci_json_put_u64(w, "layer", file->layer);
	oci_json_put_u64(w, "offset", file->offset);
	if (file->digest.alg)
		oci_json_put_text(w, "digest", oci_digest_format(&file->digest, digest));
	oci_json_close(w);
}

static int format_json(const struct oci_block_index *index, struct oci_buf *out, struct oci_error *err)
{
	struct oci_json_writer w;

	oci_json_begin(&w, out);
	oci_json_object(&w, NULL);
	oci_json_put_u64(&w, "layoutVersion", OCI_BLOCK_INDEX_VERSION);
	oci_json_put_u64(&w, "blockSize", OCI_BLOCK_BYTES);
	oci_json_array(&w, "layers");
	for (size_t i = 0; i < index->layer_count; i++)
		put_layer(&w, &index->layers[i]);
	oci_json_close(&w);
	oci_json_array(&w, "files");
	for (size_t i = 0; i < index->file_count; i++)
		put_file(&w, &index->files[i]);
	oci_json_close(&w);
	oci_json_close(&w);
	return oci_json_end(&w, err);
}

static int add_member(struct oci_buf *out, const char *path, const void *data, size_t len, struct oci_error *err)
{
	if (oci_tar_add_header(out, path, OCI_TAR_FILE, len, err) < 0 || oci_buf_append(out, data, len, err) < 0)
		return -1;
	return oci_buf_append_zeros(out, oci_tar_padding(len), err);
}

int oci_block_index_format(const struct oci_block_index *index, struct oci_buf *out, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf json;

	oci_buf_init(&json, OCI_JSON_INDEX.bytes); /* what it may be when it is read */
	if (format_json(index, &json, err) < 0 ||
		oci_tar_add_header(out, STATE_DIR, OCI_TAR_DIR, 0, err) < 0 ||
		add_member(out, BLOCKS_PATH, index->chains, index->chain_count * OCI_CHAIN_BYTES, err) < 0 ||
		add_member(out, INDEX_PATH, json.data, json.len, err) < 0)
		return -1;
	return oci_buf_append_zeros(out, OCI_TAR_END_BYTES, err);
}

static int take_member(struct oci_tar *tar, struct oci_buf *out, struct oci_error *err)
{
	const void *data;
	size_t len;

	for (;;) {
		if (oci_tar_read(tar, &data, &len, err) < 0)
			return -1;
		if (len == 0)
			return 0;
		if (oci_buf_append(out, data, len, err) < 0)
			return -1;
	}
}

static int read_members(const void *data, size_t len, struct oci_buf *json, struct oci_buf *blocks,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = NULL;
	struct oci_reader *reader = oci_reader_memory(data, len, err);
	struct oci_tar_entry entry;
	int rc;

	if (!reader)
		return -1;
	tar = oci_tar_open_take(reader, err);
	if (!tar)
		return -1;
	while ((rc = oci_tar_next(tar, &entry, err)) > 0) {
		struct oci_buf *to = strcmp(entry.path, INDEX_PATH) == 0 ? json
			: strcmp(entry.path, BLOCKS_PATH) == 0           ? blocks
									 : NULL;

		if (!to || entry.type != OCI_TAR_FILE)
			continue;
		if (to->len > 0)
			return oci_fail(err, OCI_E_FORMAT, "index: '%s' stands twice", entry.path);
		if (take_member(tar, to, err) < 0)
			return -1;
	}
	return rc;
}

static bool in_layer(uint64_t offset, uint64_t length, uint64_t size)
{
	return offset <= size && length <= size - offset;
}

static int parse_layer(const struct oci_json *value, struct oci_block_index *index, struct oci_error *err)
{
	struct oci_block_index_layer *layer = &index->layers[index->layer_count];
	const char *digest = oci_json_text(value, "digest");
	uint64_t blocks;

	*layer = (struct oci_block_index_layer){0};
	if (!digest || oci_digest_parse(digest, &layer->digest, err) < 0 || layer->digest.alg != OCI_SHA256 ||
		!oci_json_u64(value, "size", &layer->size_bytes) || !oci_json_u64(value, "start", &layer->start) ||
		!oci_json_u64(value, "first", &layer->first))
		return oci_fail(err, OCI_E_FORMAT, "index: layer %zu is incomplete", index->layer_count);
	blocks = oci_block_index_blocks(layer->size_bytes, layer->start);
	if (layer->start % OCI_CHAIN_BLOCK || layer->start >= layer->size_bytes ||
		!in_layer(layer->first, blocks, index->chain_count))
		return oci_fail(err, OCI_E_FORMAT, "index: layer %zu is out of range", index->layer_count);
	index->layer_count++;
	return 0;
}

/* Files come by layer and path, so each layer's are a run. */
static int place_file(struct oci_block_index *index, struct oci_block_index_file *file, struct oci_error *err)
{
	const struct oci_block_index_file *before = index->file_count ? file - 1 : NULL;
	struct oci_block_index_layer *layer = &index->layers[file->layer];

	if (before && (before->layer > file->layer ||
			      (before->layer == file->layer && strcmp(before->path, file->path) >= 0)))
		return oci_fail(err, OCI_E_FORMAT, "index: files are not in order");
	if (layer->file_count == 0)
		layer->first_file = index->file_count;
	layer->file_count++;
	return 0;
}

static int parse_file(const struct oci_json *value, struct oci_block_index *index, struct oci_error *err)
{
	struct oci_block_index_file *file = &index->files[index->file_count];
	const char *path = oci_json_text(value, "path"), *digest = oci_json_text(value, "digest");
	char shown[OCI_STR_ESCAPE_MAX];
	uint64_t layer;

	*file = (struct oci_block_index_file){0};
	if (!path || !oci_json_u64(value, "size", &file->size_bytes) ||
		!oci_json_u64(value, "offset", &file->offset) || !oci_json_u64(value, "layer", &layer) ||
		layer >= index->layer_count)
		return oci_fail(err, OCI_E_FORMAT, "index: file %zu is incomplete", index->file_count);
	if (!oci_fs_path_ok(path) || !oci_str_clean_utf8(path))
		return oci_fail(err, OCI_E_FORMAT, "index: unsafe path '%s'", oci_str_escape(path, shown));
	if (!in_layer(file->offset, file->size_bytes, index->layers[layer].size_bytes))
		return oci_fail(err, OCI_E_FORMAT, "index: file '%s' lies outside its layer",
			oci_str_escape(path, shown));
	if (digest && oci_digest_parse(digest, &file->digest, err) < 0)
		return -1;
	file->layer = (size_t)layer;
	file->path = (char *)path; /* borrowed until its place is known to be right */
	if (place_file(index, file, err) < 0)
		return -1;
	file->path = strdup(path);
	if (!file->path)
		return oci_fail_nomem(err);
	index->file_count++;
	return 0;
}

static int parse_json(const struct oci_json *doc, struct oci_block_index *index, struct oci_error *err)
{
	const struct oci_json *layers = oci_json_get(doc, "layers"), *files = oci_json_get(doc, "files");
	uint64_t version, block;

	if (!oci_json_u64(doc, "layoutVersion", &version) || !oci_json_u64(doc, "blockSize", &block))
		return oci_fail(err, OCI_E_FORMAT, "index: no layoutVersion or blockSize");
	if (version != OCI_BLOCK_INDEX_VERSION || block != OCI_BLOCK_BYTES)
		return oci_fail(err, OCI_E_UNSUPPORTED,
			"index: layout version %llu with blocks of %llu is newer than this program",
			(unsigned long long)version, (unsigned long long)block);
	index->layers = calloc(oci_json_count(layers) + 1, sizeof *index->layers);
	index->files = calloc(oci_json_count(files) + 1, sizeof *index->files);
	if (!index->layers || !index->files)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < oci_json_count(layers); i++)
		if (parse_layer(oci_json_at(layers, i), index, err) < 0)
			return -1;
	for (size_t i = 0; i < oci_json_count(files); i++)
		if (parse_file(oci_json_at(files, i), index, err) < 0)
			return -1;
	return 0;
}

int oci_block_index_parse(const void *data, size_t len, struct oci_block_index *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf json, blocks;
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
	OCI_CLEANUP(oci_block_index_clear) struct oci_block_index index = {0};

	oci_buf_init(&json, OCI_JSON_INDEX.bytes);
	oci_buf_init(&blocks, OCI_BLOCK_INDEX_MAX);
	if (read_members(data, len, &json, &blocks, err) < 0)
		return oci_wrap(err, "index layer");
	if (json.len == 0 || blocks.len % OCI_CHAIN_BYTES)
		return oci_fail(err, OCI_E_FORMAT, "index layer: '%s' or '%s' is missing or cut", INDEX_PATH,
			BLOCKS_PATH);
	doc = oci_json_parse(json.data, json.len, &OCI_JSON_INDEX, err);
	if (!doc)
		return -1;
	index.chain_count = blocks.len / OCI_CHAIN_BYTES;
	index.chains = (unsigned char *)oci_steal(&blocks.data);
	if (parse_json(doc, &index, err) < 0 || oci_block_index_check_shapes(&index, err) < 0)
		return -1;
	*ret = index;
	index = (struct oci_block_index){0};
	return 0;
}
