/* One image, from a name to its tags. */
#include "engine/copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/image.h"

struct oci_store *oci_copy_open(const struct oci_reference *to, bool dry_run, const struct oci_store_options *options,
	struct oci_error *err)
{
	struct oci_error failure = {0};
	struct oci_store *store;

	store = oci_store_open(to, dry_run ? OCI_STORE_READ : OCI_STORE_WRITE, options, &failure);
	if (!store && dry_run && failure.code == OCI_E_NOT_FOUND)
		return oci_store_memory(err); /* as empty as what would be made */
	if (!store && err && !err->code)
		*err = failure;
	if (!store)
		oci_fail_side(err, OCI_SIDE_DEST);
	return store;
}

int oci_copy_choose(struct oci_store *from, const char *name, const struct oci_platform *platform,
	struct oci_descriptor *ret, struct oci_error *err)
{
	int rc = platform ? oci_image_choose(from, name, platform, ret, err) : oci_store_resolve(from, name, ret, err);

	return rc < 0 ? oci_fail_side(err, OCI_SIDE_SOURCE) : 0;
}

int oci_copy_check_tag(struct oci_store *to, const char *tag, const struct oci_digest *wanted, bool force, bool *same,
	struct oci_error *err)
{
	struct oci_error failure = {0};
	struct oci_digest found;
	char text[OCI_DIGEST_TEXT_MAX];

	*same = false;
	if (oci_store_peek(to, tag, &found, &failure) < 0) {
		if (failure.code == OCI_E_NOT_FOUND)
			return 0;
		if (err && !err->code)
			*err = failure;
		return oci_fail_side(err, OCI_SIDE_DEST);
	}
	*same = oci_digest_equal(&found, wanted);
	if (*same || force)
		return 0;
	oci_fail(err, OCI_E_EXISTS, "tag '%s' exists with other content (%s); choose another tag or replace it with --force",
		tag, oci_digest_format(&found, text));
	return oci_fail_side(err, OCI_SIDE_DEST);
}

/* *same: all tags stand for what they shall already. */
static int check_tags(const struct oci_graph *graph, const struct oci_descriptor *root, struct oci_store *to,
	const struct oci_strings *tags, bool force, bool *same, struct oci_error *err)
{
	bool one;

	*same = tags->count > 0;
	for (size_t i = 0; i < tags->count; i++) {
		if (oci_copy_check_tag(to, tags->items[i], &root->digest, force, &one, err) < 0)
			return -1;
		*same = *same && one;
	}
	for (size_t i = 0; i < graph->tag_count; i++) {
		if (oci_copy_check_tag(to, graph->tags[i].tag, &graph->tags[i].descriptor.digest, force, &one, err) < 0)
			return -1;
		*same = *same && one;
	}
	return 0;
}

static int put_tags(struct oci_store *to, const struct oci_descriptor *root, const struct oci_strings *tags,
	struct oci_error *err)
{
	for (size_t i = 0; i < tags->count; i++)
		if (oci_store_tag(to, root, tags->items[i], err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
	return 0;
}

int oci_copy(struct oci_store *from, const char *name, struct oci_store *to, const struct oci_strings *tags,
	const struct oci_copy_options *options, struct oci_copy_report *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_graph_clear) struct oci_graph graph;
	bool same;

	oci_graph_init(&graph);
	if (oci_copy_choose(from, name, options->platform, &ret->root, err) < 0)
		return -1;
	if (oci_graph_add(&graph, from, &ret->root, options->referrers, err) < 0 || oci_graph_sort(&graph, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	if (check_tags(&graph, &ret->root, to, tags, options->force, &same, err) < 0)
		return -1;
	ret->unchanged = same && options->rewrites;
	if (ret->unchanged)
		return 0;
	if (options->rewrites && !options->force) {
		oci_fail(err, OCI_E_EXISTS, "the archive exists and is written whole; choose another file or replace it with --force");
		return oci_fail_side(err, OCI_SIDE_DEST);
	}
	if (oci_copy_graph(&graph, to, options, ret, err) < 0)
		return -1;
	ret->unchanged = same && ret->bytes[OCI_COPY_SENT] + ret->bytes[OCI_COPY_MOUNTED] == 0;
	if (options->dry_run)
		return 0;
	if ((!same && put_tags(to, &ret->root, tags, err) < 0) || oci_store_finish(to, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	return 0;
}
