#include "engine/bundle_base.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "core/grow.h"
#include "engine/bundle_images.h"

#define LIST_MAX (256 * OCI_MIB)

static int add(struct oci_bundle_base *base, const struct oci_digest *digest, struct oci_error *err)
{
	struct oci_digest *digests = oci_grow(base->digests, base->count, sizeof *digests);

	if (!digests)
		return oci_fail_nomem(err);
	base->digests = digests;
	digests[base->count++] = *digest;
	return 0;
}

static int walk(const char *reference, const struct oci_store_options *store, struct oci_graph *graph,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_bundle_images_clear) struct oci_bundle_images images = {0};

	if (oci_bundle_images_open_all(&images, reference, store, err) < 0)
		return -1;
	for (size_t i = 0; i < images.count; i++)
		if (oci_graph_add(graph, images.items[i].store, &images.items[i].root, false, err) < 0)
			return oci_fail_side(err, OCI_SIDE_SOURCE);
	return 0;
}

int oci_bundle_base_add(struct oci_bundle_base *base, const char *reference, const struct oci_store_options *store,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_graph_clear) struct oci_graph graph;

	oci_graph_init(&graph);
	if (walk(reference, store, &graph, err) < 0)
		return -1;
	for (size_t i = 0; i < graph.count; i++)
		if (add(base, &graph.nodes[i].descriptor.digest, err) < 0)
			return -1;
	return 0;
}

static int add_line(struct oci_bundle_base *base, char *line, size_t number, struct oci_error *err)
{
	struct oci_digest digest;

	line[strcspn(line, " \t\r")] = '\0';
	if (line[0] == '\0' || line[0] == '#')
		return 0;
	if (oci_digest_parse(line, &digest, err) < 0)
		return oci_wrap(err, "line %zu", number);
	return add(base, &digest, err);
}

int oci_bundle_base_read(struct oci_bundle_base *base, const char *file, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	oci_autofree char *name = NULL;
	oci_autoclose int dir = oci_fs_open_parent(file, &name, err);
	char *line, *next;
	size_t number = 1;

	oci_buf_init(&text, LIST_MAX);
	if (dir < 0 || oci_fs_read_file(dir, name, &text, err) < 0)
		return -1;
	for (line = text.data; line && *line; line = next, number++) {
		next = line + strcspn(line, "\n");
		next += *next != '\0' ? (*next = '\0', 1) : 0;
		if (add_line(base, line, number, err) < 0)
			return oci_wrap(err, "'%s'", file);
	}
	return 0;
}

static int by_digest(const void *a, const void *b)
{
	const struct oci_digest *x = a, *y = b;

	return memcmp(x->bytes, y->bytes, sizeof x->bytes);
}

void oci_bundle_base_sort(struct oci_bundle_base *base)
{
	if (base->count > 0)
		qsort(base->digests, base->count, sizeof *base->digests, by_digest);
}

bool oci_bundle_base_has(const struct oci_bundle_base *base, const struct oci_digest *digest)
{
	return base->count > 0 && bsearch(digest, base->digests, base->count, sizeof *base->digests, by_digest);
}

void oci_bundle_base_clear(struct oci_bundle_base *base)
{
	free(base->digests);
	*base = (struct oci_bundle_base){0};
}

int oci_bundle_base_list(const struct oci_strings *references, const struct oci_store_options *store,
	struct oci_buf *out, struct oci_error *err)
{
	OCI_CLEANUP(oci_graph_clear) struct oci_graph graph;
	char text[OCI_DIGEST_TEXT_MAX];

	oci_graph_init(&graph);
	for (size_t i = 0; i < references->count; i++)
		if (walk(references->items[i], store, &graph, err) < 0)
			return -1;
	for (size_t i = 0; i < graph.count; i++)
		if (oci_buf_printf(out, err, "%s %" PRIu64 "\n",
			    oci_digest_format(&graph.nodes[i].descriptor.digest, text),
			    graph.nodes[i].descriptor.size_bytes) < 0)
			return -1;
	return 0;
}
