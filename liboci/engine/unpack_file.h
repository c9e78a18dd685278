/* unpack_file.h - one file on its way into the stage (private to unpack*.c and ledger*.c)
 *
 *     unpack_file_begin(&file, options, ret, err);     what stands before it in the struct is filled in
 *     unpack_file_write(&file, data, len, err) ...
 *     unpack_file_end(&file, err);          durable, and listed in `ret`
 *     unpack_file_clear(&file);             always
 */
#pragma once

#include "engine/unpack.h"

#define UNPACK_FILE_NONE ((struct unpack_file){.fd = -1})

struct unpack_file {
	const char *path;
	struct oci_listing_part part;
	uint32_t mode;
	uint64_t size_bytes;
	uint64_t begin; /* of its data in the layer */
	const struct oci_digest *proven; /* its sha256, where the layer's reader proves it; NULL: it is hashed */

	const struct oci_unpack_options *options;
	struct oci_unpacked *ret;
	uint64_t done;
	int fd;
	struct oci_hash hash;
};

/* The SHA-256 chaining value of what is written, a multiple of 64 bytes: `layer` is that of the layer. */
void unpack_file_chain(const struct unpack_file *file, const unsigned char layer[OCI_CHAIN_BYTES],
	unsigned char ret[OCI_CHAIN_BYTES]);
int unpack_file_begin(struct unpack_file *file, const struct oci_unpack_options *options, struct oci_unpacked *ret,
	struct oci_error *err);
/* The same for the file that options->ledger has begun. */
int unpack_file_resume(struct unpack_file *file, const struct oci_unpack_options *options, struct oci_unpacked *ret,
	struct oci_error *err);
int unpack_file_write(struct unpack_file *file, const void *data, size_t len, struct oci_error *err);
int unpack_file_end(struct unpack_file *file, struct oci_error *err);
void unpack_file_clear(struct unpack_file *file);

/* Read `length` bytes of the layer into the file, by pieces of 1 MiB in `chunk`. */
int unpack_file_fill(struct unpack_file *file, struct oci_reader *layer, uint64_t length, char *chunk,
	struct oci_error *err);

/* Fails when the run was cancelled. */
int unpack_check(const struct oci_unpack_options *options, struct oci_error *err);
