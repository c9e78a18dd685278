/* gguf.h - the header of a GGUF file, read and checked
 *
 * The format, versions 2 and 3, little endian:
 *
 *     "GGUF"  u32 version  u64 tensors  u64 pairs
 *     pairs   string key, u32 type, value
 *     tensors string name, u32 dimensions, u64 each, u32 type, u64 offset
 *     zeros up to the next multiple of the alignment, then the data
 *
 * A string is a u64 length and as many bytes. Value types: 0 u8, 1 i8, 2 u16,
 * 3 i16, 4 u32, 5 i32, 6 f32, 7 bool, 8 string, 9 array (u32 type, u64 count,
 * values), 10 u64, 11 i64, 12 f64. The alignment is the pair
 * general.alignment, a power of two, else 32. A tensor's offset is counted
 * from the first data byte and is a multiple of the alignment.
 *
 * Dimensions stand fastest first, the other way round than in safetensors. A
 * tensor type packs blocks of elements into bytes (Q4_K: 256 into 144); the
 * first dimension is a multiple of the block.
 *
 * Pairs are scanned, not held; arrays, such as a tokenizer's 250,000 words,
 * are passed over. Bounds: 65,536 pairs, OCI_EXTENTS_MAX tensors of up to 8
 * dimensions, names of 1023 bytes, a header of 1 GiB.
 *
 * OCI_E_FORMAT: anything that contradicts the above, a key or tensor twice,
 * tensors that overlap, a file that ends before its last tensor or goes on
 * after it and its padding. OCI_E_UNSUPPORTED: version 1, a version to come,
 * big endian. A tensor type that is not known here has no known size: its
 * offset is checked, its end is not.
 */
#pragma once

#include "model/detect.h"

#define OCI_GGUF_HEADER_MAX ((uint64_t)1 << 30)

struct oci_gguf {
	uint64_t data_offset; /* of the first data byte in the file */
	uint64_t tensors;
	uint64_t parameters;                              /* elements of all tensors */
	const char *file_type;                            /* "Q4_K_M", "BF16"; NULL: not said, or not known */
	char *name, *architecture, *license, *source_url; /* general.*; NULL: absent */
};

int oci_gguf_inspect(
	const struct oci_model_tree *tree, size_t file, struct oci_gguf *ret, struct oci_error *err);
void oci_gguf_clear(struct oci_gguf *info);
