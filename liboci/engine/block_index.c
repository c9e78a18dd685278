#include "engine/block_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "core/digest_pool.h"

#define TAPE_MAX (64 * OCI_MIB) /* checkpoints of 8 TiB in one layer */

uint64_t oci_block_index_blocks(uint64_t size_bytes, uint64_t start)
{
	return size_bytes <= start ? 0 : (size_bytes - start + OCI_BLOCK_BYTES - 1) / OCI_BLOCK_BYTES;
}

void oci_block_index_tape_init(struct oci_block_index_tape *tape, uint64_t start)
{
	*tape = (struct oci_block_index_tape){.next = start};
	oci_hash_init(&tape->hash, OCI_SHA256);
	oci_buf_init(&tape->chains, TAPE_MAX);
}

int oci_block_index_tape_update(struct oci_block_index_tape *tape, const void *data, size_t len, struct oci_error *err)
{
	const unsigned char *p = data;

	while (len > 0) {
		unsigned char chain[OCI_CHAIN_BYTES];
		size_t take = len;

		if (tape->done == tape->next) {
			oci_hash_chain(&tape->hash, chain);
			if (oci_buf_append(&tape->chains, chain, sizeof chain, err) < 0)
				return -1;
			tape->next += OCI_BLOCK_BYTES;
		}
		if (take > tape->next - tape->done)
			take = (size_t)(tape->next - tape->done);
		if (tape->pool)
			oci_digest_pool_update(tape->pool, &tape->hash, p, take);
		else
			oci_hash_update(&tape->hash, p, take);
		tape->done += take;
		p += take;
		len -= take;
	}
	return 0;
}

void oci_block_index_tape_final(struct oci_block_index_tape *tape, struct oci_digest *ret)
{
	oci_hash_final(&tape->hash, ret);
}

void oci_block_index_tape_clear(struct oci_block_index_tape *tape)
{
	oci_buf_clear(&tape->chains);
}

static int grow(void **items, size_t count, size_t more, size_t size, struct oci_error *err)
{
	void *grown = reallocarray(*items, count + more ? count + more : 1, size);

	if (!grown)
		return oci_fail_nomem(err);
	*items = grown;
	return 0;
}

int oci_block_index_add_layer(struct oci_block_index *index, const struct oci_block_index_layer *layer,
	const struct oci_block_index_file *files, size_t count, const void *chains, struct oci_error *err)
{
	uint64_t blocks = oci_block_index_blocks(layer->size_bytes, layer->start);
	struct oci_block_index_layer *added;

	if (grow((void **)&index->layers, index->layer_count, 1, sizeof *index->layers, err) < 0 ||
		grow((void **)&index->files, index->file_count, count, sizeof *index->files, err) < 0 ||
		grow((void **)&index->chains, index->chain_count, blocks, OCI_CHAIN_BYTES, err) < 0)
		return -1;
	added = &index->layers[index->layer_count];
	*added = *layer;
	added->first = index->chain_count;
	added->first_file = index->file_count;
	added->file_count = 0;
	index->layer_count++;
	for (size_t i = 0; i < count; i++) {
		struct oci_block_index_file *file = &index->files[index->file_count];

		*file = files[i];
		file->layer = index->layer_count - 1;
		file->path = strdup(files[i].path);
		if (!file->path)
			return oci_fail_nomem(err);
		index->file_count++;
		added->file_count++;
	}
	if (blocks > 0)
		memcpy(index->chains + index->chain_count * OCI_CHAIN_BYTES, chains, blocks * OCI_CHAIN_BYTES);
	index->chain_count += blocks;
	return 0;
}

void oci_block_index_clear(struct oci_block_index *index)
{
	for (size_t i = 0; i < index->file_count; i++)
		free(index->files[i].path);
	free(index->files);
	free(index->layers);
	free(index->chains);
	*index = (struct oci_block_index){0};
}

int oci_block_index_shape(const struct oci_block_index *index, size_t i, struct oci_layer_shape *ret,
	struct oci_layer_file **files, struct oci_error *err)
{
	const struct oci_block_index_layer *layer = &index->layers[i];
	struct oci_layer_file *list = calloc(layer->file_count ? layer->file_count : 1, sizeof *list);

