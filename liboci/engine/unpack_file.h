/* unpack_file.h - one file on its way into a directory (private to unpack*.c)
 *
 *     unpack_file_begin(&file, options, path, mode, size, err);
 *     unpack_file_write(&file, data, len, err) ...
 *     unpack_file_end(&file, ret, err);     durable, and listed in `ret`
 *     unpack_file_clear(&file);             always
 */
#pragma once

#include "engine/unpack.h"

struct unpack_file {
	const struct oci_unpack_options *options;
	const char *path;
	uint32_t mode;
	uint64_t size_bytes, done;
	int fd;
	struct oci_hash hash;
};

int unpack_file_begin(struct unpack_file *file, const struct oci_unpack_options *options, const char *path,
	uint32_t mode, uint64_t size_bytes, struct oci_error *err);
int unpack_file_write(struct unpack_file *file, const void *data, size_t len, struct oci_error *err);
int unpack_file_end(struct unpack_file *file, struct oci_unpacked *ret, struct oci_error *err);
void unpack_file_clear(struct unpack_file *file);

/* Fails when the run was cancelled. */
int unpack_check(const struct oci_unpack_options *options, struct oci_error *err);
