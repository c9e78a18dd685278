/* pack.h - a model directory becomes an image
 *
 *     struct oci_pack_options options = {.source = "model", .target = &ref, ...};
 *     struct oci_pack_report report = {0};
 *     oci_pack(&options, &report, err);
 *     oci_pack_report_clear(&report);
 *
 * Steps: look at the model, plan its layers, hash them, make the documents, ask
 * the destination what it has, send the rest, tag. A layer of which nobody has
 * heard is sent while it is hashed, so it is read once: one that is not in the
 * cache, while no tag to be written exists or it may be replaced, and those that
 * the place has name none of the same path and size. Nothing is written before
 * the model is known to be whole and the tag to be free. The tag comes last, so a
 * reader sees the old image or the new one.
 *
 * Errors: OCI_E_SOURCE (the model is not whole, a file cannot be packed or
 * changed while it was read), OCI_E_UNSUPPORTED (more files than
 * OCI_LISTING_FILES_MAX), OCI_E_EXISTS (a tag with other content, without
 * `force`), those of source/dir.h and store/store.h.
 */
#pragma once

#include <stdatomic.h>

#include "engine/block_index.h"
#include "engine/compose.h"
#include "model/detect.h"
#include "source/dir.h"
#include "store/store.h"

enum oci_pack_format { OCI_PACK_MODELCAR, OCI_PACK_MODELPACK };

struct oci_pack_options {
	const char *source;
	const struct oci_reference *target;
	const struct oci_strings *tags;      /* more tags; NULL: none */
	enum oci_pack_format format;
	bool single;                         /* one manifest, no index */
	bool modelpack;                      /* a ModelPack manifest as well, tagged <tag>-modelpack */
	const struct oci_reference *onto;    /* base image; NULL: none */
	const char *prefix;                  /* put the tree below this path; NULL: at the root */
	const struct oci_platform *platforms;
	size_t platform_count;
	bool platforms_default;              /* not asked for one by one: a base may lack some */
	const struct oci_annotations *annotations;
	struct oci_dir_options dir;
	bool file_digests;                   /* a sha256 for every file, at the cost of a second pass */
	const char *checkpoint_tag;          /* keeps finished blobs referenced meanwhile; NULL: none */
	const char *cache_dir;               /* of hashed layers (engine/layer_cache.h); NULL: the user's, "": none */
	bool force, dry_run;
	unsigned jobs;                       /* 0: what the machine can do */
	const struct oci_store_options *store;      /* of the target */
	const struct oci_store_options *onto_store; /* of the base */
	const struct oci_observer *observer;
	const atomic_int *cancel;
};

/* The platforms of an index that nobody asked for others: linux/amd64, linux/arm64. Each is
 * to be cleared, also on failure. */
#define OCI_PACK_PLATFORMS 2
int oci_pack_platforms(struct oci_platform ret[OCI_PACK_PLATFORMS], struct oci_error *err);

enum oci_pack_state { OCI_PACK_NEW, OCI_PACK_SHARED, OCI_PACK_MOUNTED };

struct oci_pack_layer {
	struct oci_digest digest;
	uint64_t size_bytes;
	char *title;              /* the file, "weights-3", "index", "base" */
	const char *kind;
	enum oci_pack_state state;
};

struct oci_pack_report {
	struct oci_descriptor root;
	struct oci_descriptor modelpack; /* digest.alg 0: none */
	struct oci_model_info info;
	struct oci_pack_layer *layers;
	size_t layer_count;
	struct oci_dir_skipped *skipped;
	size_t skipped_count;
	size_t file_count;
	uint64_t bytes_new, bytes_shared; /* of blobs, documents too */
	bool unchanged;           /* every tag was there already */
};

int oci_pack(const struct oci_pack_options *options, struct oci_pack_report *ret, struct oci_error *err);
void oci_pack_report_clear(struct oci_pack_report *report);

/* What `check` does: scan and look, without packing. Findings are in *info;
 * fails only when the directory cannot be read. What `beside` has below
 * `prefix` counts as there (NULL: nothing, and at the root). */
int oci_pack_inspect(const struct oci_dir *dir, const struct oci_block_index *beside, const char *prefix,
	struct oci_model_info *info, struct oci_error *err);
