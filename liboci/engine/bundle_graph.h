/* bundle_graph.h - everything that some references lead to, each blob once
 *
 *     oci_bundle_graph_init(&graph);
 *     oci_bundle_graph_add(&graph, store, &root, true, err);    for each image
 *     graph.nodes: manifests, children before their parents; then configs, layers
 *     oci_bundle_graph_clear(&graph);
 *
 * Manifests are read and verified, other blobs only listed. With referrers
 * come those of each manifest that its store knows, and what cosign keeps
 * under the tags sha256-<hex>.sig, .att and .sbom: `tags` has those. A subject
 * is not followed.
 *
 * OCI_E_FORMAT: indexes more than 8 deep, more than OCI_BUNDLE_BLOBS_MAX
 * nodes, one digest with two sizes.
 */
#pragma once

#include "store/store.h"

struct oci_bundle_node {
	struct oci_descriptor descriptor;
	struct oci_store *store; /* where it is, borrowed */
	enum oci_bundle_kind { OCI_BUNDLE_MANIFEST, OCI_BUNDLE_CONFIG, OCI_BUNDLE_LAYER } kind;
};

/* A tag that stands for a referrer, in the store of what it refers to. */
struct oci_bundle_tag {
	char *tag;
	struct oci_descriptor descriptor;
	size_t root; /* counts the calls of add */
};

struct oci_bundle_referrers {
	struct oci_digest subject;
	struct oci_manifest list;
};

struct oci_bundle_graph {
	struct oci_bundle_node *nodes;
	size_t count;
	size_t *slots; /* of nodes by digest: number + 1, 0: free */
	size_t slot_count;
	struct oci_bundle_tag *tags;
	size_t tag_count;
	struct oci_bundle_referrers *referrers; /* where there are any, a subject once */
	size_t referrers_count;
	size_t roots;
};

void oci_bundle_graph_init(struct oci_bundle_graph *graph);
int oci_bundle_graph_add(struct oci_bundle_graph *graph, struct oci_store *store, const struct oci_descriptor *root,
	bool referrers, struct oci_error *err);
/* One node, whatever it leads to; *ret (may be NULL) false: it was there already. */
int oci_bundle_graph_put(struct oci_bundle_graph *graph, struct oci_store *store, const struct oci_descriptor *d,
	enum oci_bundle_kind kind, bool *ret, struct oci_error *err);
/* NULL: not in it. */
const struct oci_bundle_node *oci_bundle_graph_find(const struct oci_bundle_graph *graph,
	const struct oci_digest *digest);
/* In the order of kinds; within one as they were found. Ends the adding. */
int oci_bundle_graph_sort(struct oci_bundle_graph *graph, struct oci_error *err);
void oci_bundle_graph_clear(struct oci_bundle_graph *graph);
