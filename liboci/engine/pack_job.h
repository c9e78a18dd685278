/* pack_job.h - what the steps of a pack hand on to each other (private to pack*.c) */
#pragma once

#include "engine/base.h"
#include "engine/block_index.h"
#include "engine/pack.h"
#include "engine/plan.h"
#include "engine/scan.h"

struct pack_layer {
	struct oci_digest digest;
	struct oci_block_index_tape tape;
	char *title, *history;
};

struct pack_job {
	const struct oci_pack_options *options;
	unsigned jobs;
	struct oci_scan scan;
	char created[32];

	struct oci_dir dir;
	struct oci_model_info info;
	struct oci_plan plan;
	struct oci_digest *digests;      /* of files; alg 0: not taken */
	struct pack_layer *layers;       /* one each plan.layers */

	struct oci_store *base_store;    /* NULL: no base */
	struct oci_base base;
	struct oci_store *target;        /* NULL: does not exist yet (dry run) */

	struct oci_block_index index;
	struct oci_buf index_bytes;
	struct oci_annotations annotations;
	const struct oci_platform *platforms;
	size_t platform_count;
	struct oci_platform *own_platforms; /* when the base leaves fewer */
	struct oci_compose_layer *own;   /* plan layers, then the index layer */
	size_t own_count;
	struct oci_compose_layer **stacks; /* a platform each: base and own */
	size_t *stack_counts;
	struct oci_documents documents;
};

/* Digests, checkpoints and file digests of all layers. */
int pack_hash(struct pack_job *job, struct oci_error *err);
/* Index layer, descriptors with annotations, configs, manifests, index. */
int pack_describe(struct pack_job *job, struct oci_error *err);
/* Fill the report, and send what is missing unless `dry_run`. */
int pack_send(struct pack_job *job, struct oci_pack_report *report, struct oci_error *err);
/* The stream of a planned layer from an offset; the first pass, which begins at
 * 0, takes the files' digests as it goes. Close before the job ends. */
struct pack_source {
	struct pack_job *job;
	size_t layer;
	bool first_pass;
	struct oci_hash hash; /* of the file under way */
	uint64_t left;
};
struct oci_reader *pack_layer_reader(struct pack_source *source, uint64_t offset, struct oci_error *err);

/* Does this layer have bytes that an index describes? */
static inline bool pack_is_image(const struct pack_job *job)
{
	return job->options->format == OCI_PACK_MODELCAR;
}
