#include "removal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define REPORT_MAX (256 * OCI_MIB)

struct outcome {
	size_t removed, failed;
	const struct oci_error *first; /* failure */
};

void removal_clear(struct removal *removal)
{
	free(removal->place);
	oci_strings_clear(&removal->gone);
	oci_strings_clear(&removal->kept);
	oci_retain_report_clear(&removal->report);
}

static const char *state_of(const struct oci_retain_tag *tag)
{
	if (!tag->removed)
		return "failed";
	return tag->digest.alg ? "removed" : "absent";
}

/* REPO:TAG or REPO@DIGEST */
static char joint(const char *name)
{
	for (; *name; name++)
		if (*name == ':')
			return '@';
	return ':';
}

static void print_lines(const struct removal *r)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	for (size_t i = 0; i < r->kept.count; i++)
		printf("kept     %s:%s\n", r->place, r->kept.items[i]);
	for (size_t i = 0; i < r->report.count; i++) {
		const struct oci_retain_tag *tag = &r->report.items[i];

		printf("%-8s %s%c%s", state_of(tag), r->place, joint(tag->tag), tag->tag);
		if (tag->digest.alg && joint(tag->tag) == ':')
			printf(" %s", oci_digest_format(&tag->digest, digest));
		printf("%s%s\n", tag->removed ? "" : ": ", tag->removed ? "" : tag->err.text);
	}
	if (r->err.code)
		printf("failed   %s: %s\n", r->place, r->err.text);
}

static void put_tag(struct oci_json_writer *w, const struct oci_retain_tag *tag)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_json_object(w, NULL);
	oci_json_put_text(w, "name", tag->tag);
	if (tag->digest.alg)
		oci_json_put_text(w, "digest", oci_digest_format(&tag->digest, digest));
	oci_json_put_text(w, "state", state_of(tag));
	if (!tag->removed)
		oci_json_put_text(w, "error", tag->err.text);
	oci_json_close(w);
}

static void put_removal(struct oci_json_writer *w, const struct removal *r)
{
	oci_json_object(w, NULL);
	oci_json_put_text(w, "repository", r->place);
	if (r->err.code)
		oci_json_put_text(w, "error", r->err.text);
	oci_json_array(w, "kept");
	for (size_t i = 0; i < r->kept.count; i++)
		oci_json_put_text(w, NULL, r->kept.items[i]);
	oci_json_close(w);
	oci_json_array(w, "tags");
	for (size_t i = 0; i < r->report.count; i++)
		put_tag(w, &r->report.items[i]);
	oci_json_close(w);
	oci_json_close(w);
}

static int print_json(const struct removal *removals, size_t count, bool dry_run, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_bool(&w, "dryRun", dry_run);
	oci_json_array(&w, "repositories");
	for (size_t i = 0; i < count; i++)
		put_removal(&w, &removals[i]);
	oci_json_close(&w);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static void count_failure(struct outcome *outcome, const struct oci_error *failure)
{
	outcome->failed++;
	if (!outcome->first)
		outcome->first = failure;
}

static void count(struct outcome *outcome, const struct removal *r)
{
	outcome->removed += r->report.removed;
	if (r->err.code)
		count_failure(outcome, &r->err);
	for (size_t i = 0; i < r->report.count; i++)
		if (!r->report.items[i].removed)
			count_failure(outcome, &r->report.items[i].err);
}

int removal_finish(const struct removal *removals, size_t number, bool json, bool dry_run, struct oci_error *err)
{
	struct outcome outcome = {0};

	for (size_t i = 0; i < number; i++)
		count(&outcome, &removals[i]);
	if (outcome.failed == 1 && outcome.removed == 0) {
		*err = *outcome.first;
		return -1;
	}
	if (json && print_json(removals, number, dry_run, err) < 0)
		return -1;
	for (size_t i = 0; !json && i < number; i++)
		print_lines(&removals[i]);
	if (outcome.failed == 0)
		return 0;
	return oci_fail(err, OCI_E_PARTIAL, "%zu removed, %zu failed: %s", outcome.removed, outcome.failed,
		outcome.first->text);
}
