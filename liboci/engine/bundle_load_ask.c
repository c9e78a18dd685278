/* What a load asks before it sends, and how a blob gets to all who lack it. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/workers.h"
#include "engine/bundle_load_job.h"
#include "store/ops.h"

#define JOBS 4
#define NAMED_MAX 4 /* blobs in one line of error */

static int check_tag(struct oci_bundle_load_job *job, size_t number, const char *tag, struct oci_error *err)
{
	const struct oci_bundle_image *image = &job->images.items[number];
	bool same;

	return tag ? oci_copy_check_tag(job->targets.items[job->targets.placings[number].target].store, tag,
			     &image->root.digest, job->options->force || oci_bundle_image_is_signature(image), &same, err)
		   : 0;
}

int oci_bundle_load_places(struct oci_bundle_load_job *job, struct oci_error *err)
{
	const struct oci_bundle_load_options *o = job->options;
	const struct oci_bundle_wish wish = {
		.to = o->to, .maps = o->maps, .via_zarf = o->via_zarf, .dry_run = o->dry_run, .store = o->store};

	if (oci_bundle_targets_open(&job->images, &wish, &job->targets, err) < 0)
		return -1;
	for (size_t i = 0; i < job->images.count; i++)
		if (check_tag(job, i, job->targets.placings[i].tag, err) < 0 ||
			check_tag(job, i, job->targets.placings[i].zarf_tag, err) < 0)
			return -1;
	return 0;
}

/* A document that is not in the bundle is the bundle's fault. */
static int add_image(struct oci_graph *graph, const struct oci_bundle_image *image, struct oci_error *err)
{
	struct oci_error why = {0};

	if (oci_graph_add(graph, image->store, &image->root, true, &why) == 0)
		return 0;
	if (why.code == OCI_E_NOT_FOUND)
		why.code = OCI_E_FORMAT;
	if (err && !err->code)
		*err = why;
	return -1;
}

int oci_bundle_load_walk(struct oci_bundle_load_job *job, struct oci_error *err)
{
	for (size_t i = 0; i < job->images.count; i++) {
		struct oci_bundle_image *image = &job->images.items[i];
		struct oci_graph *graph = &job->targets.items[job->targets.placings[i].target].graph;

		if (add_image(graph, image, err) < 0)
			return oci_fail_side(err, OCI_SIDE_SOURCE);
	}
	for (size_t i = 0; i < job->targets.count; i++)
		if (oci_graph_sort(&job->targets.items[i].graph, err) < 0)
			return -1;
	return 0;
}

static const struct oci_graph_node *node_at(const struct oci_bundle_load_job *job, size_t target,
	const struct oci_digest *digest)
{
	return oci_graph_find(&job->targets.items[target].graph, digest);
}

/* The map has all that the images lead to, and they agree on its size. */
static int check_listed(const struct oci_bundle_load_job *job, const struct oci_bundle_map *map, struct oci_error *err)
{
	char text[OCI_DIGEST_TEXT_MAX];

	for (size_t t = 0; t < job->targets.count; t++) {
		const struct oci_graph *graph = &job->targets.items[t].graph;

		for (size_t i = 0; i < graph->count; i++) {
			const struct oci_descriptor *d = &graph->nodes[i].descriptor;
			bool needed;
			const struct oci_bundle_blob *blob = oci_bundle_map_find(map, &d->digest, &needed);

			oci_digest_format(&d->digest, text);
			if (!blob)
				return oci_fail(err, OCI_E_FORMAT, "an image of the bundle leads to blob '%s', which it has not", text);
			if (blob->size_bytes != d->size_bytes)
				return oci_fail(err, OCI_E_FORMAT, "blob '%s' has %" PRIu64 " bytes in the bundle and %" PRIu64
					" in its image", text, blob->size_bytes, d->size_bytes);
		}
	}
	return 0;
}

static void add_parcel(struct oci_bundle_load_job *job, const struct oci_bundle_blob *blob, bool needed)
{
	for (size_t t = 0; t < job->targets.count; t++) {
		const struct oci_graph_node *node = node_at(job, t, &blob->digest);

		if (!node || node->kind == OCI_GRAPH_MANIFEST)
			continue;
		job->parcels[job->parcel_count++] = (struct oci_bundle_parcel){
			.blob = blob, .descriptor = &node->descriptor, .needed = needed};
		return;
	}
}

static int list_parcels(struct oci_bundle_load_job *job, const struct oci_bundle_map *map, struct oci_error *err)
{
	job->parcels = calloc(map->count + map->needed_count + 1, sizeof *job->parcels);
	if (!job->parcels)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < map->count; i++)
		add_parcel(job, &map->blobs[i], false);
	for (size_t i = 0; i < map->needed_count; i++)
		add_parcel(job, &map->needed[i], true);
	return 0;
}

static void count_moved(struct oci_bundle_load_job *job, enum oci_copy_how how, uint64_t bytes)
{
	if (how != OCI_COPY_EXISTS)
		atomic_fetch_add(&job->moved_bytes[how], bytes);
}

/* Another repository of the place may have it. */
static int mount_needed(struct oci_bundle_load_job *job, size_t target, const struct oci_descriptor *d, bool *there,
	struct oci_error *err)
{
	struct oci_store *to = job->targets.items[target].store;

