/* archive_input.h - the bytes of an archive at any offset, also where it is compressed
 *
 *     input = oci_archive_input_open(dir, "haul.tar.zst", err);
 *     n = oci_archive_input_read(input, data, len, offset, err);
 *     r = oci_archive_input_reader(input, offset, length, err);
 *     oci_archive_input_free(input);
 *
 * A file or its parts (archive_parts.h), plain or compressed with gzip or zstd;
 * offsets count in what it unpacks to. Where it is compressed there is no way to
 * an offset but from the front: what was unpacked last is gone on from, and
 * only a way back begins anew. Whoever reads in order unpacks once; memory stays
 * bounded by the window (stream/zstd.h).
 *
 * From several threads at once. OCI_E_UNSUPPORTED: compressed otherwise.
 * OCI_E_FORMAT: it ends too early, or is damaged.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "stream/reader.h"

struct oci_archive_input;

/* `dir` is borrowed. */
struct oci_archive_input *oci_archive_input_open(int dir, const char *name, struct oci_error *err);
/* A file that is open; `fd` is taken. */
struct oci_archive_input *oci_archive_input_take(int fd, struct oci_error *err);
/* Compressed: to be read in order, and of a size that is not known. */
bool oci_archive_input_is_stream(const struct oci_archive_input *input);
/* INT64_MAX where it is not known. */
uint64_t oci_archive_input_size(const struct oci_archive_input *input);
/* Until `len` bytes or the end; the count or -1. */
ssize_t oci_archive_input_read(struct oci_archive_input *input, void *data, size_t len, uint64_t offset,
	struct oci_error *err);
/* Borrows the input. */
struct oci_reader *oci_archive_input_reader(struct oci_archive_input *input, uint64_t offset, uint64_t length,
	struct oci_error *err);
void oci_archive_input_free(struct oci_archive_input *input);
