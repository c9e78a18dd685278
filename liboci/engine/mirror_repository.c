/* One repository: which tags, which of them differ, and the copying of those. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/workers.h"
#include "engine/mirror_job.h"
#include "engine/zarf.h"
#include "store/ops.h"

#define JOBS 4
#define DIR_MODE 0755

/* A tag of the source, or what is named by a digest. */
struct item {
	const char *name; /* at the source */
	const char *tag;  /* at the destination; NULL: none */
	char *zarf_tag;   /* besides; NULL: none */
	bool derived;     /* of a signature or a list of referrers */
	struct oci_digest from, to; /* alg 0: not there */
	struct oci_error err;
};

struct visit {
	struct oci_mirror_job *job;
	const struct oci_mirror_rule *rule;
	const struct oci_mirror_place *place;
	struct oci_platform platform;
	struct oci_store *from, *to;
	struct oci_strings names, listed;
	char digest[OCI_DIGEST_TEXT_MAX]; /* of a source that is named by one */
	char *image; /* the name that Zarf's tags are made of; NULL: no such tags */
	struct item *items;
	size_t count;
	bool no_lists; /* the source keeps no lists of referrers: they are tags */
};

static void visit_clear(struct visit *v)
{
	oci_store_close(v->from);
	oci_store_close(v->to);
	oci_strings_clear(&v->names);
	oci_strings_clear(&v->listed);
	oci_platform_clear(&v->platform);
	for (size_t i = 0; i < v->count; i++)
		free(v->items[i].zarf_tag);
	free(v->items);
	free(v->image);
}

static const struct oci_platform *platform_of(const struct visit *v)
{
	return v->rule->platform ? &v->platform : NULL;
}

/* which */

static int list_names(struct visit *v, struct oci_error *err)
{
	struct oci_tag_filter filter = v->rule->tags;
	OCI_CLEANUP(oci_strings_clear) struct oci_strings all = {0};
	char shown[OCI_STR_ESCAPE_MAX];

	filter.semver = v->rule->semver;
	if (oci_store_tags(v->from, &all, err) < 0)
		return -1;
	for (size_t i = 0; i < all.count; i++) {
		if (oci_reference_tag_ok(all.items[i])) {
			if (oci_strings_add(&v->listed, all.items[i], err) < 0)
				return -1;
		} else {
			oci_event_warn(v->job->options->observer, "'%s' is left out: its name is no tag, copy it with cp",
				oci_str_escape(all.items[i], shown));
		}
	}
	return oci_tag_filter_apply(&filter, &v->listed, &v->names, err);
}

static int add_item(struct visit *v, const char *name, const char *tag, bool derived, struct oci_error *err)
{
	struct item *item = &v->items[v->count++];

	*item = (struct item){.name = name, .tag = tag, .derived = derived};
	return v->image && tag && !derived ? oci_zarf_tag(v->image, tag, &item->zarf_tag, err) : 0;
}

static int choose_items(struct visit *v, struct oci_error *err)
{
	const struct oci_mirror_place *place = v->place;
	bool single = place->from_tag || place->from.digest.alg;

	if (!single && list_names(v, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	v->items = calloc(v->names.count + v->listed.count + 1, sizeof *v->items);
	if (!v->items)
		return oci_fail_nomem(err);
	if (v->rule->via_zarf && !(v->image = oci_zarf_image(&place->from, err)))
		return -1;
	if (single && add_item(v, place->from.digest.alg ? oci_digest_format(&place->from.digest, v->digest) :
				place->from_tag, place->to_tag ? place->to_tag : place->from_tag, false, err) < 0)
		return -1;
	for (size_t i = 0; i < v->names.count; i++)
		if (add_item(v, v->names.items[i], v->names.items[i], false, err) < 0)
			return -1;
	for (size_t i = 0; v->rule->referrers && i < v->listed.count; i++)
		if (oci_tag_filter_is_derived(v->listed.items[i]) &&
			add_item(v, v->listed.items[i], v->listed.items[i], true, err) < 0)
			return -1;
	return 0;
}

/* what differs */

static int peek(struct oci_store *store, const char *name, struct oci_digest *ret, struct oci_error *err)
{
	struct oci_error failure = {0};

	if (oci_store_peek(store, name, ret, &failure) == 0)
		return 0;
	*ret = (struct oci_digest){0};
	if (failure.code == OCI_E_NOT_FOUND)
		return 0;
	*err = failure;
	return -1;
}

static int peek_source(const struct visit *v, struct item *item, struct oci_error *err)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};

	if (item->derived || !v->rule->platform)
		return oci_store_peek(v->from, item->name, &item->from, err);
	if (oci_copy_choose(v->from, item->name, platform_of(v), &d, err) < 0)
		return -1;
	item->from = d.digest;
	return 0;
}