	for (size_t t = 0; t < job->targets.count && !*there && to->ops->mount; t++) {
		struct oci_store *from = t == target ? job->store : job->targets.items[t].store;

		if (to->ops->mount(to, d, from, there, err) < 0)
			return -1;
	}
	if (*there)
		count_moved(job, OCI_COPY_MOUNTED, d->size_bytes);
	return 0;
}

static int ask_parcel(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct oci_bundle_load_job *job = worker->ctx;
	struct oci_bundle_parcel *parcel = &job->parcels[item];
	const struct oci_descriptor *d = parcel->descriptor;

	for (size_t t = 0; t < job->targets.count; t++) {
		bool there = false;

		if (!node_at(job, t, &d->digest))
			continue;
		if (oci_store_exists(job->targets.items[t].store, d, &there, err) < 0 ||
			(!there && parcel->needed && !job->options->dry_run && mount_needed(job, t, d, &there, err) < 0))
			return oci_fail_side(err, OCI_SIDE_DEST);
		parcel->lacking = parcel->lacking || !there;
	}
	return 0;
}

static int check_needed(const struct oci_bundle_load_job *job, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf names;
	char text[OCI_DIGEST_TEXT_MAX];
	size_t count = 0;

	oci_buf_init(&names, OCI_KIB);
	for (size_t i = 0; i < job->parcel_count; i++) {
		const struct oci_bundle_parcel *parcel = &job->parcels[i];

		if (!parcel->needed || !parcel->lacking)
			continue;
		oci_event_warn(job->options->observer, "missing at the destination: %s, %" PRIu64 " bytes",
			oci_digest_format(&parcel->blob->digest, text), parcel->blob->size_bytes);
		if (count++ < NAMED_MAX && oci_buf_printf(&names, err, "%s%s", count > 1 ? ", " : "", text) < 0)
			return -1;
	}
	if (count == 0)
		return 0;
	oci_fail(err, OCI_E_NOT_FOUND,
		"the destination lacks %zu blobs that this delta builds on; load its base first, or make it anew against "
		"'bundle have'. Missing: %s%s", count, oci_buf_text(&names), count > NAMED_MAX ? ", ..." : "");
	return oci_fail_side(err, OCI_SIDE_DEST);
}

static int check_load(const struct oci_bundle_load_job *job, struct oci_error *err)
{
	for (size_t t = 0; t < job->targets.count; t++) {
		struct oci_store_load load = {.observer = job->options->observer};

		for (size_t i = 0; i < job->parcel_count; i++) {
			const struct oci_bundle_parcel *parcel = &job->parcels[i];

			if (!node_at(job, t, &parcel->descriptor->digest))
				continue;
			load.layer_count++;
			if (parcel->lacking && parcel->blob->size_bytes > load.largest_bytes)
				load.largest_bytes = parcel->blob->size_bytes;
		}
		if (oci_store_preflight(job->targets.items[t].store, &load, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
	}
	return 0;
}

int oci_bundle_load_ask(struct oci_bundle_load_job *job, const struct oci_bundle_map *map, struct oci_error *err)
{
	const struct oci_bundle_load_options *o = job->options;

	if (check_listed(job, map, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	if (list_parcels(job, map, err) < 0)
		return -1;
	oci_event_phase(o->observer, "ask", 0, job->parcel_count);
	if (oci_workers_run(o->jobs ? o->jobs : JOBS, job->parcel_count, ask_parcel, job, o->cancel, err) < 0)
		return -1;
	return check_needed(job, err) < 0 || check_load(job, err) < 0 ? -1 : 0;
}

static int copy_to(struct oci_bundle_load_job *job, const struct oci_bundle_parcel *parcel, struct oci_store *from,
	size_t target, struct oci_error *err)
{
	const struct oci_bundle_load_options *o = job->options;
	enum oci_copy_how how;

	if (oci_copy_blob(from, job->targets.items[target].store, parcel->descriptor, o->observer, o->cancel, &how,
		    err) < 0)
		return -1;
	count_moved(job, how, parcel->blob->size_bytes);
	return 0;
}

size_t oci_bundle_load_first(const struct oci_bundle_load_job *job, const struct oci_bundle_parcel *parcel)
{
	size_t first = 0;

	while (!node_at(job, first, &parcel->descriptor->digest))
		first++;
	return first;
}

int oci_bundle_load_spread(struct oci_bundle_load_job *job, const struct oci_bundle_parcel *parcel, size_t first,
	struct oci_error *err)
{
	for (size_t t = first + 1; t < job->targets.count; t++)
		if (node_at(job, t, &parcel->descriptor->digest) &&
			copy_to(job, parcel, job->targets.items[first].store, t, err) < 0)
			return -1;
	return 0;
}

int oci_bundle_load_send(struct oci_bundle_load_job *job, const struct oci_bundle_parcel *parcel,
	struct oci_error *err)
{
	size_t first = oci_bundle_load_first(job, parcel);

	return copy_to(job, parcel, job->store, first, err) < 0 ? -1 : oci_bundle_load_spread(job, parcel, first, err);
}
