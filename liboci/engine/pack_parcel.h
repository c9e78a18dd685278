/* pack_parcel.h - blobs to bring to the destination (private to pack*.c) */
#pragma once

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
	bool sent;                 /* ahead, in this run */
};

struct parcels {
	struct pack_job *job;
	struct parcel *items;
	size_t count;
};

/* A worker's step: fills `there`. */
int pack_ask_parcel(struct oci_worker *worker, size_t item, struct oci_error *err);
/* Send what is not there, then the documents. Tags are the caller's. */
int pack_publish(struct parcels *parcels, struct oci_error *err);
