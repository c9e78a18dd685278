/* stage.h - where a pull keeps what it has until it is whole
 *
 * spec/staging.md. All names are ".modelcar.<8 hex>.<12 hex>…part": the first number
 * is of the destination's name, the second of the manifest, so that the next run
 * of the same pull finds what the last one left, and no other does.
 *
 * Two forms:
 * - a directory, `<prefix>.part`, in which "tree" grows into the tree itself: for
 *   a tree that is published by one rename;
 * - flat, files `<prefix>.<number>.part` side by side: where a tree is filled in
 *   place, for in a Triton repository a directory of ours would be a model; and where
 *   nobody knows yet what the tree will be.
 *
 *     struct oci_stage stage = OCI_STAGE_NONE;
 *     oci_stage_open(parent, "model", &manifest, false, &stage, err);
 * A tree that is about to be published is renamed to a name that only its writer
 * knows ("tree.<inode>.<16 hex>"); who takes the stage over renames it back, so that a writer
 * which was taken for dead finds nothing to publish.
 *
 *     fd = oci_stage_part(&stage, number, "a/b.safetensors", size, &fresh, err);
 *     ... fill it; publish ...
 *     oci_stage_remove(&stage);       or leave it to the next run
 *     oci_stage_clear(&stage);
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "core/digest.h"

#define OCI_STAGE_NAME_MAX 80
#define OCI_STAGE_MARGIN_BYTES ((uint64_t)4 << 20) /* directories, record, the file system's own */
#define OCI_STAGE_NONE ((struct oci_stage){.parent = -1, .fd = -1, .tree = -1})

struct oci_stage {
	int parent;  /* the directory that it lies in */
	bool flat;
	bool found;  /* a run before has left something in it */
	char prefix[OCI_STAGE_NAME_MAX - 36];
	int fd;      /* of the staging directory; flat: of the parent */
	int tree;    /* of "tree" in it; flat: of the parent */
};

/* `parent` is duplicated; `name` is what the destination is called in it, "." for
 * the directory itself. What a run before left is taken over. */
int oci_stage_open(int parent, const char *name, const struct oci_digest *manifest, bool flat, struct oci_stage *ret,
	struct oci_error *err);
/* Give "tree" its private name, within stage->fd. */
int oci_stage_claim_tree(const struct oci_stage *stage, char ret[OCI_STAGE_NAME_MAX], struct oci_error *err);
/* Is there a staging directory, too, with the prefix of this flat stage? */
bool oci_stage_has_dir(const struct oci_stage *flat);
/* Is there state of a destination, besides the old tree of a swap? */
bool oci_stage_any(int parent, const char *name);
/* Remove it with all that it holds. */
void oci_stage_remove(const struct oci_stage *stage);
void oci_stage_clear(struct oci_stage *stage);
/* Remove what other pulls to the same destination have left: other manifests'
 * staging, and the tree that the last swap replaced. Their writers are gone: the
 * caller holds the lease. Records of a change in place that came to no end stay
 * unless `all`: by them the files are known. The old tree stays with `unchanged`: no pull has come. */
void oci_stage_sweep(int parent, const char *name, const struct oci_stage *keep, bool all, bool unchanged);

/* Where part `number` of path `path` lies: a path below stage->tree. `room` holds
 * OCI_STAGE_NAME_MAX bytes, and is used where the path is not the file's own. */
const char *oci_stage_part_name(const struct oci_stage *stage, size_t number, const char *path, char *room);
/* Make or reopen it for writing, with its whole size (and its room, as far as the
 * file system can promise it). *had: it had that size already. */
int oci_stage_part(const struct oci_stage *stage, size_t number, const char *path, uint64_t size_bytes, bool *had,
	struct oci_error *err);
/* Where other files of the stage lie: `what` in the directory, or
 * `<prefix>.<what>.part`; below stage->fd. */
const char *oci_stage_file_name(const struct oci_stage *stage, const char *what, char room[OCI_STAGE_NAME_MAX]);

/* Names of the destination's own: its lease, the tree a swap replaced, and a record taken away. */
void oci_stage_dest_name(const char *name, const char *what, char ret[OCI_STAGE_NAME_MAX]);

/* Fails with OCI_E_NOSPACE, saying need and have, unless there is room for parts of so many
 * bytes in all and for the margin: what parts take already is not counted again, and that
 * is their whole size where it could be promised. */
int oci_stage_check_space(const struct oci_stage *stage, const char *dest, uint64_t parts_bytes, struct oci_error *err);
