/* pull_job.h - a pull under way, by streams (private to pull*.c) */
#pragma once

#include "engine/ledger.h"
#include "engine/merge.h"
#include "engine/pull.h"
#include "engine/stage.h"

struct pull_job {
	struct oci_store *store;
	const struct oci_image *image;
	const char *root;
	struct oci_filter filter;
	unsigned jobs;
	const char *dest;                /* for messages */
	const struct oci_observer *observer;
	const atomic_int *cancel;
	int (*may)(void *ctx, struct oci_error *err); /* engine/unpack.h */
	int (*room)(void *ctx, uint64_t bytes, struct oci_error *err); /* is there room for so much? */
	void *ctx;
	const struct oci_stage *stage;   /* flat; NULL: list only */
	int tree, dest_dir;              /* where parts of a run before may lie (engine/ledger.h); -1: nowhere */
	bool all_digests;                /* listing: also where a layer's digest would do */
	bool *wanted;                    /* a layer each: fetch it */
	bool *digests;                   /* a layer each: hash its files */
	struct oci_unpacked *unpacked;
	struct oci_merge_layer *merge;
	struct oci_strings dirs;         /* of the merged tree */
	atomic_ullong fetched, reused, name_bytes;
	atomic_bool kept;                /* something is staged that the next run can use */
};

/* Fetch, unpack and merge: `ret` lists the tree, whose files are parts of the stage. */
int pull_stream(struct pull_job *job, struct oci_listing *ret, struct oci_error *err);
/* Which layers are fetched, and whose files are hashed one by one. */
int pull_decide(struct pull_job *job, struct oci_error *err);
/* How layer `i` is unpacked, without a directory yet. `failed` is the worker's. */
struct oci_unpack_options pull_options(struct pull_job *job, size_t i, const atomic_bool *failed);
/* Fetch layer `i` and unpack it (or only list it, without a stage): its files come unsorted. */
int pull_unpack(struct pull_job *job, size_t i, const struct oci_unpack_options *options, struct oci_error *err);
unsigned pull_jobs(unsigned asked);
/* Up to which there may be more, where they bring more. */
unsigned pull_jobs_most(unsigned asked);
void pull_clear(struct pull_job *job);
