/* unpack.h - one layer becomes files in a directory of its own
 *
 * The reader is a verifying one: what lands here counts only after the whole
 * layer was read without failure. Every name is resolved below the directory;
 * links are not made but listed, for engine/merge.h to make when all files
 * are there; an empty file keeps their place, so that a layer which names a path
 * twice fails whatever the two are. Owners, special bits and times of foreign layers are ignored:
 * files are 0664, or 0775 when their owner may execute them, directories 0775.
 *
 * Without a directory (`dir` -1) nothing is written: the layer is only listed.
 */
#pragma once

#include <stdatomic.h>

#include "base/event.h"
#include "engine/listing.h"

#define OCI_UNPACK_ENTRIES_MAX 1000000
/* Memory for the names of one image's foreign layers, about 100,000 files;
 * more is OCI_E_UNSUPPORTED. */
#define OCI_UNPACK_NAMES_MAX (44 * OCI_MIB)

struct oci_unpack_link {
	char *path, *target; /* below the root, both; a symbolic link's target as stored */
	bool symbolic;
};

struct oci_unpacked {
	struct oci_listing files;      /* sorted by path; digest where it was asked for */
	struct oci_strings dirs;
	struct oci_strings whiteouts;  /* "a/b": hidden in the layers below */
	struct oci_strings opaques;    /* "a": all below it is hidden in the layers below; "" the root */
	struct oci_unpack_link *links;
	size_t link_count;
	struct oci_strings outside;    /* first names that do not lie below the root */
	unsigned long long name_bytes; /* its part of what is held for names */
};
void oci_unpacked_clear(struct oci_unpacked *u);

struct oci_unpack_options {
	int dir;                       /* where to, or -1 */
	const char *root;              /* only what lies below it, "models/" or "" */
	const char *strip;             /* taken off where a name begins with it; NULL: nothing */
	struct oci_filter filter;
	bool digests;                  /* a sha256 for every file */
	const struct oci_observer *observer;
	const atomic_int *cancel;
	const atomic_bool *failed;     /* another worker failed; NULL: none */
	atomic_ullong *name_bytes;     /* held for names, by all layers together; NULL: not bounded */
};

/* A tar: an image's layer when `whiteouts` are to be understood, else an artifact's. Takes the reader. */
int oci_unpack_tar_take(struct oci_reader *layer, bool whiteouts, const struct oci_unpack_options *options,
	struct oci_unpacked *ret, struct oci_error *err);
/* A layer in our format: bytes that are not its shape's fail with OCI_E_FORMAT. */
int oci_unpack_shaped(struct oci_reader *layer, const struct oci_layer_shape *shape,
	const struct oci_unpack_options *options, struct oci_unpacked *ret, struct oci_error *err);
/* One file. */
int oci_unpack_raw(struct oci_reader *layer, const char *path, const struct oci_unpack_options *options,
	struct oci_unpacked *ret, struct oci_error *err);