static int peek_destination(const struct visit *v, struct item *item, struct oci_error *err)
{
	struct oci_digest second;

	if (!item->tag)
		return 0;
	if (peek(v->to, item->tag, &item->to, err) < 0)
		return -1;
	if (!item->zarf_tag || !item->to.alg)
		return 0;
	if (peek(v->to, item->zarf_tag, &second, err) < 0)
		return -1;
	if (!oci_digest_equal(&second, &item->to))
		item->to = (struct oci_digest){0}; /* neither is as it should be then */
	return 0;
}

/* A failure is the item's own. */
static int peek_item(struct oci_worker *worker, size_t number, struct oci_error *err)
{
	const struct visit *v = worker->ctx;
	struct item *item = &v->items[number];

	if (peek_source(v, item, &item->err) < 0) {
		oci_fail_side(&item->err, OCI_SIDE_SOURCE);
		return 0;
	}
	if (peek_destination(v, item, &item->err) < 0)
		oci_fail_side(&item->err, OCI_SIDE_DEST);
	return 0;
}

static int peek_all(struct visit *v, struct oci_error *err)
{
	const struct oci_mirror_options *o = v->job->options;

	oci_event_phase(o->observer, "compare", 0, v->count);
	return oci_workers_run(o->jobs ? o->jobs : JOBS, v->count, peek_item, v, o->cancel, err);
}

static bool lists_all(const struct oci_manifest *list, const struct oci_manifest *wanted)
{
	for (size_t i = 0; i < wanted->manifest_count; i++) {
		size_t j = 0;

		while (j < list->manifest_count &&
			!oci_digest_equal(&list->manifests[j].digest, &wanted->manifests[i].digest))
			j++;
		if (j == list->manifest_count)
			return false;
	}
	return true;
}

