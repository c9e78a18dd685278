#include "engine/bundle_graph.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/grow.h"
#include "core/mediatype.h"
#include "engine/image.h"
#include "store/bundle_map.h"

#define DEPTH_MAX 8

struct walk {
	struct oci_bundle_graph *graph;
	struct oci_store *store;
	bool referrers;
};

void oci_bundle_graph_init(struct oci_bundle_graph *graph)
{
	*graph = (struct oci_bundle_graph){0};
}

static size_t slot_of(const struct oci_bundle_graph *graph, const struct oci_digest *digest)
{
	uint64_t hash;
	size_t at;

	memcpy(&hash, digest->bytes, sizeof hash);
	for (at = hash % graph->slot_count; graph->slots[at]; at = (at + 1) % graph->slot_count)
		if (oci_digest_equal(&graph->nodes[graph->slots[at] - 1].descriptor.digest, digest))
			break;
	return at;
}

const struct oci_bundle_node *oci_bundle_graph_find(const struct oci_bundle_graph *graph,
	const struct oci_digest *digest)
{
	size_t number = graph->slot_count ? graph->slots[slot_of(graph, digest)] : 0;

	return number ? &graph->nodes[number - 1] : NULL;
}

/* Never more than half full. */
static int make_room(struct oci_bundle_graph *graph, struct oci_error *err)
{
	size_t *slots;

	if (2 * (graph->count + 1) <= graph->slot_count)
		return 0;
	slots = calloc(graph->slot_count ? 2 * graph->slot_count : 64, sizeof *slots);
	if (!slots)
		return oci_fail_nomem(err);
	free(graph->slots);
	graph->slots = slots;
	graph->slot_count = graph->slot_count ? 2 * graph->slot_count : 64;
	for (size_t i = 0; i < graph->count; i++)
		slots[slot_of(graph, &graph->nodes[i].descriptor.digest)] = i + 1;
	return 0;
}

int oci_bundle_graph_put(struct oci_bundle_graph *graph, struct oci_store *store, const struct oci_descriptor *d,
	enum oci_bundle_kind kind, bool *ret, struct oci_error *err)
{
	const struct oci_bundle_node *old = oci_bundle_graph_find(graph, &d->digest);
	struct oci_bundle_node *nodes, node = {.store = store, .kind = kind};
	char text[OCI_DIGEST_TEXT_MAX];

	if (ret)
		*ret = !old;
	if (old && old->descriptor.size_bytes != d->size_bytes)
		return oci_fail(err, OCI_E_FORMAT, "blob '%s' is said to have %" PRIu64 " bytes and %" PRIu64,
			oci_digest_format(&d->digest, text), old->descriptor.size_bytes, d->size_bytes);
	if (old)
		return 0;
	if (graph->count == OCI_BUNDLE_BLOBS_MAX)
		return oci_fail(err, OCI_E_FORMAT, "the images have more than %d blobs", OCI_BUNDLE_BLOBS_MAX);
	if (make_room(graph, err) < 0)
		return -1;
	nodes = oci_grow(graph->nodes, graph->count, sizeof *nodes);
	if (!nodes)
		return oci_fail_nomem(err);
	graph->nodes = nodes;
	if (oci_descriptor_copy(&node.descriptor, d, err) < 0)
		return -1;
	graph->slots[slot_of(graph, &d->digest)] = graph->count + 1;
	nodes[graph->count++] = node;
	return 0;
}

static int visit(const struct walk *walk, const struct oci_descriptor *d, unsigned depth, struct oci_error *err);

static int add_image(const struct walk *walk, const struct oci_manifest *m, struct oci_error *err)
{
	if (oci_bundle_graph_put(walk->graph, walk->store, &m->config, OCI_BUNDLE_CONFIG, NULL, err) < 0)
		return -1;
	for (size_t i = 0; i < m->layer_count; i++)
		if (oci_bundle_graph_put(walk->graph, walk->store, &m->layers[i], OCI_BUNDLE_LAYER, NULL, err) < 0)
			return -1;
	return 0;
}

