/* store.h - a place where images live: registry, OCI layout, archive, memory
 *
 * Everything that moves content is written against these verbs. A manifest is
 * content too: a descriptor whose media type is a manifest or index goes to
 * and comes from the place where manifests live.
 *
 *     OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = NULL;
 *     store = oci_store_open(&ref, OCI_STORE_READ, &options, err);
 *     oci_store_resolve(store, "latest", &desc, err);
 *     oci_store_read(store, &desc, &buf, err);          small, whole, verified
 *     r = oci_store_fetch(store, &desc, err);           a stream, verified at its end
 *
 *     sink = oci_store_begin(store, &desc, err);        write, write, ...
 *     oci_sink_commit(sink, &desc.digest, err);         or oci_sink_abort(sink)
 *     oci_store_tag(store, &desc, "latest", err);
 *     oci_store_finish(store, err);                     durable from here on
 *
 * All verbs may be called from several threads at once, a sink or reader from
 * one. Blobs before manifests, children before an index, tags last.
 *
 * Errors: OCI_E_NOT_FOUND, OCI_E_DIGEST (stored bytes are not what the digest
 * or the size says), and those of the medium. Nothing half-written stays
 * visible: a blob appears under its digest only after commit; abort leaves
 * nothing. A blob that exists may be written again.
 *
 * The kinds have their own rules in store/layout.h, archive.h and registry.h.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/event.h"
#include "base/str.h"
#include "core/descriptor.h"
#include "core/manifest.h"
#include "core/reference.h"
#include "store/content.h"
#include "stream/reader.h"

struct oci_rate;
struct oci_verify_trail;

struct oci_store {
	const struct oci_store_ops *ops; /* store/ops.h */
};

struct oci_sink {
	const struct oci_sink_ops *ops;
};

struct oci_sink_ops {
	int (*write)(struct oci_sink *sink, const void *data, size_t len, struct oci_error *err);
	/* Frees the sink, also on failure. `digest` must be that of what was
	 * written; the sink checks it. */
	int (*commit)(struct oci_sink *sink, const struct oci_digest *digest, struct oci_error *err);
	void (*abort)(struct oci_sink *sink); /* frees the sink */
	/* Before the first write, NULL where it does not hash: whoever writes has hashed
	 * the same bytes on their way here, so that commit's digest is proven already. */
	void (*trust)(struct oci_sink *sink);
};

/* What is about to be sent. */
struct oci_store_load {
	uint64_t largest_bytes; /* of the blobs that are new */
	size_t layer_count;
	const struct oci_observer *observer;
};

struct oci_store_options {
	bool plain_http;           /* http also for hosts other than localhost */
	bool tls_insecure;         /* --tls-verify=false */
	const char *ca_file;       /* PEM, added to the system's; NULL: none */
	const char *cert_file;     /* client certificate and key; NULL: none */
	const char *key_file;
	const struct oci_strings *authfiles; /* in this order; NULL or empty: the documented search */
	/* Pull mirrors, and what is sent to them (store/registry_mirror.h); NULL: none. */
	const struct oci_strings *endpoints, *endpoint_headers;
	struct oci_rate *rate;     /* shared by all stores of a process (http/rate.h); NULL: no limit */
	const char *state_dir;     /* of uploads under way (store/upload_state.h); NULL: the user's, "": none */
	bool lists_all;            /* of a layout, as a zot wants it (store/layout.h) */
	uint64_t stall_ms;         /* how long a connection may be silent (http/client.h); 0: 30 s */
	uint64_t retry_for_ms;     /* a transfer gives up after so long without progress; 0: 15 min */
	const atomic_int *cancel;  /* signal number; NULL: none */
	const struct oci_observer *observer;
};

enum oci_store_mode { OCI_STORE_READ, OCI_STORE_WRITE /* creates what is missing */ };

/* The store of a reference; its tag and digest are not looked at. */
struct oci_store *oci_store_open(const struct oci_reference *ref, enum oci_store_mode mode,
	const struct oci_store_options *options, struct oci_error *err);
void oci_store_close(struct oci_store *s);
void oci_store_cleanup(struct oci_store **s);

/* An empty store in memory: tests, and documents before they are published. */
struct oci_store *oci_store_memory(struct oci_error *err);
int oci_store_exists(struct oci_store *s, const struct oci_descriptor *d, bool *ret, struct oci_error *err);
/* `name` is a tag, a digest text, or NULL for "latest". Where "latest" is not
 * there, layout, archive and memory answer with the only image they name. A
 * digest may be that of any manifest in the store, tagged or not. Two images
 * under one name are OCI_E_FORMAT. */
