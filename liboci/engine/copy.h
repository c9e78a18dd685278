/* copy.h - images from one place to another: the bytes of manifests untouched,
 * the same digests at both ends
 *
 *     oci_copy(from, "v1", to, &tags, &options, &report, err);
 *
 * is for one image and those that want more
 *
 *     oci_graph_add(&graph, from, &root, true, err);      for each image (graph.h)
 *     oci_graph_sort(&graph, err);
 *     oci_copy_graph(&graph, to, &options, &report, err);
 *     oci_store_tag(to, &root, "v1", err);
 *
 * Blobs go in parallel, from the source to the destination without touching the
 * disk; one that is there is not moved, one that can be mounted is mounted. A cut
 * on either side is gone on from, and the next run goes on within a blob where
 * the destination keeps what it has (store.h, oci_store_put). Manifests follow,
 * children first, then the tags of signatures, then what a place without a list
 * of referrers keeps instead of one; the image's own tags are last, so that
 * none ever names something that is not whole.
 *
 * Errors: those of the two stores, each with its side. OCI_E_EXISTS: a tag
 * stands for something else and `force` is not set; nothing was written then.
 * OCI_E_DIGEST: the source's bytes are not what their digest says.
 */
#pragma once

#include "engine/graph.h"

enum oci_copy_how { OCI_COPY_EXISTS, OCI_COPY_MOUNTED, OCI_COPY_SENT };

struct oci_copy_options {
	const struct oci_platform *platform; /* that manifest of an index alone; NULL: all of it */
	bool referrers;
	bool force;   /* replace tags that stand for something else */
	bool dry_run; /* ask, and write nothing */
	bool rewrites; /* the destination is a file that exists and is written anew: it is left alone
			* when all tags name the image, and needs `force` otherwise */
	unsigned jobs; /* blobs at once; 0: 4 */
	const struct oci_observer *observer;
	const atomic_int *cancel;
};

/* A blob or manifest, in the order of the graph. */
struct oci_copy_object {
	struct oci_digest digest;
	uint64_t size_bytes;
	enum oci_graph_kind kind;
	enum oci_copy_how how; /* in a dry run: SENT for what would be */
};

struct oci_copy_report {
	struct oci_descriptor root; /* what the tags name */
	bool unchanged;             /* everything was there, tags too */
	struct oci_copy_object *objects;
	size_t object_count;
	uint64_t bytes[3];          /* by how */
	size_t signatures;          /* tags of them, and referrers */
};

/* The destination; in a dry run it may be missing, and nothing is made. */
struct oci_store *oci_copy_open(const struct oci_reference *to, bool dry_run, const struct oci_store_options *options,
	struct oci_error *err);

/* `name`: tag or digest text, NULL for the only one. `tags` may be empty: then the
 * image is found by its digest alone. Tags the destination, and makes it durable. */
int oci_copy(struct oci_store *from, const char *name, struct oci_store *to, const struct oci_strings *tags,
	const struct oci_copy_options *options, struct oci_copy_report *ret, struct oci_error *err);
/* The descriptor to copy: what `name` stands for, or its manifest of a platform. */
int oci_copy_choose(struct oci_store *from, const char *name, const struct oci_platform *platform,
	struct oci_descriptor *ret, struct oci_error *err);
/* Is a tag of the destination free, or that already (*same)? Else OCI_E_EXISTS unless
 * `force`. */
int oci_copy_check_tag(struct oci_store *to, const char *tag, const struct oci_digest *wanted, bool force, bool *same,
	struct oci_error *err);
/* All of a sorted graph but its images' own tags; adds to *ret. */
int oci_copy_graph(const struct oci_graph *graph, struct oci_store *to, const struct oci_copy_options *options,
	struct oci_copy_report *ret, struct oci_error *err);
void oci_copy_report_clear(struct oci_copy_report *report);

/* One blob that is no manifest. */
int oci_copy_blob(struct oci_store *from, struct oci_store *to, const struct oci_descriptor *d,
	const struct oci_observer *observer, const atomic_int *cancel, enum oci_copy_how *ret,
	struct oci_error *err);
