#include "engine/copy.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/workers.h"
#include "core/digest_pool.h"
#include "core/grow.h"
#include "store/ops.h"

#define JOBS 4
#define ROUNDS_MAX 3
#define LONG_MS (60 * 1000)
#define POOL_WAIT_MS 2 /* what a stream alone loses at each buffer while another stalls */

/* One object of a graph, and what is known of it at the destination. */
struct item {
	const struct oci_graph_node *node;
	bool there;
	enum oci_copy_how how;
	uint64_t order; /* in a source that is read in order */
};

struct shipment {
	const struct oci_graph *graph;
	struct oci_store *to;
	const struct oci_copy_options *options;
	struct item *items; /* in the order of the graph */
	struct item **queue; /* the blobs: as their source wants, else the largest first, so that none is left alone at the end */
	size_t blob_count;
	bool in_order; /* one after another */
	struct oci_digest_pool *pool;
};

struct origin {
	struct oci_store *store;
	const struct oci_descriptor *descriptor;
};

static struct oci_reader *open_origin(void *ctx, uint64_t offset, struct oci_error *err)
{
	const struct origin *from = ctx;
	const struct oci_descriptor *d = from->descriptor;

	return from->store->ops->open(from->store, d, offset, d->size_bytes - offset, err);
}

static int open_origin_file(void *ctx, struct oci_error *err)
{
	const struct origin *from = ctx;

	return from->store->ops->file(from->store, from->descriptor, err);
}

/* Bytes may change on the way: wrong ones are fetched again once. */
static int put_blob(struct oci_store *from, struct oci_store *to, const struct oci_descriptor *d,
	struct oci_digest_pool *pool, const struct oci_observer *observer, const atomic_int *cancel,
	struct oci_error *err)
{
	struct origin origin = {from, d};
	struct oci_content content = {
		.open = open_origin, .file = from->ops->file ? open_origin_file : NULL, .ctx = &origin, .pool = pool,
	};
	struct oci_error failure = {0};

	if (oci_store_put(to, d, &content, observer, cancel, &failure) == 0)
		return 0;
	if (failure.code == OCI_E_DIGEST && failure.side == OCI_SIDE_SOURCE && from->ops->distrust) {
		oci_store_distrust(from, d);
		return oci_store_put(to, d, &content, observer, cancel, err);
	}
	if (err && !err->code)
		*err = failure;
	return -1;
}

/* What is known to be missing: mounted where that can be, else sent. */
static int move_blob(struct oci_store *from, struct oci_store *to, const struct oci_descriptor *d,
	struct oci_digest_pool *pool, const struct oci_observer *observer, const atomic_int *cancel,
	enum oci_copy_how *ret, struct oci_error *err)
{
	bool there = false;

