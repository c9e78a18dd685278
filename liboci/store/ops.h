/* ops.h - what a kind of store implements
 *
 * The verbs of store/store.h, from the side of who has the content; which of the
 * optional ones are there tells others what a place can do.
 */
#pragma once

#include "store/store.h"

struct oci_store_ops {
	const char *kind; /* "registry", "layout", ... */
	int (*exists)(struct oci_store *s, const struct oci_descriptor *d, bool *ret, struct oci_error *err);
	/* `length` bytes from `offset`, unverified: only for the doors below. */
	struct oci_reader *(*open)(struct oci_store *s, const struct oci_descriptor *d, uint64_t offset,
		uint64_t length, struct oci_error *err);
	/* `want` gives media type and size; its digest may be absent (alg 0) and is
	 * then known at commit (a sha256). */
	struct oci_sink *(*begin)(struct oci_store *s, const struct oci_descriptor *want, struct oci_error *err);
	/* A tag or a digest text to a full descriptor of a manifest. */
	int (*resolve)(struct oci_store *s, const char *name, struct oci_descriptor *ret, struct oci_error *err);
	/* Replaces the tag if it exists. The manifest is already in the store. */
	int (*tag)(struct oci_store *s, const struct oci_descriptor *d, const char *tag, struct oci_error *err);
	int (*finish)(struct oci_store *s, struct oci_error *err);
	void (*close)(struct oci_store *s);
	/* Optional, NULL where the place cannot:
	 * Make a blob of another store appear here without moving its bytes; *ret
	 * false when that did not happen (never an error by itself). */
	int (*mount)(struct oci_store *s, const struct oci_descriptor *d, struct oci_store *from, bool *ret,
		struct oci_error *err);
	int (*tags)(struct oci_store *s, struct oci_strings *ret, struct oci_error *err);
	/* The index that the place itself keeps of what refers to a manifest, more
	 * than the type asked for maybe; *known false: it keeps none. */
	int (*referrers)(struct oci_store *s, const struct oci_digest *subject, const char *artifact_type,
		struct oci_manifest *ret, bool *known, struct oci_error *err);
	/* oci_store_untag(); with `d`, that manifest where a place knows no other way. */
	int (*untag)(struct oci_store *s, const struct oci_descriptor *d, const char *tag, struct oci_error *err);
	/* oci_store_peek(); *known false: it has to be resolved. */
	int (*peek)(struct oci_store *s, const char *name, struct oci_digest *ret, bool *known, struct oci_error *err);
	/* oci_store_distrust(). */
	void (*distrust)(struct oci_store *s, const struct oci_descriptor *d);
	/* A blob of the right size that is a file of its own, opened for reading. */
	int (*file)(struct oci_store *s, const struct oci_descriptor *d, struct oci_error *err);
	/* Requests for blobs that came to nothing so far and are tried again: a sign of too many. */
	unsigned (*failures)(struct oci_store *s);
	/* Where a blob lies in a place that is read front to back: several are taken in
	 * this order, one after another. False: in any. */
	bool (*order)(struct oci_store *s, const struct oci_descriptor *d, uint64_t *ret);
	/* oci_store_forsake(). */
	void (*forsake)(struct oci_store *s);
	int (*preflight)(struct oci_store *s, const struct oci_store_load *load, struct oci_error *err);
	/* oci_store_put() better than by begin, write, commit. */
	int (*put)(struct oci_store *s, const struct oci_descriptor *d, const struct oci_content *content,
		const struct oci_observer *observer, const atomic_int *cancel, struct oci_error *err);
};
