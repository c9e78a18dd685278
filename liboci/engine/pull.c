#include "engine/pull.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/pull_job.h"
#include "engine/pull_tree.h"
#include "engine/publish.h"
#include "engine/remedy.h"

static void clear(struct pull_tree *t)
{
	oci_reuse_clear(&t->reuse);
	oci_lease_drop(t->lease);
	oci_stage_clear(&t->stage);
	oci_stage_clear(&t->made);
	oci_place_clear(&t->place);
	oci_image_clear(&t->image);
	oci_descriptor_clear(&t->root);
	oci_store_close(t->store);
	pull_dir_close(t);
	oci_listing_clear(&t->listing);
	oci_strings_clear(&t->part_names);
	oci_strings_clear(&t->dirs);
	free(t->parts);
}

/* Would another pull of the same image with these options give the same tree? */
static bool is_plain(const struct pull_tree *t)
{
	const struct oci_pull_options *o = t->options;

	return oci_filter_is_empty(&o->filter) && !o->platform && !o->repair && strcmp(t->part, OCI_MODEL_ROOT) == 0;
}

static bool is_unchanged(const struct pull_tree *t)
{
	const struct oci_record *record = &t->place.records[0];

	return is_plain(t) && oci_place_holds(&t->place, &t->root.digest) && !record->partial && !record->part;
}

static void report_unchanged(struct pull_tree *t)
{
	const struct oci_record *record = &t->place.records[0];

	t->report.unchanged = true;
	t->report.manifest = record->manifest;
	t->report.file_count = record->listing.count;
	for (size_t i = 0; i < record->listing.count; i++)
		t->report.bytes_files += record->listing.files[i].size_bytes;
	t->report.bytes_kept = t->report.bytes_files;
}

/* the lease */

static int may_write(void *ctx, struct oci_error *err)
{
	const struct pull_tree *t = ctx;

	return oci_lease_check(t->lease, err);
}

/* What a writer that was taken for dead runs into is not the disk's fault. */
static void blame_takeover(const struct pull_tree *t, struct oci_error *err)
{
	struct oci_error lost = {0};

	if (err->code != OCI_E_CANCELLED && oci_lease_check(t->lease, &lost) < 0 && lost.code == OCI_E_BUSY)
		*err = lost;
}

/* by streams */

static int has_room(void *ctx, uint64_t bytes, struct oci_error *err)
{
	return pull_make_room(ctx, NULL, bytes, err);
}

/* Parts that a run before has put in their places are found there. */
static int find_places(struct pull_tree *t, struct pull_job *job, struct oci_error *err)
{
	if (oci_stage_has_dir(&t->stage)) {
		if (pull_open_dir(t, &t->made, err) < 0)
			return -1;
		job->tree = t->made.tree;
	} else if (t->place.mode == OCI_PLACE_IN_PLACE) {
		job->dest_dir = t->place.dir;
	}
	return 0;
}

/* What the tree is shows when all of it is there: a Triton model is filled in place, so that
 * no other directory stands in its repository. */
static int settle(struct pull_tree *t, struct oci_error *err)
{
	enum oci_place_mode before = t->place.mode;

	oci_place_settle(&t->place, oci_place_is_model(&t->listing));
	if (t->place.mode != before)
		oci_event_note(t->options->observer, "it is a Triton model: publish mode %s",
			oci_place_mode_name(t->place.mode));
	t->report.mode = t->place.mode;
	oci_stage_clear(&t->made);
	if (pull_name_parts(t, err) < 0)
		return -1;
	return t->place.mode == OCI_PLACE_IN_PLACE ? 0 : pull_build_tree(t, &t->dirs, &t->made, err);
}

static bool has_same_files(const struct pull_tree *t)
{
	const struct oci_listing *old = &t->place.records[0].listing;

	if (!t->place.has_record || old->count != t->listing.count)
		return false;
	for (size_t i = 0; i < old->count; i++)
		if (!oci_listing_find(&t->listing, old->files[i].path))
			return false;
	return true;
}

static int take_streams(struct pull_tree *t, struct oci_error *err)
{
	OCI_CLEANUP(pull_clear) struct pull_job job = {.store = t->store,
		.image = &t->image,
		.root = t->part,
		.filter = t->filter,
		.jobs = t->jobs,
		.dest = t->options->dest,
		.observer = t->options->observer,
		.cancel = t->options->cancel,
		.may = may_write,
		.room = has_room,
		.ctx = t,
		.stage = &t->stage,
		.tree = -1,
		.dest_dir = -1};
	int rc;

	if (find_places(t, &job, err) < 0)
		return -1;
	rc = pull_stream(&job, &t->listing, err);
	t->keep = t->keep || atomic_load(&job.kept);
	if (rc < 0)
		return -1;
	if (!has_same_files(t) && pull_check_version(t, err) < 0) {
		t->keep = false; /* no run goes on from it */
		return -1;
	}
	t->report.bytes_fetched = atomic_load(&job.fetched);
	t->report.bytes_reused = atomic_load(&job.reused);
	t->dirs = job.dirs;
	job.dirs = (struct oci_strings){0};
	oci_event_phase(t->options->observer, "publish", 0, 0);
	return settle(t, err);
}

