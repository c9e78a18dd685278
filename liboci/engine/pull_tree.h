/* pull_tree.h - one tree on its way to its place (private to pull*.c) */
#pragma once

#include "engine/land.h"
#include "engine/lease.h"
#include "engine/pull.h"
#include "engine/reuse.h"

struct pull_tree {
	const struct oci_pull_options *options;
	struct oci_store *store;
	struct pull_dir *dir;        /* NULL: it is no plain directory that is pulled */
	struct oci_filter filter;    /* of the image's files */
	struct oci_descriptor root;  /* what the reference names, borrowed texts */
	struct oci_image image;
	const char *part;            /* of the image: "models/" or what the user wants */
	struct oci_place place;
	struct oci_lease *lease;     /* of the place, while it is written to */
	struct oci_stage stage;
	struct oci_stage made;       /* of streams: a directory that holds the tree, made of flat parts */
	struct oci_reuse reuse;
	unsigned jobs;

	/* what has landed */
	struct oci_listing listing;
	const char **parts;          /* of the listing's files, for a publication in place */
	struct oci_strings part_names;
	struct oci_strings dirs;     /* of streams: directories that the image names */
	bool holds_old;              /* the stage is the old tree's now */
	bool keep;                   /* something is staged that the next run can use */
	struct oci_pull_report report;
};

/* Open what the reference names, as a store. pull_dir.c: a plain directory. */
int pull_dir_open(struct pull_tree *t, struct oci_error *err);
/* Is the directory still what was read? OCI_E_SOURCE. */
int pull_dir_check(const struct pull_tree *t, struct oci_error *err);
/* After a failure: what the directory is to blame for becomes OCI_E_SOURCE. False: it has
 * changed, so that nothing that is staged will serve again. */
bool pull_dir_blame(const struct pull_tree *t, struct oci_error *err);
void pull_dir_close(struct pull_tree *t);
/* Become the only writer of the place; waits for another one. */
int pull_lease(struct pull_tree *t, struct oci_error *err);
/* Fill listing and parts from blocks; the stage holds them, durable. Nothing but report.unchanged
 * where they are at their place already. */
int pull_blocks(struct pull_tree *t, struct oci_error *err);
/* What pull_blocks() would do, as far as it shows without reading old blocks. */
int pull_blocks_preview(struct pull_tree *t, struct oci_error *err);
/* Make `dest` the tree, or find that it is. */
int pull_one(struct pull_tree *t, const char *dest, struct oci_error *err);
/* The same for options->dest as a directory of versions. */
int pull_version(struct pull_tree *t, struct oci_error *err);
/* OCI_E_OCCUPIED where a version is there, whole, that is to have other files. */
int pull_check_version(const struct pull_tree *t, struct oci_error *err);
/* Of streams: what each listed file is called in the stage; hard links get parts of their own. */
int pull_name_parts(struct pull_tree *t, struct oci_error *err);
/* Make a tree of them, in a staging directory beside. */
int pull_build_tree(const struct pull_tree *t, const struct oci_strings *dirs, struct oci_stage *ret,
	struct oci_error *err);
int pull_open_dir(const struct pull_tree *t, struct oci_stage *ret, struct oci_error *err);
/* Is there room for parts of so many bytes? Where there is not, and the user wants it, the old tree goes, if that is
 * enough: after the record, files that no KEPT file of the plan is (NULL: all). */
int pull_make_room(struct pull_tree *t, struct oci_block_plan *plan, uint64_t parts, struct oci_error *err);
/* Read what was published, weights last but one, as a server will. Best effort. */
void pull_warm(const struct pull_tree *t);
mode_t pull_file_mode(const struct oci_pull_options *options);
/* Modes, times and durability of the parts of a plan; a file whose layer does not prove it gets its digest. */
int pull_seal(const struct pull_tree *t, const struct oci_block_plan *plan, int64_t *mtimes_ns, struct oci_digest *digests,
	struct oci_error *err);
