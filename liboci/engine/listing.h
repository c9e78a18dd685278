/* listing.h - the files of a model: what ls shows, diff compares, the record
 * keeps and verify proves
 *
 * A file is known by its own digest, or by being a part of a layer in our
 * format whose every file is there: then the layer's digest proves it.
 */
#pragma once

#include "base/str.h"
#include "engine/image.h"

#define OCI_LISTING_NO_LAYER ((size_t)-1)
/* Files of one image: as many as OCI_JSON_INDEX lets an index or a record hold. */
#define OCI_LISTING_FILES_MAX 100000

/* Which staged part holds a file (engine/unpack.h). */
struct oci_listing_part {
	uint32_t layer, number;
	bool linked; /* by a hard link: the part's own place is elsewhere */
};

struct oci_listing_file {
	char *path;
	char *link;               /* target of a symbolic link; NULL: a file */
	char *target;             /* of a link that stands for a file: where that is; NULL: it does not */
	uint64_t size_bytes;
	int64_t mtime_ns;         /* on disk; 0: not known */
	uint32_t mode;            /* 0664 or 0775 */
	bool special;             /* on disk: fifo, socket or device, which no image holds */
	struct oci_digest digest; /* alg 0: not known */
	size_t layer;             /* in `layers`, or OCI_LISTING_NO_LAYER */
	struct oci_listing_part part; /* of a tree that is being staged */
};

static inline bool oci_listing_is_file(const struct oci_listing_file *file)
{
	return !file->special && (!file->link || file->target);
}

struct oci_listing_layer {
	struct oci_digest digest;
	uint64_t size_bytes;
};

struct oci_listing {
	struct oci_listing_file *files; /* sorted by path */
	size_t count;
	struct oci_listing_layer *layers;
	size_t layer_count;
};

/* Appends a copy of the path; other fields are the caller's to fill. */
struct oci_listing_file *oci_listing_add(struct oci_listing *l, const char *path, struct oci_error *err);
int oci_listing_add_layer(struct oci_listing *l, const struct oci_digest *digest, uint64_t size_bytes,
	struct oci_error *err);
void oci_listing_sort(struct oci_listing *l);
/* In a sorted listing; NULL when absent. */
const struct oci_listing_file *oci_listing_find(const struct oci_listing *l, const char *path);
/* The shape of layer `i` from the files that say so; arrays are the caller's to
 * free: *numbers[n] is the listing's number of the shape's file n. */
int oci_listing_shape(const struct oci_listing *l, size_t i, struct oci_layer_shape *ret,
	struct oci_layer_file **files, size_t **numbers, struct oci_error *err);
void oci_listing_clear(struct oci_listing *l);

/* Which files are wanted: all, or those that an include matches, less those
 * that an exclude matches; and of them those that are listed, where some are. */
struct oci_filter {
	const struct oci_strings *include, *exclude; /* globs; NULL: none */
	const struct oci_listing *only;              /* these paths and no others; NULL: any */
};
bool oci_filter_takes(const struct oci_filter *filter, const char *path);
bool oci_filter_is_empty(const struct oci_filter *filter);
