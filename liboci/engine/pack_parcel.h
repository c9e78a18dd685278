/* pack_parcel.h - blobs to bring to the destination (private to pack*.c) */
#pragma once

#include <pthread.h>

#include "base/workers.h"
#include "engine/pack_job.h"

/* One blob: a base layer, a planned layer, the index layer. */
struct parcel {
	const struct oci_descriptor *descriptor;
	size_t plan_layer;      /* when kind is PLANNED */
	enum { BASE, PLANNED, INDEX } kind;
	const char *title;
	const char *file_kind;
	enum oci_pack_state state; /* for the report */
	bool there;                /* at the destination, as far as we know */
};

/* The tag that keeps what is finished from being collected as garbage. */
struct pack_keep {
	pthread_mutex_t lock; /* guards what follows, and `there` of all parcels while they are sent */
	uint64_t kept_ms;     /* when it was written last, or the start */
	struct oci_descriptor manifest; /* digest.alg 0: not written yet */
};

struct parcels {
	struct pack_job *job;
	struct parcel *items;
	size_t count;
	struct pack_keep keep;
};

/* A worker's step: fills `there`. */
int pack_ask_parcel(struct oci_worker *worker, size_t item, struct oci_error *err);
/* Send what is not there, then the documents. Tags are the caller's. */
int pack_publish(struct parcels *parcels, struct oci_error *err);

void pack_keep_init(struct pack_keep *keep);
/* The tag is free, or of an earlier run and ours from now on; nothing when none
 * is asked for. OCI_E_EXISTS: it is somebody's. */
int pack_keep_check(struct parcels *parcels, struct oci_error *err);
/* This one has arrived. Writes the tag when that is worth it; a failure is a
 * warning, since the push itself goes on. */
void pack_keep_add(struct parcels *parcels, struct parcel *parcel);
/* Removes the tag, best effort. */
void pack_keep_end(struct parcels *parcels);
void pack_keep_clear(struct pack_keep *keep);
