/* layer.h - the byte shape of a layer that we write
 *
 * A layer is fixed by the names and sizes of its files alone: headers, data,
 * padding, end blocks (spec/layers.md). So one walk over that shape serves to
 * write a layer from a directory, to check that a blob is what its index
 * says while its files are placed, and to prove a tree on disk against the
 * layer's digest.
 *
 *     struct oci_layer_walk walk;
 *     oci_layer_walk_init(&walk, &shape);
 *     while ((rc = oci_layer_walk_next(&walk, &segment, err)) > 0)
 *             segment.bytes ? exactly these bytes : segment.length bytes of file segment.file
 *                                                   (0 for an empty file)
 *     oci_layer_walk_clear(&walk);
 *
 * A shape borrows its names. A raw layer is one file and nothing else.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "stream/reader.h"

struct oci_layer_file {
	const char *path; /* below the root, '/' between components */
	uint64_t size_bytes;
};

struct oci_layer_shape {
	const char *root; /* "models/", or "" */
	bool raw;
	const struct oci_layer_file *files; /* sorted by path bytes */
	size_t count;
};

struct oci_layer_segment {
	const void *bytes; /* literal bytes; NULL: data of a file */
	size_t file;       /* which one, when bytes is NULL */
	uint64_t length;
	uint64_t offset;   /* of the segment in the layer */
};

struct oci_layer_walk {
	const struct oci_layer_shape *shape;
	struct oci_buf head;
	size_t next;       /* the file whose header comes next */
	bool in_file, ended;
	uint64_t offset;
};

void oci_layer_walk_init(struct oci_layer_walk *walk, const struct oci_layer_shape *shape);
int oci_layer_walk_next(struct oci_layer_walk *walk, struct oci_layer_segment *ret, struct oci_error *err);
void oci_layer_walk_clear(struct oci_layer_walk *walk);

/* Size of the whole layer, and where the data of its first file begins; a
 * NULL result pointer is not filled. */
int oci_layer_measure(const struct oci_layer_shape *shape, uint64_t *size_bytes, uint64_t *start,
	struct oci_error *err);

/* Where the data of the files comes from. */
struct oci_layer_source {
	/* Opens file `file` of the shape for reading. */
	int (*open)(void *ctx, size_t file, struct oci_error *err);
	/* After its last byte: fails when it is not the file it was. May be NULL. */
	int (*check)(void *ctx, size_t file, int fd, struct oci_error *err);
	/* Sees each piece of data on its way, from `offset` of the file on; may be NULL. */
	void (*tap)(void *ctx, size_t file, uint64_t offset, const void *data, size_t len);
	void *ctx;
};

/* The layer as a stream, from a byte `offset` of it on (OCI_E_BUG beyond its
 * end). Shape and source are borrowed until close. A file that ends early fails
 * with OCI_E_SOURCE. */
struct oci_reader *oci_layer_reader(const struct oci_layer_shape *shape,
	const struct oci_layer_source *source, uint64_t offset, struct oci_error *err);