static int add_content(const struct walk *walk, const struct oci_descriptor *d, unsigned depth, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};
	char text[OCI_DIGEST_TEXT_MAX];

	if (oci_image_read_manifest(walk->store, d, &m, err) < 0)
		return -1;
	if (!m.is_index)
		return add_image(walk, &m, err);
	if (depth == DEPTH_MAX)
		return oci_fail(err, OCI_E_FORMAT, "index '%s' is nested too deep", oci_digest_format(&d->digest, text));
	for (size_t i = 0; i < m.manifest_count; i++)
		if (visit(walk, &m.manifests[i], depth + 1, err) < 0)
			return -1;
	return 0;
}

/* An index may list anything; what is no manifest is a blob. */
static bool is_document(const struct oci_descriptor *d)
{
	return oci_media_is_index(d->media_type) || oci_media_is_manifest(d->media_type);
}

static struct oci_bundle_referrers *referrers_of(struct oci_bundle_graph *graph, const struct oci_digest *subject,
	struct oci_error *err)
{
	struct oci_bundle_referrers *lists;

	for (size_t i = 0; i < graph->referrers_count; i++)
		if (oci_digest_equal(&graph->referrers[i].subject, subject))
			return &graph->referrers[i];
	lists = oci_grow(graph->referrers, graph->referrers_count, sizeof *lists);
	if (!lists) {
		oci_fail_nomem(err);
		return NULL;
	}
	graph->referrers = lists;
	lists[graph->referrers_count].subject = *subject;
	lists[graph->referrers_count].list.is_index = true;
	return &lists[graph->referrers_count++];
}

static int keep_referrer(struct oci_bundle_graph *graph, const struct oci_digest *subject,
	const struct oci_descriptor *d, struct oci_error *err)
{
	struct oci_bundle_referrers *known = referrers_of(graph, subject, err);
	struct oci_descriptor *entry;

	if (!known)
		return -1;
	for (size_t i = 0; i < known->list.manifest_count; i++)
		if (oci_digest_equal(&known->list.manifests[i].digest, &d->digest))
			return 0;
	entry = oci_manifest_add_manifest(&known->list, err);
	return entry ? oci_descriptor_copy(entry, d, err) : -1;
}

static int by_digest(const void *a, const void *b)
{
	const struct oci_descriptor *x = a, *y = b;

	return memcmp(x->digest.bytes, y->digest.bytes, sizeof x->digest.bytes);
}

static int add_referrers(const struct walk *walk, const struct oci_digest *subject, unsigned depth,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest found = {0};

	if (oci_store_referrers(walk->store, subject, NULL, &found, err) < 0)
		return -1;
	if (found.manifest_count > 0) /* a registry's order is its own matter */
		qsort(found.manifests, found.manifest_count, sizeof *found.manifests, by_digest);
	if (found.manifest_count > 0 && depth == DEPTH_MAX)
		return oci_fail(err, OCI_E_FORMAT, "what refers to an image is itself referred to, too often");
	for (size_t i = 0; i < found.manifest_count; i++)
		if (visit(walk, &found.manifests[i], depth + 1, err) < 0 ||
			keep_referrer(walk->graph, subject, &found.manifests[i], err) < 0)
			return -1;
	return 0;
}

static int keep_tag(struct oci_bundle_graph *graph, const char *tag, const struct oci_descriptor *d,
	struct oci_error *err)
{
	struct oci_bundle_tag *tags = oci_grow(graph->tags, graph->tag_count, sizeof *tags);

	if (!tags)
		return oci_fail_nomem(err);
	graph->tags = tags;
	tags[graph->tag_count].root = graph->roots;
	graph->tag_count++;
	if (oci_str_set(&tags[graph->tag_count - 1].tag, tag, err) < 0)
		return -1;
	return oci_descriptor_copy(&tags[graph->tag_count - 1].descriptor, d, err);
}

