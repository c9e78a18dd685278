/* safetensors.h - the header of a safetensors file, read and checked
 *
 * The format. A file is
 *
 *     8 bytes          N, the header's length, little endian
 *     N bytes          the header: one JSON object in UTF-8 that begins with
 *                      '{' and may be padded with spaces
 *     the rest         the data
 *
 * The object has a member a tensor, and perhaps "__metadata__", whose values
 * are strings:
 *
 *     "model.embed_tokens.weight": {
 *         "dtype": "BF16", "shape": [32000, 4096], "data_offsets": [0, 262144000]}
 *
 * `shape` is row-major as in the file, slowest dimension first; [] is a scalar
 * and a 0 in it means no data. `data_offsets` are begin and end, counted from
 * the first byte after the header. The ranges cover the data without hole or
 * overlap, in any order. dtypes and their bits:
 *
 *     4   F4
 *     6   F6_E2M3 F6_E3M2
 *     8   BOOL U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E5M2FNUZ F8_E4M3FNUZ
 *     16  U16 I16 F16 BF16
 *     32  U32 I32 F32
 *     64  U64 I64 F64 C64
 *
 * The format's own limit is a header of 100,000,000 bytes. The header is
 * scanned in one pass and never held; memory is 48 bytes a tensor, and a file
 * of more than 200,000 tensors is OCI_E_UNSUPPORTED.
 *
 * OCI_E_FORMAT: no such header; a name twice, or not clean UTF-8; a range whose
 * length is not what shape and dtype make; a hole or an overlap; a file that
 * ends before its last tensor, or goes on after it. A dtype that is not in the
 * list is taken as it is, its range is checked, its size is not.
 */
#pragma once

#include "model/detect.h"

#define OCI_SAFETENSORS_HEADER_MAX 100000000
#define OCI_SAFETENSORS_DTYPES 20

struct oci_safetensors {
	uint64_t header_bytes; /* N; data begins at 8 + N */
	uint64_t tensors;
	uint64_t parameters;                          /* elements of all tensors */
	uint64_t dtype_bytes[OCI_SAFETENSORS_DTYPES]; /* data bytes by dtype */
};

int oci_safetensors_inspect(
	const struct oci_model_tree *tree, size_t file, struct oci_safetensors *ret, struct oci_error *err);
/* Add the counts of `from`: a model is the sum of its shards. */
void oci_safetensors_add(struct oci_safetensors *to, const struct oci_safetensors *from);
/* "bf16", "f8_e4m3": the dtype of most bytes; NULL when there are none. */
const char *oci_safetensors_precision(const struct oci_safetensors *info);
