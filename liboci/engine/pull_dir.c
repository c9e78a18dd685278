/* A plain directory as what is pulled: the image that pack would make of it. */
#include "engine/pull_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/pack_store.h"

struct pull_dir {
	struct oci_pack_options pack;
	struct oci_platform platforms[OCI_PACK_PLATFORMS];
};

/* before it is read */

static bool is_listed(const void *ctx, const char *path)
{
	return oci_listing_find(ctx, path) != NULL;
}

/* What is left out is no part of the image. */
static void fill_options(const struct pull_tree *t, struct pull_dir *dir)
{
	const struct oci_pull_options *o = t->options;

	dir->pack = (struct oci_pack_options){.source = o->from->path,
		.platforms = dir->platforms,
		.platform_count = OCI_PACK_PLATFORMS,
		.dir = {.include = o->filter.include,
			.exclude = o->filter.exclude,
			.only = o->filter.only ? is_listed : NULL,
			.only_ctx = o->filter.only},
		.cache_dir = o->cache_dir,
		.force = o->force || !oci_filter_is_empty(&o->filter), /* a part is not whole, and meant so */
		.jobs = o->jobs,
		.observer = o->observer,
		.cancel = o->cancel};
}

static int check_nesting(const struct pull_tree *t, const struct oci_place *place, struct oci_error *err)
{
	oci_autoclose int source = oci_fs_open_dir(t->options->from->path, NULL);

	if (source < 0 || !oci_fs_is_within(place->parent, source))
		return 0; /* what cannot be opened is the scan's to say */
	return oci_fail(err, OCI_E_USAGE, "'%s' lies in '%s', which would be copied into itself; name a place outside of it",
		t->options->dest, t->options->from->path);
}

/* What is known to fail fails before a long read. */
static int look_ahead(const struct pull_tree *t, struct oci_error *err)
{
	OCI_CLEANUP(oci_place_clear) struct oci_place place = OCI_PLACE_NONE;

	if (strcmp(t->part, OCI_MODEL_ROOT) != 0)
		return oci_fail(err, OCI_E_USAGE, "a plain directory lands whole: --root is for images");
	if (oci_place_open(t->options->dest, &place, err) < 0 || check_nesting(t, &place, err) < 0)
		return -1;
	if (t->options->publish != OCI_PUBLISH_VERSION && oci_place_check(&place, t->options->adopt, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	return 0;
}

static void say_skipped(const struct pull_tree *t)
{
	const struct oci_dir *dir = oci_pack_store_dir(t->store);
	char shown[OCI_STR_ESCAPE_MAX];

	for (size_t i = 0; i < dir->skipped_count; i++)
		if (strcmp(dir->skipped[i].why, "own state") != 0) {
			oci_event_note(t->options->observer, "left out '%s' (%s)%s",
				oci_str_escape(dir->skipped[i].path, shown), dir->skipped[i].why,
				i + 1 < dir->skipped_count ? ", and more" : "");
			return;
		}
}

int pull_dir_open(struct pull_tree *t, struct oci_error *err)
{
	if (look_ahead(t, err) < 0)
		return -1;
	t->dir = calloc(1, sizeof *t->dir);
	if (!t->dir)
		return oci_fail_nomem(err);
	fill_options(t, t->dir);
	if (oci_pack_platforms(t->dir->platforms, err) < 0)
		return -1;
	t->store = oci_pack_store(&t->dir->pack, err);
	if (!t->store)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	say_skipped(t);
	return 0;
}

/* after it was read */

int pull_dir_check(const struct pull_tree *t, struct oci_error *err)
{
	if (!t->dir || oci_pack_store_check(t->store, err) == 0)
		return 0;
	return oci_fail_side(err, OCI_SIDE_SOURCE);
}

bool pull_dir_blame(const struct pull_tree *t, struct oci_error *err)
{
	struct oci_error changed = {0};
	bool wrong = err && err->code == OCI_E_DIGEST;

	if (!t->dir || !err || (err->code != OCI_E_SOURCE && !wrong))
		return true;
	if (oci_pack_store_check(t->store, &changed) == 0) {
		if (!wrong)
			return true;
		/* Bytes that change under times that do not. */
		oci_fail(&changed, OCI_E_SOURCE, "'%s' does not stay as it is; run again once nothing writes to it",
			t->options->from->path);
	}
	*err = changed;
	oci_fail_side(err, OCI_SIDE_SOURCE);
	return false;
}

void pull_dir_close(struct pull_tree *t)
{
	for (size_t i = 0; t->dir && i < OCI_PACK_PLATFORMS; i++)
		oci_platform_clear(&t->dir->platforms[i]);
	free(t->dir);
}
