/* graph.h - everything that some images lead to, each blob once
 *
 *     oci_graph_init(&graph);
 *     oci_graph_add(&graph, store, &root, true, err);    for each image
 *     oci_graph_sort(&graph, err);
 *     graph.nodes: manifests, children before their parents; then configs, layers
 *     oci_graph_clear(&graph);
 *
 * Manifests are read and verified, other blobs only listed. With referrers
 * come those of each manifest that its store knows, and what cosign keeps
 * under the tags sha256-<hex>.sig, .att and .sbom: `tags` has those. A subject
 * is not followed.
 *
 * OCI_E_NOT_FOUND: a manifest of the graph is not in its store. OCI_E_FORMAT:
 * manifests more than 8 deep, more than OCI_GRAPH_NODES_MAX nodes, one digest
 * with two sizes.
 */
#pragma once

#include "store/store.h"

#define OCI_GRAPH_NODES_MAX 100000

struct oci_graph_node {
	struct oci_descriptor descriptor;
	struct oci_store *store; /* where it is, borrowed */
	enum oci_graph_kind { OCI_GRAPH_MANIFEST, OCI_GRAPH_CONFIG, OCI_GRAPH_LAYER } kind;
};

/* A tag that stands for a referrer, in the store of what it refers to. */
struct oci_graph_tag {
	char *tag;
	struct oci_descriptor descriptor;
	size_t root; /* counts the calls of add */
};

struct oci_graph_referrers {
	struct oci_digest subject;
	struct oci_manifest list;
};

struct oci_graph {
	struct oci_graph_node *nodes;
	size_t count;
	size_t *slots; /* of nodes by digest: number + 1, 0: free */
	size_t slot_count;
	struct oci_graph_tag *tags;
	size_t tag_count;
	struct oci_graph_referrers *referrers; /* where there are any, a subject once */
	size_t referrers_count;
	size_t roots;
};

void oci_graph_init(struct oci_graph *graph);
int oci_graph_add(struct oci_graph *graph, struct oci_store *store, const struct oci_descriptor *root,
	bool referrers, struct oci_error *err);
/* One node, whatever it leads to; *ret (may be NULL) false: it was there already. */
int oci_graph_put(struct oci_graph *graph, struct oci_store *store, const struct oci_descriptor *d,
	enum oci_graph_kind kind, bool *ret, struct oci_error *err);
/* NULL: not in it. */
const struct oci_graph_node *oci_graph_find(const struct oci_graph *graph, const struct oci_digest *digest);
/* In the order of kinds; within one as they were found. Ends the adding. */
int oci_graph_sort(struct oci_graph *graph, struct oci_error *err);
void oci_graph_clear(struct oci_graph *graph);