	if (to->ops->mount && to->ops->mount(to, d, from, &there, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	*ret = there ? OCI_COPY_MOUNTED : OCI_COPY_SENT;
	return there ? 0 : put_blob(from, to, d, pool, observer, cancel, err);
}

int oci_copy_blob(struct oci_store *from, struct oci_store *to, const struct oci_descriptor *d,
	const struct oci_observer *observer, const atomic_int *cancel, enum oci_copy_how *ret,
	struct oci_error *err)
{
	bool there = false;

	if (oci_store_exists(to, d, &there, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	*ret = OCI_COPY_EXISTS;
	return there ? 0 : move_blob(from, to, d, NULL, observer, cancel, ret, err);
}

static int wrap_object(struct oci_error *err, const struct oci_graph_node *node)
{
	static const char *const kinds[] = {"manifest", "config", "layer"};
	char text[OCI_DIGEST_TEXT_MAX];

	return oci_wrap(err, "%s '%s'", kinds[node->kind], oci_digest_format(&node->descriptor.digest, text));
}

/* asking */

static int ask_item(struct oci_worker *worker, size_t number, struct oci_error *err)
{
	const struct shipment *s = worker->ctx;
	struct item *item = &s->items[number];

	item->there = false;
	if (oci_store_exists(s->to, &item->node->descriptor, &item->there, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	return 0;
}

static int ask(const struct shipment *s, size_t *missing, struct oci_error *err)
{
	const struct oci_copy_options *o = s->options;

	if (oci_workers_run(o->jobs ? o->jobs : JOBS, s->graph->count, ask_item, (void *)s, o->cancel, err) < 0)
		return -1;
	*missing = 0;
	for (size_t i = 0; i < s->graph->count; i++)
		*missing += !s->items[i].there && s->items[i].node->kind != OCI_GRAPH_MANIFEST;
	return 0;
}

/* Known before a byte moves: what the place will not take. */
static int check_load(const struct shipment *s, struct oci_error *err)
{
	struct oci_store_load load = {.layer_count = s->blob_count, .observer = s->options->observer};

	for (size_t i = 0; i < s->blob_count; i++) {
		const struct item *item = s->queue[i];

		if (!item->there && item->node->descriptor.size_bytes > load.largest_bytes)
			load.largest_bytes = item->node->descriptor.size_bytes;
	}
	return oci_store_preflight(s->to, &load, err);
}

/* sending */

static int send_item(struct oci_worker *worker, size_t number, struct oci_error *err)
{
	static const char *const words[] = {"exists", "mounted", "sent"};
	const struct shipment *s = worker->ctx;
	const struct oci_copy_options *o = s->options;
	struct item *item = s->queue[number];
	const struct oci_graph_node *node = item->node;
	char digest[OCI_DIGEST_TEXT_MAX];

	if (!item->there) {
		if (move_blob(node->store, s->to, &node->descriptor, s->pool, o->observer, o->cancel, &item->how, err) < 0)
			return wrap_object(err, node);
		item->there = true;
	}
	oci_event_done(o->observer, oci_digest_format(&node->descriptor.digest, digest), node->descriptor.size_bytes,
		words[item->how]);
	return 0;
}

static unsigned jobs_of(const struct shipment *s)
{
	return s->in_order ? 1 : s->options->jobs ? s->options->jobs : JOBS;
}

static int send_blobs(const struct shipment *s, struct oci_error *err)
{
	const struct oci_copy_options *o = s->options;
	uint64_t total = 0;

	for (size_t i = 0; i < s->blob_count; i++)
		if (!s->queue[i]->there)
			total += s->queue[i]->node->descriptor.size_bytes;
	oci_event_phase(o->observer, "copy", total, s->blob_count);
	return oci_workers_run(jobs_of(s), s->blob_count, send_item, (void *)s, o->cancel, err);
}

static int send_manifest(const struct shipment *s, struct item *item, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	const struct oci_graph_node *node = item->node;

	if (item->there)
		return 0;
	oci_buf_init(&bytes, OCI_MANIFEST_MAX);
	if (oci_store_read(node->store, &node->descriptor, &bytes, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	if (oci_store_write(s->to, &node->descriptor, bytes.data, bytes.len, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	item->there = true;
	item->how = OCI_COPY_SENT;
	return 0;
}

static int send_manifests(const struct shipment *s, struct oci_error *err)
{
	for (size_t i = 0; i < s->graph->count; i++)
		if (s->items[i].node->kind == OCI_GRAPH_MANIFEST && send_manifest(s, &s->items[i], err) < 0)
			return wrap_object(err, s->items[i].node);
	return 0;
}

/* Refused as a registry refuses a manifest whose blobs it does not know. */
static bool may_lack_blobs(const struct oci_error *failure)
{
	return failure->side == OCI_SIDE_DEST && (failure->http == 400 || failure->http == 404);
}

/* 1: all is there; 0: *missing blobs must be sent again first. */
static int finish_round(const struct shipment *s, bool ask_first, size_t *missing, struct oci_error *err)
{
	struct oci_error failure = {0};

	*missing = 0;
	if (ask_first && ask(s, missing, err) < 0)
		return -1;
	if (*missing > 0)
		return 0;
	if (send_manifests(s, &failure) == 0)
		return 1;
	if (may_lack_blobs(&failure) && ask(s, missing, err) < 0)
		return -1;
	if (*missing > 0)
		return 0;
	if (err && !err->code)
		*err = failure;
	return -1;
}

/* Blobs, then manifests. A registry may collect blobs that no manifest names
 * yet: those are sent again. */
static int send_all(const struct shipment *s, struct oci_error *err)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		uint64_t start_ms = oci_clock_ms();
		size_t missing;

		if (send_blobs(s, err) < 0)
			return -1;
		int rc = finish_round(s, oci_clock_ms() - start_ms >= LONG_MS, &missing, err);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
		oci_event_note(s->options->observer, "the destination has lost %zu blobs that it had; sending them again",
			missing);
	}
	oci_fail(err, OCI_E_NETWORK, "the destination keeps losing blobs while they are sent");
	return oci_fail_side(err, OCI_SIDE_DEST);
}

/* what stands for referrers */

static int tag_signatures(const struct shipment *s, struct oci_error *err)
{
	const struct oci_graph *graph = s->graph;

	for (size_t i = 0; i < graph->tag_count; i++)
		if (oci_store_tag(s->to, &graph->tags[i].descriptor, graph->tags[i].tag, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
	for (size_t i = 0; i < graph->referrers_count; i++)
		if (oci_store_refer(s->to, &graph->referrers[i].subject, &graph->referrers[i].list, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
	return 0;
}

/* the whole */

static int by_size(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;
	uint64_t left = x->node->descriptor.size_bytes, right = y->node->descriptor.size_bytes;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	if (left != right)
		return left < right ? 1 : -1;
	return x < y ? -1 : x > y;
}

static void put_in_order(struct shipment *s)
{
	for (size_t i = 0; i < s->blob_count; i++) {
		struct item *item = s->queue[i];
		struct oci_store *from = item->node->store;

		if (from->ops->order && from->ops->order(from, &item->node->descriptor, &item->order))
			s->in_order = true;
	}
	qsort(s->queue, s->blob_count, sizeof *s->queue, by_size);
}

static int shipment_init(struct shipment *s, struct oci_error *err)
{
	s->items = calloc(s->graph->count + 1, sizeof *s->items);
	s->queue = calloc(s->graph->count + 1, sizeof *s->queue);
	if (!s->items || !s->queue)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < s->graph->count; i++) {
		s->items[i].node = &s->graph->nodes[i];
		if (s->graph->nodes[i].kind != OCI_GRAPH_MANIFEST)
			s->queue[s->blob_count++] = &s->items[i];
	}
	if (s->blob_count > 0)
		put_in_order(s);
	return 0;
}

static void shipment_clear(struct shipment *s)
{
	free(s->items);
	free(s->queue);
}

static int report_items(const struct shipment *s, struct oci_copy_report *report, struct oci_error *err)
{
	for (size_t i = 0; i < s->graph->count; i++) {
		const struct item *item = &s->items[i];
		struct oci_copy_object *objects = oci_grow(report->objects, report->object_count, sizeof *objects);

		if (!objects)
			return oci_fail_nomem(err);
		report->objects = objects;
		objects[report->object_count++] = (struct oci_copy_object){.digest = item->node->descriptor.digest,
			.size_bytes = item->node->descriptor.size_bytes,
			.kind = item->node->kind,
			.how = item->there ? item->how : OCI_COPY_SENT};
		report->bytes[objects[report->object_count - 1].how] += item->node->descriptor.size_bytes;
	}
	report->signatures += s->graph->tag_count;
	for (size_t i = 0; i < s->graph->referrers_count; i++)
		report->signatures += s->graph->referrers[i].list.manifest_count;
	return 0;
}

int oci_copy_graph(const struct oci_graph *graph, struct oci_store *to, const struct oci_copy_options *options,
	struct oci_copy_report *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_digest_pool_clear) struct oci_digest_pool pool;
	OCI_CLEANUP(shipment_clear) struct shipment s = {.graph = graph, .to = to, .options = options, .pool = &pool};
	size_t missing;

	oci_digest_pool_init(&pool, OCI_DIGEST_POOL_LANES, POOL_WAIT_MS);
	if (shipment_init(&s, err) < 0)
		return -1;
	oci_event_phase(options->observer, "ask", 0, graph->count);
	if (ask(&s, &missing, err) < 0 || check_load(&s, err) < 0)
		return -1;
	if (!options->dry_run && (send_all(&s, err) < 0 || tag_signatures(&s, err) < 0))
		return -1;
	return report_items(&s, ret, err);
}

void oci_copy_report_clear(struct oci_copy_report *report)
{
	oci_descriptor_clear(&report->root);
	free(report->objects);
	*report = (struct oci_copy_report){0};
}
