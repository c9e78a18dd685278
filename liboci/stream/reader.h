/* reader.h - bytes that are pulled
 *
 *     ssize_t n;
 *     while ((n = oci_reader_read(r, buf, sizeof buf, err)) > 0) ...
 *     oci_reader_close(r);
 *
 * read returns 1..size bytes, 0 at the end, -1 on failure; after 0 or -1 it
 * is not called again. A reader that wraps another owns it ("take": also when
 * the wrapping fails). close accepts NULL.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

struct oci_reader {
	const struct oci_reader_ops *ops;
};

struct oci_reader_ops {
	ssize_t (*read)(struct oci_reader *r, void *data, size_t size, struct oci_error *err);
	void (*close)(struct oci_reader *r);
};

ssize_t oci_reader_read(struct oci_reader *r, void *data, size_t size, struct oci_error *err);
void oci_reader_close(struct oci_reader *r);
void oci_reader_cleanup(struct oci_reader **r);

/* Reads until `size` bytes or the end; returns the count or -1. */
ssize_t oci_reader_read_full(struct oci_reader *r, void *data, size_t size, struct oci_error *err);
/* Reads all of it into a bounded buffer. */
int oci_reader_slurp(struct oci_reader *r, struct oci_buf *out, struct oci_error *err);
/* Reads to the end and throws it away. */
int oci_reader_drain(struct oci_reader *r, struct oci_error *err);

/* Borrows the memory until close. */
struct oci_reader *oci_reader_memory(const void *data, size_t len, struct oci_error *err);
/* `length` bytes from `offset` of a file; a file that ends early fails with
 * OCI_E_IO. `fd` is taken (closed at the end). */
struct oci_reader *oci_reader_file_take(int fd, uint64_t offset, uint64_t length, struct oci_error *err);

