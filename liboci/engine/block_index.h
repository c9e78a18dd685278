/* block_index.h - the index layer: where each file lies, and checkpoints to verify it
 *
 * spec/index-layer.md. The last layer of an image in our format is a small tar
 * with `.modelcar/index.json` (layers, and per file path, size, layer, offset,
 * sha256 where known) and `.modelcar/blocks`: for each layer the SHA-256
 * chaining values of the layer's own digest at start + k * 4 MiB. A block is
 * proven by compressing it from value k to value k+1 (the last one to the
 * digest): alone, in any order. When the bytes before `start` and all blocks
 * hold, the digest of the layer is proven.
 *
 * An index is foreign input: oci_block_index_parse() checks that every number is
 * within its layer and every path is safe (OCI_E_FORMAT). A
 * layer counts only where the manifest names the same digest.
 */
#pragma once

#include "core/manifest.h"
#include "engine/layer.h"

#define OCI_BLOCK_BYTES (4 * OCI_MIB)
#define OCI_BLOCK_INDEX_VERSION 1
#define OCI_BLOCK_INDEX_MAX (128 * OCI_MIB) /* the whole layer, in memory */
#define OCI_MODEL_ROOT "models/"
#define OCI_ANNOTATION_KIND "io.modelcar.kind"

struct oci_digest_pool;

struct oci_block_index_layer {
	struct oci_digest digest;
	uint64_t size_bytes;
	uint64_t start;          /* where the data of the first file begins */
	uint64_t first;          /* number of its first checkpoint in `chains` */
	size_t first_file, file_count; /* its files, a run of `files` */
};

struct oci_block_index_file {
	char *path;              /* below models/ */
	uint64_t size_bytes;
	uint64_t offset;         /* of its data in the layer */
	size_t layer;
	struct oci_digest digest; /* alg 0: not recorded */
};

struct oci_block_index {
	struct oci_block_index_layer *layers;
	size_t layer_count;
	struct oci_block_index_file *files; /* by layer, then path; a path may stand in two layers: the later one counts */
	size_t file_count;
	unsigned char *chains;   /* OCI_CHAIN_BYTES each */
	uint64_t chain_count;
};

/* Number of checkpoints, which is the number of blocks, of a layer. */
uint64_t oci_block_index_blocks(uint64_t size_bytes, uint64_t start);

/* Collects the checkpoints of a layer as it is hashed:
 *     oci_block_index_tape_init(&tape, start);
 *     oci_block_index_tape_update(&tape, data, len, err) ... over the whole layer
 *     oci_block_index_tape_final(&tape, &digest);        then tape.chains is complete
 */
#define OCI_BLOCK_INDEX_NO_START UINT64_MAX /* no checkpoints, the digest alone */
struct oci_block_index_tape {
	struct oci_hash hash;
	uint64_t done, next;
	struct oci_buf chains;
	struct oci_digest_pool *pool; /* to hash in company; NULL, as it is at first: alone */
};
void oci_block_index_tape_init(struct oci_block_index_tape *tape, uint64_t start);
int oci_block_index_tape_update(struct oci_block_index_tape *tape, const void *data, size_t len, struct oci_error *err);
void oci_block_index_tape_final(struct oci_block_index_tape *tape, struct oci_digest *ret);
void oci_block_index_tape_clear(struct oci_block_index_tape *tape);

/* Append a layer with its files (copied) and checkpoints; files sorted by path. */
int oci_block_index_add_layer(struct oci_block_index *index, const struct oci_block_index_layer *layer,
	const struct oci_block_index_file *files, size_t count, const void *chains, struct oci_error *err);

/* The index layer's bytes. */
int oci_block_index_format(const struct oci_block_index *index, struct oci_buf *out, struct oci_error *err);
/* From the verified bytes of an index layer. */
int oci_block_index_parse(const void *data, size_t len, struct oci_block_index *ret, struct oci_error *err);
void oci_block_index_clear(struct oci_block_index *index);

/* The shape of layer `i`; *files is the caller's to free. */
int oci_block_index_shape(const struct oci_block_index *index, size_t i, struct oci_layer_shape *ret,
	struct oci_layer_file **files, struct oci_error *err);
/* The layer of this digest, or NULL. */
const struct oci_block_index_layer *oci_block_index_find(const struct oci_block_index *index, const struct oci_digest *digest);
/* Fails with OCI_E_FORMAT unless the offsets and sizes of every file are those
 * of the shape: then headers are known bytes. */
int oci_block_index_check_shapes(const struct oci_block_index *index, struct oci_error *err);

/* Is this block `k` of the layer? `data` is [start + k * 4 MiB, at most 4 MiB, end). */
bool oci_block_index_block_ok(const struct oci_block_index *index, const struct oci_block_index_layer *layer, uint64_t k,
	const void *data, size_t len);
/* Are these the bytes before `start`? */
bool oci_block_index_head_ok(const struct oci_block_index *index, const struct oci_block_index_layer *layer, const void *data,
	size_t len);

/* True for the descriptor of an index layer. */
bool oci_block_index_is(const struct oci_descriptor *layer);