int oci_store_resolve(struct oci_store *s, const char *name, struct oci_descriptor *ret, struct oci_error *err);
/* The digest alone, on the place's word. "latest" is that tag and nothing else. */
int oci_store_peek(struct oci_store *s, const char *name, struct oci_digest *ret, struct oci_error *err);
/* OCI_E_USAGE when `tag` is no tag, OCI_E_NOT_FOUND when the manifest is not in the store. */
int oci_store_tag(struct oci_store *s, const struct oci_descriptor *d, const char *tag, struct oci_error *err);
/* Remove a tag alone, or a digest's manifest with all its tags. Absent is success. */
int oci_store_untag(struct oci_store *s, const char *name, struct oci_error *err);
int oci_store_finish(struct oci_store *s, struct oci_error *err);

/* The run has failed: a place that it made, and in which nothing has a name, is not left
 * behind. Nothing else may be done with the store but to close it. */
void oci_store_forsake(struct oci_store *s);

/* All tags, in the place's order; OCI_E_UNSUPPORTED where it lists none. */
int oci_store_tags(struct oci_store *s, struct oci_strings *ret, struct oci_error *err);
/* The manifests that refer to `subject` (signatures, SBOMs), those of one
 * artifact type or, with NULL, all: entries of an index, none when nothing is
 * known. Where the place keeps no such list it is the index under the tag
 * <alg>-<hex>, as the distribution-spec has it. */
int oci_store_referrers(struct oci_store *s, const struct oci_digest *subject, const char *artifact_type,
	struct oci_manifest *ret, struct oci_error *err);

/* Make the manifests of `list`, an index, known as referrers, besides those that are,
 * where the place does not do so by itself. Not for two writers at once. */
int oci_store_refer(struct oci_store *s, const struct oci_digest *subject, const struct oci_manifest *list,
	struct oci_error *err);
/* The doors to bytes, these three verifying. What they find wrong is asked elsewhere the
 * next time, where there is an elsewhere. */
struct oci_reader *oci_store_fetch(struct oci_store *s, const struct oci_descriptor *d, struct oci_error *err);
/* The same from `trail->from` on, as stream/verify.h has it; NULL: from the start. */
struct oci_reader *oci_store_fetch_along(struct oci_store *s, const struct oci_descriptor *d,
	struct oci_verify_trail *trail, struct oci_error *err);
/* Whole into `out`, whose maximum bounds it: OCI_E_FORMAT when larger. */
int oci_store_read(struct oci_store *s, const struct oci_descriptor *d, struct oci_buf *out,
	struct oci_error *err);

/* `length` bytes of a blob from `offset`, unverified: for who proves each block
 * against a verified index, and calls oci_store_distrust() where it is not right. */
struct oci_reader *oci_store_extent(struct oci_store *s, const struct oci_descriptor *d, uint64_t offset,
	uint64_t length, struct oci_error *err);

/* The bytes that ops->open last gave of this content are not what its digest says:
 * the next time they are to come from elsewhere. For who checks them himself. */
void oci_store_distrust(struct oci_store *s, const struct oci_descriptor *d);

struct oci_sink *oci_store_begin(struct oci_store *s, const struct oci_descriptor *want, struct oci_error *err);
int oci_sink_write(struct oci_sink *sink, const void *data, size_t len, struct oci_error *err);
int oci_sink_commit(struct oci_sink *sink, const struct oci_digest *digest, struct oci_error *err);
void oci_sink_abort(struct oci_sink *sink);
/* Is it known that it will not be taken? OCI_E_UNSUPPORTED; what is hearsay is a warning. */
int oci_store_preflight(struct oci_store *s, const struct oci_store_load *load, struct oci_error *err);
/* One blob, from content that can be read again: hashed on its way, and
 * OCI_E_DIGEST (source side) when it is not what its digest says. Only content
 * that hashes itself may leave that open (alg 0) until its end. Does not ask whether it exists. Bytes are reported once, however often
 * they are sent; a failure names the side it happened on. */
int oci_store_put(struct oci_store *s, const struct oci_descriptor *d, const struct oci_content *content,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_error *err);
/* The same with bytes in memory; nothing when it exists already. */
int oci_store_write(struct oci_store *s, const struct oci_descriptor *d, const void *data, size_t len,
	struct oci_error *err);