/* publishing */

/* What lies on this machine is found again from anywhere, unless its name ends at the first colon and
 * the way to it has one. */
static int name_source(const struct pull_tree *t, struct oci_buf *out, struct oci_error *err)
{
	struct oci_reference ref = *t->options->from; /* borrowed */
	oci_autofree char *path = NULL;

	if (ref.transport != OCI_TRANSPORT_REGISTRY) {
		path = oci_fs_absolute(ref.path, err);
		if (!path)
			return -1;
		if (ref.transport == OCI_TRANSPORT_DIR || ref.transport == OCI_TRANSPORT_LAYOUT || !strchr(path, ':'))
			ref.path = path;
	}
	return oci_reference_format(&ref, out, err);
}

/* A repair takes what is listed from a directory that may have more by now. */
static bool is_partial(const struct pull_tree *t)
{
	const struct oci_filter *filter = &t->options->filter;

	if (t->dir && filter->only)
		return t->place.has_record && t->place.records[0].partial;
	return !oci_filter_is_empty(filter);
}

static int fill_record(const struct pull_tree *t, struct oci_record *record, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, 64 * OCI_KIB);
	record->root = t->root.digest;
	record->manifest = t->image.descriptor.digest;
	record->partial = is_partial(t);
	if (name_source(t, &text, err) < 0 ||
		oci_str_set(&record->reference, oci_buf_text(&text), err) < 0)
		return -1;
	return strcmp(t->part, OCI_MODEL_ROOT) == 0 ? 0 : oci_str_set(&record->part, t->part, err);
}

static int publish(struct pull_tree *t, struct oci_error *err)
{
	OCI_CLEANUP(oci_record_clear) struct oci_record record = {0};
	struct oci_publication p = {.place = &t->place,
		.stage = t->made.fd >= 0 ? &t->made : &t->stage,
		.record = &record,
		.parts = t->parts,
		.may = may_write,
		.ctx = t,
		.observer = t->options->observer};
	int rc;

	if (oci_listing_find(&t->listing, OCI_RECORD_NAME))
		return oci_fail(err, OCI_E_FORMAT, "the image holds a file '%s', our record's name", OCI_RECORD_NAME);
	t->report.file_count = t->listing.count;
	for (size_t i = 0; i < t->listing.count; i++)
		t->report.bytes_files += t->listing.files[i].size_bytes;
	if (fill_record(t, &record, err) < 0)
		return -1;
	record.listing = t->listing;
	t->listing = (struct oci_listing){0};
	rc = oci_publish(&p, err);
	t->holds_old = p.holds_old;
	t->listing = record.listing;
	record.listing = (struct oci_listing){0};
	return rc;
}

/* one tree */

static bool image_is_model(const struct pull_tree *t)
{
	OCI_CLEANUP(oci_listing_clear) struct oci_listing files = {0};

	for (size_t i = 0; i < t->image.index.file_count; i++)
		if (!oci_listing_add(&files, t->image.index.files[i].path, NULL))
			return false;
	oci_listing_sort(&files);
	return oci_place_is_model(&files);
}

