/* Tags that the source has no more, and the guard before them. */
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/mirror_job.h"
#include "engine/retain.h"
#include "engine/zarf.h"

/* One tag may always go; more only within the share. */
static int check_share(const struct oci_mirror_rule *rule, size_t gone, size_t all, size_t source, struct oci_error *err)
{
	if (source == 0)
		return oci_fail(err, OCI_E_POLICY,
			"nothing is pruned: the source has no tag that the rule chooses; --force removes all %zu", gone);
	if (gone <= 1 || gone * 100 <= all * rule->prune_percent)
		return 0;
	return oci_fail(err, OCI_E_POLICY,
		"nothing is pruned: %zu of %zu tags would go, more than %" PRIu64 " %%; raise --prune-max or use --force",
		gone, all, rule->prune_percent);
}

/* Zarf's tags go with those that they are made of. */
static int list_zarf_tags(const char *image, struct oci_store *to, struct oci_strings *gone, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0};

	if (oci_store_tags(to, &tags, err) < 0)
		return -1;
	for (size_t i = 0; i < tags.count; i++) {
		size_t len = oci_zarf_base_length(image, tags.items[i]);
		oci_autofree char *base = strndup(tags.items[i], len);

		if (!base)
			return oci_fail_nomem(err);
		if (len > 0 && oci_strings_has(gone, base) && oci_strings_add(gone, tags.items[i], err) < 0)
			return -1;
	}
	return 0;
}

/* The tags of the destination that the rule would choose and `chosen` does not have. */
static int find_gone(const struct oci_mirror_rule *rule, const char *image, struct oci_store *to,
	const struct oci_strings *chosen, struct oci_strings *gone, size_t *all, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0}, ours = {0};
	struct oci_tag_filter filter = rule->tags;
	struct oci_error failure = {0};

	filter.semver = rule->semver;
	filter.newest = 0;
	if (oci_store_tags(to, &tags, &failure) < 0) {
		if (failure.code == OCI_E_NOT_FOUND) /* no such repository */
			return 0;
		*err = failure;
		return -1;
	}
	if (oci_tag_filter_apply(&filter, &tags, &ours, err) < 0)
		return -1;
	for (size_t i = 0; i < ours.count; i++) {
		if (image && oci_zarf_base_length(image, ours.items[i]) > 0)
			continue;
		++*all;
		if (!oci_strings_has(chosen, ours.items[i]) && oci_strings_add(gone, ours.items[i], err) < 0)
			return -1;
	}
	return 0;
}

static int report_removed(struct oci_mirror_job *job, const struct oci_mirror_rule *rule,
	const struct oci_mirror_place *place, const struct oci_retain_report *removed, struct oci_error *err)
{
	for (size_t i = 0; i < removed->count; i++) {
		const struct oci_retain_tag *tag = &removed->items[i];
		struct oci_mirror_entry *entry = oci_mirror_job_add(job, rule, place, NULL, tag->tag, err);

		if (!entry)
			return -1;
		entry->destination_digest = tag->digest;
		entry->err = tag->err;
		oci_mirror_job_end(job, entry, tag->removed ? OCI_MIRROR_REMOVED : OCI_MIRROR_FAILED, NULL);
	}
	return 0;
}

int oci_mirror_prune(struct oci_mirror_job *job, const struct oci_mirror_rule *rule,
	const struct oci_mirror_place *place, struct oci_store *to, const struct oci_strings *chosen,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_retain_report_clear) struct oci_retain_report removed = {0};
	OCI_CLEANUP(oci_strings_clear) struct oci_strings gone = {0};
	const struct oci_mirror_options *o = job->options;
	struct oci_retain_options options = {.dry_run = o->dry_run, .observer = o->observer, .cancel = o->cancel};
	struct oci_error failure = {0};
	oci_autofree char *image = NULL;
	size_t all = 0;

	if (rule->via_zarf && !(image = oci_zarf_image(&place->from, err)))
		return -1;
	if (find_gone(rule, image, to, chosen, &gone, &all, &failure) < 0)
		return oci_mirror_job_fail(job, rule, place, &failure, err);
	if (gone.count == 0)
		return 0;
	if (!o->force && check_share(rule, gone.count, all, chosen->count, &failure) < 0)
		return oci_mirror_job_fail(job, rule, place, &failure, err);
	if (image && list_zarf_tags(image, to, &gone, &failure) < 0)
		return oci_mirror_job_fail(job, rule, place, &failure, err);
	if (oci_retain_remove(to, &gone, &options, &removed, &failure) < 0)
		return oci_mirror_job_fail(job, rule, place, &failure, err);
	return report_removed(job, rule, place, &removed, err);
}