	if (!list)
		return oci_fail_nomem(err);
	for (size_t f = 0; f < layer->file_count; f++) {
		list[f].path = index->files[layer->first_file + f].path;
		list[f].size_bytes = index->files[layer->first_file + f].size_bytes;
	}
	*ret = (struct oci_layer_shape){.root = OCI_MODEL_ROOT, .files = list, .count = layer->file_count};
	*files = list;
	return 0;
}

const struct oci_block_index_layer *oci_block_index_find(const struct oci_block_index *index, const struct oci_digest *digest)
{
	for (size_t i = 0; i < index->layer_count; i++)
		if (oci_digest_equal(&index->layers[i].digest, digest))
			return &index->layers[i];
	return NULL;
}

static int check_shape(const struct oci_block_index *index, size_t i, struct oci_error *err)
{
	const struct oci_block_index_layer *layer = &index->layers[i];
	const struct oci_block_index_file *files = &index->files[layer->first_file];
	oci_autofree struct oci_layer_file *list = NULL;
	OCI_CLEANUP(oci_layer_walk_clear) struct oci_layer_walk walk = {0};
	struct oci_layer_shape shape;
	struct oci_layer_segment segment;
	uint64_t start = 0;
	int rc;

	if (oci_block_index_shape(index, i, &shape, &list, err) < 0)
		return -1;
	oci_layer_walk_init(&walk, &shape);
	while ((rc = oci_layer_walk_next(&walk, &segment, err)) > 0) {
		if (segment.offset == 0)
			start = segment.length;
		if (!segment.bytes && files[segment.file].offset != segment.offset)
			return oci_fail(err, OCI_E_FORMAT, "index: file %zu of layer %zu is not at its offset",
				segment.file, i);
	}
	if (rc < 0)
		return -1;
	if (walk.offset != layer->size_bytes || start != layer->start)
		return oci_fail(err, OCI_E_FORMAT, "index: layer %zu has another size than its files", i);
	return 0;
}

int oci_block_index_check_shapes(const struct oci_block_index *index, struct oci_error *err)
{
	for (size_t i = 0; i < index->layer_count; i++)
		if (check_shape(index, i, err) < 0)
			return -1;
	return 0;
}

static const unsigned char *chain_at(const struct oci_block_index *index, uint64_t number)
{
	return index->chains + number * OCI_CHAIN_BYTES;
}

bool oci_block_index_block_ok(const struct oci_block_index *index, const struct oci_block_index_layer *layer, uint64_t k,
	const void *data, size_t len)
{
	uint64_t blocks = oci_block_index_blocks(layer->size_bytes, layer->start);
	unsigned char chain[OCI_CHAIN_BYTES];
	struct oci_digest digest;

	if (k >= blocks)
		return false;
	memcpy(chain, chain_at(index, layer->first + k), sizeof chain);
	if (k + 1 < blocks) {
		if (len != OCI_BLOCK_BYTES)
			return false;
		oci_chain_update(chain, data, len);
		return memcmp(chain, chain_at(index, layer->first + k + 1), sizeof chain) == 0;
	}
	if (len != layer->size_bytes - layer->start - k * OCI_BLOCK_BYTES)
		return false;
	oci_chain_final(chain, data, len, layer->size_bytes, &digest);
	return oci_digest_equal(&digest, &layer->digest);
}

bool oci_block_index_head_ok(const struct oci_block_index *index, const struct oci_block_index_layer *layer, const void *data,
	size_t len)
{
	unsigned char chain[OCI_CHAIN_BYTES];

	if (len != layer->start || oci_block_index_blocks(layer->size_bytes, layer->start) == 0)
		return false;
	oci_chain_start(chain);
	oci_chain_update(chain, data, len);
	return memcmp(chain, chain_at(index, layer->first), sizeof chain) == 0;
}

bool oci_block_index_is(const struct oci_descriptor *layer)
{
	const char *kind = oci_annotations_get(&layer->annotations, OCI_ANNOTATION_KIND);

	return kind && strcmp(kind, "index") == 0;
}
