/* unpack.h - one layer becomes staged parts, and lists of what it holds
 *
 * The reader is a verifying one: what lands here counts only after the whole
 * layer was read without failure. Each file becomes a part of the stage, named by
 * the layer and by the file's number in it; where it belongs is in the lists, and
 * engine/merge.h makes one tree of those. Links are listed alone. Owners, special
 * bits and times of foreign layers are ignored: files are 0664, or 0775 when their
 * owner may execute them.
 *
 * Without a stage nothing is written: the layer is only listed. With a ledger
 * (engine/ledger.h) what comes is written down, and a layer that was begun is gone
 * on with: the reader begins then where the ledger ends.
 */
#pragma once

#include <stdatomic.h>

#include "base/event.h"
#include "engine/listing.h"
#include "engine/stage.h"

#define OCI_UNPACK_ENTRIES_MAX 1000000
/* Memory for the names of one image's foreign layers, about 100,000 files;
 * more is OCI_E_UNSUPPORTED. */
#define OCI_UNPACK_NAMES_MAX (44 * OCI_MIB)

struct oci_ledger;

struct oci_unpack_link {
	char *path, *target; /* below the root, both; a symbolic link's target as stored */
	bool symbolic;
};

struct oci_unpacked {
	struct oci_listing files;      /* as they came; digest where it was asked for */
	struct oci_strings dirs;
	struct oci_strings whiteouts;  /* "a/b": hidden in the layers below */
	struct oci_strings opaques;    /* "a": all below it is hidden in the layers below; "" the root */
	struct oci_unpack_link *links;
	size_t link_count;
	struct oci_strings outside;    /* first names that do not lie below the root */
	unsigned long long name_bytes; /* its part of what is held for names */
};
void oci_unpacked_clear(struct oci_unpacked *u);
int oci_unpacked_add_link(struct oci_unpacked *u, const char *path, const char *target, bool symbolic,
	struct oci_error *err);

struct oci_unpack_options {
	const struct oci_stage *stage; /* where to, a flat one; NULL: nowhere */
	size_t layer;                  /* its number, for the names of its parts */
	struct oci_ledger *ledger;     /* NULL: none is kept */
	const char *root;              /* only what lies below it, "models/" or "" */
	const char *strip;             /* taken off where a name begins with it; NULL: nothing */
	struct oci_filter filter;
	bool digests;                  /* a sha256 for every file */
	const struct oci_observer *observer;
	const atomic_int *cancel;
	const atomic_bool *failed;     /* another worker failed; NULL: none */
	/* Asked before what another run has staged goes: fails when we are no longer the writer. NULL: nobody asks. */
	int (*may)(void *ctx, struct oci_error *err);
	void *ctx;
	atomic_ullong *name_bytes;     /* held for names, by all layers together; NULL: not bounded */
};

/* A tar: an image's layer when `whiteouts` are to be understood, else an artifact's. Takes the reader. */
int oci_unpack_tar_take(struct oci_reader *layer, bool whiteouts, const struct oci_unpack_options *options,
	struct oci_unpacked *ret, struct oci_error *err);
/* A layer in our format: bytes that are not its shape's fail with OCI_E_FORMAT. Keeps no ledger. */
int oci_unpack_shaped(struct oci_reader *layer, const struct oci_layer_shape *shape,
	const struct oci_unpack_options *options, struct oci_unpacked *ret, struct oci_error *err);
/* One file: the blob itself, so that a sha256 of the one is that of the other. */
int oci_unpack_raw(struct oci_reader *layer, const char *path, const struct oci_descriptor *blob,
	const struct oci_unpack_options *options, struct oci_unpacked *ret, struct oci_error *err);

/* What a part is called in a flat stage, below stage->fd; in `room`. */
const char *oci_unpack_part_name(const struct oci_stage *stage, struct oci_listing_part part,
	char room[OCI_STAGE_NAME_MAX]);
/* Charge a member's names to the budget of options->name_bytes. `link` may be NULL. */
int oci_unpack_charge(const struct oci_unpack_options *options, struct oci_unpacked *u, const char *path,
	const char *link, struct oci_error *err);
