/* pack_job.h - what the steps of a pack hand on to each other (private to pack*.c) */
#pragma once

#include <pthread.h>

#include "engine/base.h"
#include "engine/block_index.h"
#include "engine/layer_cache.h"
#include "engine/pack.h"
#include "engine/plan.h"
#include "engine/scan.h"

struct pack_layer {
	struct oci_digest digest;
	struct oci_block_index_tape tape;
	struct oci_digest identity; /* of the files as they were scanned */
	bool hinted;              /* hashed before, or the destination seems to have it */
	bool ahead;               /* is sent while it is hashed, */
	bool sent;                /* and has been */
	char *title, *history;
};

/* The tag that keeps what is finished from being collected as garbage. */
struct pack_keep {
	pthread_mutex_t lock; /* guards what follows */
	uint64_t kept_ms;     /* when it was written last, or the start */
	struct oci_descriptor manifest; /* digest.alg 0: not written yet */
	struct oci_descriptor *blobs;   /* that are there */
	size_t count;
};

struct pack_job {
	const struct oci_pack_options *options;
	unsigned jobs;
	unsigned send_jobs;              /* connections: they wait for the other side */
	struct oci_scan scan;
	struct oci_layer_cache cache;
	int64_t started_ns;              /* CLOCK_REALTIME, before the directory was scanned */
	char created[32];

	struct oci_dir dir;
	struct oci_model_info info;
	struct oci_plan plan;
	struct oci_digest *digests;      /* of files; alg 0: not taken */
	struct pack_layer *layers;       /* one each plan.layers */

	struct oci_store *base_store;    /* NULL: no base */
	struct oci_base base;
	struct oci_store *target;        /* NULL: does not exist yet (dry run) */
	struct pack_keep keep;
	uint64_t ahead_ms;               /* when the sending ahead began; 0: nothing is sent ahead */

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

/* A job for these options, which are borrowed; it is to be cleared. */
void pack_job_init(struct pack_job *job, const struct oci_pack_options *options);
void pack_job_clear(struct pack_job *job);
/* Scan the directory, look at its model, plan its layers, and what is known of them. */
int pack_begin(struct pack_job *job, struct oci_error *err);
/* The destination, unless it is open already. A dry run does not make it. */
int pack_open_target(struct pack_job *job, struct oci_error *err);
/* Before anything is read: what is known of the layers, from the cache. */
int pack_recall(struct pack_job *job, struct oci_error *err);
/* Which layers are believed to be new at the destination, so that they are sent
 * while they are hashed. None where a tag that exists is not to be replaced: it
 * may be the same. */
int pack_survey(struct pack_job *job, struct oci_error *err);
/* Digests, checkpoints and file digests of the layers that are not sent ahead. */
int pack_hash(struct pack_job *job, struct oci_error *err);
/* The same of the others, and they are at the destination. */
int pack_ahead(struct pack_job *job, struct oci_error *err);
/* The layers whose digests are still to be known, the largest first, so that none
 * is left alone at the end. */
struct pack_queue {
	struct pack_job *job;
	size_t *layers;
	size_t count;
	uint64_t bytes;
};
int pack_queue_init(struct pack_queue *queue, struct pack_job *job, bool ahead, struct oci_error *err);
void pack_queue_clear(struct pack_queue *queue);
/* Layer `i` is hashed: for the next time. */
void pack_remember(struct pack_job *job, size_t i);
/* Index layer, descriptors with annotations, configs, manifests, index. */
int pack_describe(struct pack_job *job, struct oci_error *err);
/* Fill the report, and send what is missing unless `dry_run`. */
int pack_send(struct pack_job *job, struct oci_pack_report *report, struct oci_error *err);
/* The stream of a planned layer from an offset; the first pass takes the files'
 * digests as it goes, also when it is read in parts. Close before the job ends. */
struct pack_source {
	struct pack_job *job;
	size_t layer;
	bool first_pass;
	struct oci_hash hash; /* of the file under way */
	uint64_t hashed_bytes;
};
struct oci_reader *pack_layer_reader(struct pack_source *source, uint64_t offset, struct oci_error *err);
/* The layer as content that hashes itself onto its tape, which this begins. */
struct oci_content pack_taping_content(struct pack_source *source);

void pack_keep_init(struct pack_keep *keep);
/* The tag is free, or of an earlier run and ours from now on; nothing when none
 * is asked for. OCI_E_EXISTS: it is somebody's. */
int pack_keep_check(struct pack_job *job, struct oci_error *err);
/* This blob is there. With `fresh` it has just arrived: the tag is written when that
 * is worth it. A failure is a warning, since the push itself goes on. */
void pack_keep_add(struct pack_job *job, const struct oci_descriptor *d, bool fresh);
/* Removes the tag, best effort. */
void pack_keep_end(struct pack_job *job);
void pack_keep_clear(struct pack_keep *keep);

/* Does this layer have bytes that an index describes? */
static inline bool pack_is_image(const struct pack_job *job)
{
	return job->options->format == OCI_PACK_MODELCAR;
}
