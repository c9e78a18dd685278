/* bundle_load_job.h - what the files of a load share; private to bundle_load*.c */
#pragma once

#include "engine/bundle_images.h"
#include "engine/bundle_kept.h"
#include "engine/bundle_load.h"
#include "engine/bundle_target.h"
#include "store/bundle_pipe.h"

/* A blob of the images, and how it stands with it at all targets together. */
struct oci_bundle_parcel {
	const struct oci_bundle_blob *blob;
	const struct oci_descriptor *descriptor; /* of the first graph that has it */
	bool needed;   /* it is not in the bundle */
	bool lacking;  /* a target has it not */
	bool waits;    /* nor are all its bytes here */
	bool damaged;  /* its bytes are not what its digest says */
};

struct oci_bundle_load_job {
	const struct oci_bundle_load_options *options;
	struct oci_bundle_load_report *report;
	struct oci_bundle_set set;   /* of files */
	struct oci_bundle_kept kept; /* with its set */
	struct oci_store *store;     /* where documents are read, and blobs but those of a pipe */
	struct oci_bundle_images images;
	struct oci_bundle_targets targets;
	struct oci_bundle_parcel *parcels; /* in the order of the stream, then what is only needed */
	size_t parcel_count;
	atomic_uint_least64_t moved_bytes[3]; /* by enum oci_copy_how */
};

/* bundle_load_ask.c: targets, tags, graphs, and what they lack */

/* Where the images go; a tag that is taken ends it. */
int oci_bundle_load_places(struct oci_bundle_load_job *job, struct oci_error *err);
/* All that the images lead to; their documents are read from job->store. */
int oci_bundle_load_walk(struct oci_bundle_load_job *job, struct oci_error *err);
/* Parcels, and what the targets lack of them: OCI_E_NOT_FOUND with their
 * names when that is something the bundle has not. */
int oci_bundle_load_ask(struct oci_bundle_load_job *job, const struct oci_bundle_map *map, struct oci_error *err);

/* The first target that wants it. */
size_t oci_bundle_load_first(const struct oci_bundle_load_job *job, const struct oci_bundle_parcel *parcel);
/* One parcel to all targets that lack it, from job->store. */
int oci_bundle_load_send(struct oci_bundle_load_job *job, const struct oci_bundle_parcel *parcel,
	struct oci_error *err);
/* Number `first` has it: to those behind it that lack it. */
int oci_bundle_load_spread(struct oci_bundle_load_job *job, const struct oci_bundle_parcel *parcel, size_t first,
	struct oci_error *err);

/* bundle_load_parts.c: from files of which some may be missing or damaged. All
 * blobs are at the targets, or that is the error. */
int oci_bundle_load_parts(struct oci_bundle_load_job *job, struct oci_error *err);

/* bundle_load_pipe.c: the same from a stream that comes once. */
int oci_bundle_load_pipe(struct oci_bundle_load_job *job, const char *path, struct oci_error *err);