/* What cosign keeps beside an image, by a tag made of its digest. */
static int add_tagged(const struct walk *walk, const struct oci_digest *subject, unsigned depth, struct oci_error *err)
{
	static const char *const ends[] = {"sig", "att", "sbom"};
	char hex[OCI_DIGEST_TEXT_MAX];

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
		oci_autofree char *tag = oci_str_printf("%s-%s.%s", oci_digest_alg_name(subject->alg),
			oci_digest_hex(subject, hex), ends[i]);
		struct oci_error why = {0};

		if (!tag)
			return oci_fail_nomem(err);
		if (oci_store_resolve(walk->store, tag, &d, &why) < 0) {
			if (why.code == OCI_E_NOT_FOUND)
				continue;
			return oci_fail(err, why.code, "%s", why.text);
		}
		if (visit(walk, &d, depth + 1, err) < 0 || keep_tag(walk->graph, tag, &d, err) < 0)
			return -1;
	}
	return 0;
}

static int visit(const struct walk *walk, const struct oci_descriptor *d, unsigned depth, struct oci_error *err)
{
	char text[OCI_DIGEST_TEXT_MAX];

	if (!is_document(d) || oci_bundle_graph_find(walk->graph, &d->digest))
		return oci_bundle_graph_put(walk->graph, walk->store, d, OCI_BUNDLE_LAYER, NULL, err);
	if (depth > 2 * DEPTH_MAX)
		return oci_fail(err, OCI_E_FORMAT, "manifest '%s' is nested too deep", oci_digest_format(&d->digest, text));
	if (add_content(walk, d, depth, err) < 0 ||
		oci_bundle_graph_put(walk->graph, walk->store, d, OCI_BUNDLE_MANIFEST, NULL, err) < 0)
		return -1;
	if (!walk->referrers)
		return 0;
	if (add_referrers(walk, &d->digest, depth, err) < 0)
		return -1;
	return depth < DEPTH_MAX ? add_tagged(walk, &d->digest, depth, err) : 0;
}

int oci_bundle_graph_add(struct oci_bundle_graph *graph, struct oci_store *store, const struct oci_descriptor *root,
	bool referrers, struct oci_error *err)
{
	const struct walk walk = {graph, store, referrers};

	if (visit(&walk, root, 0, err) < 0)
		return -1;
	graph->roots++;
	return 0;
}

int oci_bundle_graph_sort(struct oci_bundle_graph *graph, struct oci_error *err)
{
	struct oci_bundle_node *sorted = calloc(graph->count + 1, sizeof *sorted);
	size_t count = 0;

	if (!sorted)
		return oci_fail_nomem(err);
	for (enum oci_bundle_kind kind = OCI_BUNDLE_MANIFEST; kind <= OCI_BUNDLE_LAYER; kind++)
		for (size_t i = 0; i < graph->count; i++)
			if (graph->nodes[i].kind == kind)
				sorted[count++] = graph->nodes[i];
	free(graph->nodes);
	graph->nodes = sorted;
	memset(graph->slots, 0, graph->slot_count * sizeof *graph->slots);
	for (size_t i = 0; i < graph->count; i++)
		graph->slots[slot_of(graph, &sorted[i].descriptor.digest)] = i + 1;
	return 0;
}

void oci_bundle_graph_clear(struct oci_bundle_graph *graph)
{
	for (size_t i = 0; i < graph->count; i++)
		oci_descriptor_clear(&graph->nodes[i].descriptor);
	for (size_t i = 0; i < graph->tag_count; i++) {
		free(graph->tags[i].tag);
		oci_descriptor_clear(&graph->tags[i].descriptor);
	}
	for (size_t i = 0; i < graph->referrers_count; i++)
		oci_manifest_clear(&graph->referrers[i].list);
	free(graph->nodes);
	free(graph->slots);
	free(graph->tags);
	free(graph->referrers);
	oci_bundle_graph_init(graph);
}