static int open_image(struct pull_tree *t, struct oci_error *err)
{
	if (oci_image_open_root(t->store, &t->root, t->options->platform, &t->image, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	t->report.manifest = t->image.descriptor.digest;
	return 0;
}

static void announce(const struct pull_tree *t)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_event_note(t->options->observer, "publish mode %s: '%s' becomes %s", oci_place_mode_name(t->place.mode),
		t->options->dest, oci_digest_format(&t->root.digest, digest));
}

static bool takes_blocks(const struct pull_tree *t)
{
	return t->image.has_index && strcmp(t->part, OCI_MODEL_ROOT) == 0 && oci_block_plan_fits(&t->image);
}

/* The staged rest stays where another run can use it. Once the lease is lost it is another's, who may be at work on it. */
static int give_up(const struct pull_tree *t, struct oci_error *err)
{
	bool useful;

	if (!err)
		return -1;
	blame_takeover(t, err);
	if (err->code == OCI_E_BUSY || t->holds_old)
		return -1; /* what is staged is another writer's now, or is what readers had */
	useful = t->keep && pull_dir_blame(t, err) && err->code != OCI_E_FORMAT && err->code != OCI_E_UNSUPPORTED &&
		err->code != OCI_E_DIGEST;
	if (!useful)
		oci_stage_remove(&t->stage);
	else
		oci_append(err, "; what has come is kept, the same command goes on from there");
	return -1;
}

static int land_and_publish(struct pull_tree *t, struct oci_error *err)
{
	bool blocks = takes_blocks(t);

	if (oci_stage_open(t->place.state, t->place.state_name, &t->image.descriptor.digest,
		    !blocks || t->place.mode == OCI_PLACE_IN_PLACE, &t->stage, err) < 0) {
		blame_takeover(t, err);
		return -1;
	}
	t->keep = t->stage.found;
	oci_stage_sweep(t->place.state, t->place.state_name, &t->stage, t->place.has_record, false);
	if ((blocks ? pull_blocks(t, err) : take_streams(t, err)) < 0 || pull_dir_check(t, err) < 0 ||
		(!t->report.unchanged && publish(t, err) < 0))
		return give_up(t, err);
	if (!t->holds_old)
		oci_stage_remove(&t->stage);
	if (t->report.unchanged)
		report_unchanged(t);
	if (t->options->warm)
		pull_warm(t);
	return 0;
}

/* Instead of all that: what would be done. */
static int preview(struct pull_tree *t, struct oci_error *err)
{
	if (takes_blocks(t)) {
		if (pull_blocks_preview(t, err) < 0)
			return -1;
		if (t->report.unchanged)
			report_unchanged(t);
		return 0;
	}
	for (size_t i = 0; i < t->image.manifest.layer_count; i++)
		if (t->image.layers[i].use != OCI_USE_NONE)
			t->report.bytes_fetched += t->image.manifest.layers[i].size_bytes;
	return 0;
}

/* What lies at the destination, and how the new tree will come there. */
static int look(struct pull_tree *t, const char *dest, struct oci_error *err)
{
	struct oci_place_wish wish = {.publish = t->options->publish,
		.adopt = t->options->adopt,
		.look_only = t->options->dry_run,
		.root = &t->root.digest};

	oci_place_clear(&t->place);
	if (oci_place_open(dest, &t->place, err) < 0)
		return -1;
	if (is_unchanged(t)) {
		report_unchanged(t);
		return 0;
	}
	if (t->options->replace_first && t->place.dir >= 0) /* what is removed first cannot be swapped */
		wish.publish = OCI_PUBLISH_IN_PLACE;
	/* Of an image without an index nobody knows before it is there; what it was is a good guess. */
	wish.is_model = takes_blocks(t) ? image_is_model(t) : t->place.beside;
	if (oci_place_decide(&t->place, &wish, err) < 0)
		return -1;
	t->report.mode = t->place.mode;
	return 0;
}

/* What a run that was ended after it had published has left, unless it is at work still. */
static void tidy(const struct pull_tree *t, int state, const char *name)
{
	struct oci_lease_options options = {.cancel = t->options->cancel};
	OCI_CLEANUP(oci_lease_cleanup) struct oci_lease *lease = NULL;
	struct oci_lease_sight sight = {0};
	char lease_name[OCI_STAGE_NAME_MAX];

	if (!oci_stage_any(state, name))
		return;
	oci_stage_dest_name(name, "lease", lease_name);
	if (oci_lease_take(state, lease_name, &options, &sight, &lease, NULL) == 0 && lease)
		oci_stage_sweep(state, name, NULL, true, true);
}

int pull_one(struct pull_tree *t, const char *dest, struct oci_error *err)
{
	if (oci_place_open(dest, &t->place, err) < 0)
		return -1;
	if (is_unchanged(t)) {
		report_unchanged(t);
		if (!t->options->dry_run) {
			tidy(t, t->place.dir, ".");
			tidy(t, t->place.parent, t->place.name);
		}
		return 0;
	}
	if (open_image(t, err) < 0 || look(t, dest, err) < 0)
		return -1;
	if (t->report.unchanged)
		return 0;
	announce(t);
	if (t->options->dry_run)
		return preview(t, err);
	/* Another writer may have come to its end since we looked. */
	if (pull_lease(t, err) < 0 || look(t, dest, err) < 0)
		return -1;
	return t->report.unchanged ? 0 : land_and_publish(t, err);
}

static int open_source(struct pull_tree *t, struct oci_error *err)
{
	const struct oci_pull_options *options = t->options;
	char name[OCI_DIGEST_TEXT_MAX];

	if (options->from->transport == OCI_TRANSPORT_DIR) {
		if (pull_dir_open(t, err) < 0)
			return -1;
	} else {
		t->filter = options->filter;
		t->store = oci_store_open(options->from, OCI_STORE_READ, options->store, err);
	}
	if (!t->store || oci_store_resolve(t->store, oci_image_name(options->from, name), &t->root, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	t->report.root = t->root.digest;
	t->report.dry_run = options->dry_run;
	return 0;
}

int oci_pull(const struct oci_pull_options *options, struct oci_pull_report *ret, struct oci_error *err)
{
	OCI_CLEANUP(clear) struct pull_tree t = {.options = options,
		.part = options->root ? options->root : OCI_MODEL_ROOT,
		.place = OCI_PLACE_NONE,
		.stage = OCI_STAGE_NONE,
		.made = OCI_STAGE_NONE,
		.jobs = pull_jobs(options->jobs)};

	if (open_source(&t, err) < 0)
		return -1;
	if ((options->publish == OCI_PUBLISH_VERSION ? pull_version(&t, err) : pull_one(&t, options->dest, err)) < 0)
		return oci_remedy_append(err);
	*ret = t.report;
	return 0;
}

char *oci_pull_root(const char *text)
{
	size_t len;

	text += strspn(text, "/");
	len = strlen(text);
	while (len > 0 && text[len - 1] == '/')
		len--;
	if (len == 0)
		return strdup("");
	return oci_str_printf("%.*s/", (int)len, text);
}
