/* index.h - index.json: the names in a layout, and what they stand for
 *
 * spec: OCI image-spec image-layout.md. A name is the annotation
 * org.opencontainers.image.ref.name of an entry; a full name whose tag is the
 * wanted one (`host/repo:tag`) in it, in io.containerd.image.name or in
 * org.opencontainers.image.base.name counts when no entry has exactly that name.
 *
 * Hauler gives a signature the name of its image and says in the annotation
 * `kind` what it is. Such an entry is found as sha256-<hex of the image>.sig, .att
 * or .sbom, or among the image's referrers.
 *
 * All functions go from text to text and touch no file: layout, archive and
 * memory each keep the text in their own way.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/descriptor.h"
#include "core/manifest.h"
#include "store/store.h"

/* The content of an `oci-layout` file, and of an index.json without a name. */
#define OCI_LAYOUT_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"
#define OCI_INDEX_EMPTY_TEXT \
	"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}"
#define OCI_INDEX_MAX OCI_MANIFEST_MAX

/* The annotations that hold a name and a full name. */
#define OCI_INDEX_REF_NAME "org.opencontainers.image.ref.name"
#define OCI_INDEX_FULL_NAME "io.containerd.image.name"
#define OCI_INDEX_BASE_NAME "org.opencontainers.image.base.name"

/* Version 1 of the layout, else OCI_E_FORMAT or OCI_E_UNSUPPORTED. */
int oci_index_check_layout(const struct oci_buf *oci_layout, struct oci_error *err);

/* The size of a stored blob; OCI_E_NOT_FOUND. */
typedef int (*oci_index_size_fn)(struct oci_store *s, const struct oci_digest *digest, uint64_t *ret,
	struct oci_error *err);

/* What oci_store_resolve() promises, over this text: a name or a digest among
 * the entries, else a digest of any manifest that `s` holds. */
int oci_index_resolve(struct oci_store *s, const struct oci_buf *text, const char *name,
	oci_index_size_fn size_of, struct oci_descriptor *ret, struct oci_error *err);

/* Names alone: *found is false when no entry fits. */
int oci_index_find(const struct oci_buf *text, const char *name, struct oci_descriptor *ret, bool *found,
	struct oci_error *err);

/* Append `text` to `out` with the entry of `tag` set to `d`, in the place of
 * the one that was there. Other entries and unknown fields keep their values.
 * With `d` NULL the entry is taken out; a digest text is then all of that digest.
 * An entry of `d` without a tag becomes that of the tag. */
int oci_index_set(const struct oci_buf *text, const struct oci_descriptor *d, const char *tag,
	struct oci_buf *out, struct oci_error *err);

/* The same with an entry of `d` without a tag, unless there is one of that digest. */
int oci_index_list(const struct oci_buf *text, const struct oci_descriptor *d, struct oci_buf *out,
	struct oci_error *err);

int oci_index_lists(const struct oci_buf *text, const struct oci_digest *digest, bool *ret, struct oci_error *err);

/* What oci_store_ops.referrers promises: what Hauler has listed with the image
 * `subject`; *known false when it has nothing. */
int oci_index_referrers(struct oci_store *s, const struct oci_buf *text, const struct oci_digest *subject,
	oci_index_size_fn size_of, struct oci_manifest *ret, bool *known, struct oci_error *err);

/* Add the names in the order of the entries, each once. */
int oci_index_tags(const struct oci_buf *text, struct oci_strings *ret, struct oci_error *err);
