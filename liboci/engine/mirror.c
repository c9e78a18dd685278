#include "engine/mirror.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "core/grow.h"
#include "engine/mirror_job.h"

static const char *const state_names[] = {"unchanged", "copied", "removed", "failed"};
static const char *const how_names[] = {"exists", "mounted", "sent"};
static const char *const kind_names[] = {"manifest", "config", "layer"};

bool oci_mirror_job_ends(const struct oci_error *failure, struct oci_error *err)
{
	if (failure->code != OCI_E_CANCELLED && failure->code != OCI_E_NOMEM)
		return false;
	if (err && !err->code)
		*err = *failure;
	return true;
}

struct oci_mirror_entry *oci_mirror_job_add(struct oci_mirror_job *job, const struct oci_mirror_rule *rule,
	const struct oci_mirror_place *place, const char *from_tag, const char *to_tag, struct oci_error *err)
{
	struct oci_mirror_report *report = job->report;
	struct oci_mirror_entry *items = oci_grow(report->items, report->count, sizeof *items), *entry;

	if (!items) {
		oci_fail_nomem(err);
		return NULL;
	}
	report->items = items;
	entry = &items[report->count++];
	entry->rule = rule;
	if (!place)
		return entry;
	entry->source = oci_mirror_place_text(&place->from, from_tag);
	entry->destination = oci_mirror_place_text(&place->to, to_tag);
	if (entry->source && entry->destination)
		return entry;
	oci_fail_nomem(err);
	return NULL;
}

static void tell(const struct oci_mirror_job *job, const struct oci_mirror_object *object)
{
	if (job->options->on_object)
		job->options->on_object(job->options->ctx, object);
}

void oci_mirror_job_end(struct oci_mirror_job *job, struct oci_mirror_entry *entry, enum oci_mirror_state state,
	const struct oci_copy_report *copied)
{
	struct oci_mirror_object object = {.entry = entry};

	entry->state = state;
	job->report->by_state[state]++;
	for (size_t i = 0; copied && i < copied->object_count; i++) {
		const struct oci_copy_object *one = &copied->objects[i];

		object.kind = kind_names[one->kind];
		object.source_digest = object.destination_digest = one->digest;
		object.size_bytes = one->size_bytes;
		object.state = how_names[one->how];
		tell(job, &object);
	}
	if (copied) {
		entry->bytes_sent = copied->bytes[OCI_COPY_SENT];
		entry->bytes_mounted = copied->bytes[OCI_COPY_MOUNTED];
		job->report->bytes_sent += entry->bytes_sent;
		job->report->bytes_mounted += entry->bytes_mounted;
	}
	object = (struct oci_mirror_object){.entry = entry,
		.kind = "tag",
		.source_digest = entry->digest,
		.destination_digest = entry->destination_digest,
		.size_bytes = entry->bytes_sent,
		.state = state_names[state]};
	tell(job, &object);
}

int oci_mirror_job_fail(struct oci_mirror_job *job, const struct oci_mirror_rule *rule,
	const struct oci_mirror_place *place, const struct oci_error *failure, struct oci_error *err)
{
	struct oci_mirror_entry *entry;

	if (oci_mirror_job_ends(failure, err))
		return -1;
	entry = oci_mirror_job_add(job, rule, place, place ? place->from_tag : NULL, place ? place->to_tag : NULL, err);
	if (!entry)
		return -1;
	entry->err = *failure;
	oci_mirror_job_end(job, entry, OCI_MIRROR_FAILED, NULL);
	return 0;
}

static int run_rule(struct oci_mirror_job *job, const struct oci_mirror_rule *rule, struct oci_error *err)
{
	OCI_CLEANUP(oci_mirror_places_clear) struct oci_mirror_places places = {0};
	const atomic_int *cancel = job->options->cancel;
	struct oci_error failure = {0};

	/* what was found before a failure is right and is done */
	if (oci_mirror_places_find(rule, job->options->from, &places, &failure) < 0 &&
		oci_mirror_job_fail(job, rule, NULL, &failure, err) < 0)
		return -1;
	for (size_t i = 0; i < places.count; i++) {
		if (cancel && atomic_load(cancel))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled by signal %d", atomic_load(cancel));
		if (oci_mirror_repository(job, rule, &places.items[i], err) < 0)
			return -1;
	}
	return 0;
}

int oci_mirror_run(const struct oci_mirror_plan *plan, const struct oci_mirror_options *options,
	struct oci_mirror_report *ret, struct oci_error *err)
{
	struct oci_mirror_job job = {plan, options, ret};

	for (size_t i = 0; i < plan->rule_count; i++)
		if (run_rule(&job, &plan->rules[i], err) < 0)
			return -1;
	return 0;
}

int oci_mirror_plan_check(const struct oci_mirror_plan *plan, struct oci_error *err)
{
	for (size_t i = 0; i < plan->rule_count; i++) {
		OCI_CLEANUP(oci_platform_clear) struct oci_platform platform = {0};
		const struct oci_mirror_rule *rule = &plan->rules[i];
		struct oci_tag_filter tags = rule->tags;

		tags.semver = rule->semver;
		if (oci_mirror_places_check(rule, err) < 0 || oci_tag_filter_check(&tags, err) < 0 ||
			(rule->platform && oci_platform_parse(rule->platform, &platform, err) < 0))
			return plan->rule_count > 1 ? oci_wrap(err, "rule %zu", i + 1) : -1;
	}
	return 0;
}

void oci_mirror_report_clear(struct oci_mirror_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		free(report->items[i].source);
		free(report->items[i].destination);
	}
	free(report->items);
	*report = (struct oci_mirror_report){0};
}