/* Does the destination know all that refers to an image? */
static int compare_referrers(struct visit *v, const struct oci_digest *subject, bool *same, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest from = {.is_index = true}, to = {.is_index = true};

	if (oci_store_referrers(v->from, subject, NULL, &from, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	if (from.manifest_count > 0 && oci_store_referrers(v->to, subject, NULL, &to, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	*same = lists_all(&to, &from);
	return 0;
}

/* Something may have come to refer to an image that did not change. Where the
 * source keeps such lists by tags they are items of their own. */
static int find_new_referrers(struct visit *v, const struct item *item, bool *same, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest list = {.is_index = true};
	bool known = false;

	*same = true;
	if (!v->rule->referrers || v->no_lists || !v->from->ops->referrers)
		return 0;
	if (v->from->ops->referrers(v->from, &item->from, NULL, &list, &known, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	v->no_lists = !known;
	return known && list.manifest_count > 0 ? compare_referrers(v, &item->from, same, err) : 0;
}

/* copying */

static int check_result(const struct visit *v, const struct item *item, struct oci_mirror_entry *entry,
	struct oci_error *err)
{
	char text[OCI_DIGEST_TEXT_MAX];

	if (!item->tag || v->job->options->dry_run)
		return 0;
	if (oci_store_peek(v->to, item->tag, &entry->destination_digest, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	if (oci_digest_equal(&entry->destination_digest, &entry->digest))
		return 0;
	oci_fail(err, OCI_E_DIGEST, "the tag names '%s' after it was written",
		oci_digest_format(&entry->destination_digest, text));
	return oci_fail_side(err, OCI_SIDE_DEST);
}

/* `tags` may be empty. Referrers of a signature are none of ours. */
static int copy(const struct visit *v, const struct item *item, const char *name, const struct oci_strings *tags,
	struct oci_copy_report *report, struct oci_error *err)
{
	const struct oci_mirror_options *o = v->job->options;
	bool signature = item->derived && tags->count > 0;
	struct oci_copy_options options = {.platform = item->derived ? NULL : platform_of(v),
		.referrers = v->rule->referrers && !signature,
		.force = true,
		.dry_run = o->dry_run,
		.jobs = o->jobs,
		.observer = o->observer,
		.cancel = o->cancel};

	return oci_copy(v->from, name, v->to, tags, &options, report, err);
}

static int end_item(struct visit *v, const struct item *item, struct oci_mirror_entry *entry,
	const struct oci_copy_report *report, struct oci_error *failure, struct oci_error *err)
{
	if (failure->code && oci_mirror_job_ends(failure, err)) {
		v->job->report->count--; /* it was not ended */
		free(entry->source);
		free(entry->destination);
		return -1;
	}
	entry->err = *failure;
	oci_mirror_job_end(v->job, entry, failure->code ? OCI_MIRROR_FAILED : report ? OCI_MIRROR_COPIED :
		OCI_MIRROR_UNCHANGED, report);
	return 0;
}

static int copy_item(struct visit *v, const struct item *item, const char *name, bool tagged, struct oci_error *err)
{
	OCI_CLEANUP(oci_copy_report_clear) struct oci_copy_report report = {0};
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0};
	struct oci_error failure = {0};
	struct oci_mirror_entry *entry;
	int rc;

	if (tagged && item->tag && oci_strings_add(&tags, item->tag, err) < 0)
		return -1;
	if (tagged && item->zarf_tag && oci_strings_add(&tags, item->zarf_tag, err) < 0)
		return -1;
	entry = oci_mirror_job_add(v->job, v->rule, v->place, v->place->from.digest.alg ? NULL : item->name, item->tag, err);
	if (!entry)
		return -1;
	oci_event_note(v->job->options->observer, "%s to %s", entry->source, entry->destination);
	rc = copy(v, item, name, &tags, &report, &failure);
	entry->digest = rc == 0 ? report.root.digest : item->from;
	if (rc == 0 && tagged)
		check_result(v, item, entry, &failure);
	return end_item(v, item, entry, &report, &failure, err);
}

static int keep_item(struct visit *v, const struct item *item, const struct oci_error *failure, struct oci_error *err)
{
	struct oci_mirror_entry *entry = oci_mirror_job_add(v->job, v->rule, v->place,
		v->place->from.digest.alg ? NULL : item->name, item->tag, err);
	struct oci_error why = *failure;

	if (!entry)
		return -1;
	entry->digest = item->from;
	entry->destination_digest = item->to;
	return end_item(v, item, entry, NULL, &why, err);
}

static int visit_image(struct visit *v, const struct item *item, struct oci_error *err)
{
	struct oci_error failure = item->err;
	bool same = item->to.alg && oci_digest_equal(&item->from, &item->to);

	if (!failure.code && same)
		find_new_referrers(v, item, &same, &failure);
	if (failure.code || same)
		return keep_item(v, item, &failure, err);
	return copy_item(v, item, item->name, true, err);
}

/* A list of referrers that the destination makes by itself, or with entries of its own. */
static int visit_list(struct visit *v, const struct item *item, const char *subject, struct oci_error *err)
{
	struct oci_error failure = {0};
	struct oci_digest digest;
	bool same = true;

	if (oci_digest_parse(subject, &digest, &failure) < 0 || compare_referrers(v, &digest, &same, &failure) < 0)
		return keep_item(v, item, &failure, err);
	return same ? 0 : copy_item(v, item, subject, false, err);
}

/* A name made of a digest alone. */
static bool is_list(const struct item *item)
{
	char subject[OCI_TAG_SUBJECT_MAX];

	return item->derived && oci_tag_filter_subject(item->name, subject) && strlen(item->name) == strlen(subject);
}

/* A signature or list whose image is here and which is not, or not the same. */
static int visit_derived(struct visit *v, const struct item *item, struct oci_error *err)
{
	struct oci_digest there = {0}, now = {0};
	char subject[OCI_TAG_SUBJECT_MAX];
	struct oci_error failure = item->err;

	oci_tag_filter_subject(item->name, subject);
	if (!failure.code && peek(v->to, subject, &there, &failure) == 0 && there.alg)
		peek(v->to, item->name, &now, &failure); /* it may have come with its image */
	if (failure.code)
		return keep_item(v, item, &failure, err);
	if (!there.alg || (now.alg && oci_digest_equal(&now, &item->from)))
		return 0;
	return is_list(item) ? visit_list(v, item, subject, err) : copy_item(v, item, item->name, true, err);
}

/* the whole */

/* The directories above a layout that is named by a repository. */
static int make_parents(const struct oci_mirror_place *place, struct oci_error *err)
{
	const char *below = place->below, *slash = strrchr(below, '/');
	oci_autofree char *base = strndup(place->to.path, strlen(place->to.path) - strlen(below));
	oci_autofree char *above = slash ? strndup(below, (size_t)(slash - below)) : NULL;
	oci_autofree char *name = NULL;
	oci_autoclose int parent = -1, dir = -1;

	if (!base || (slash && !above))
		return oci_fail_nomem(err);
	parent = oci_fs_open_parent(base, &name, err);
	if (parent < 0)
		return -1;
	oci_fs_mkdirs_beneath(parent, name, DIR_MODE, NULL); /* it may be there, or a link to it */
	dir = oci_fs_open_dir(base, err);
	if (dir < 0)
		return -1;
	return above ? oci_fs_mkdirs_beneath(dir, above, DIR_MODE, err) : 0;
}

static int open_stores(struct visit *v, struct oci_error *err)
{
	const struct oci_mirror_options *o = v->job->options;

	if (v->rule->platform && oci_platform_parse(v->rule->platform, &v->platform, err) < 0)
		return -1;
	v->from = oci_store_open(&v->place->from, OCI_STORE_READ, o->from, err);
	if (!v->from)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	if (v->place->below && v->place->to.transport == OCI_TRANSPORT_LAYOUT && !o->dry_run &&
		make_parents(v->place, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	v->to = oci_copy_open(&v->place->to, o->dry_run, o->to, err);
	return v->to ? 0 : -1;
}

/* Images, then signatures, then the lists, which would bring the signatures along unseen. */
static int visit_all(struct visit *v, struct oci_error *err)
{
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < v->count; i++) {
			const struct item *item = &v->items[i];
			int its_round = item->derived + is_list(item);

			if (its_round == round && (item->derived ? visit_derived : visit_image)(v, item, err) < 0)
				return -1;
		}
	return 0;
}

int oci_mirror_repository(struct oci_mirror_job *job, const struct oci_mirror_rule *rule,
	const struct oci_mirror_place *place, struct oci_error *err)
{
	OCI_CLEANUP(visit_clear) struct visit v = {.job = job, .rule = rule, .place = place};
	struct oci_error failure = {0};

	if (open_stores(&v, &failure) < 0 || choose_items(&v, &failure) < 0 || peek_all(&v, &failure) < 0)
		return oci_mirror_job_fail(job, rule, place, &failure, err);
	if (visit_all(&v, err) < 0)
		return -1;
	if (!rule->prune || place->from_tag || place->from.digest.alg)
		return 0;
	return oci_mirror_prune(job, rule, place, v.to, &v.names, err);
}
