#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "common.h"
#include "engine/mirror.h"
#include "http/rate.h"

#define FILE_BYTES_MAX OCI_MIB
#define REPORT_MAX (256 * OCI_MIB)
#define NAP_MS 100

struct mirror_flags {
	const char *file, *semver, *platform, *audit;
	struct oci_strings repositories, exclude_repositories, tags, exclude_tags, regex;
	uint64_t newest, prune_max, watch_ms, jobs;
	bool referrers, via_zarf, zot, prune, force, dry_run;
	struct registry_flags registry, src, dest;
	struct upload_flags upload;
	struct output_flags output;
};

static const char *const states[] = {[OCI_MIRROR_UNCHANGED] = "unchanged",
	[OCI_MIRROR_COPIED] = "copied", [OCI_MIRROR_REMOVED] = "removed", [OCI_MIRROR_FAILED] = "failed"};

/* the plan */

static int copy_texts(struct oci_strings *to, const struct oci_strings *from, struct oci_error *err)
{
	for (size_t i = 0; i < from->count; i++)
		if (oci_strings_add(to, from->items[i], err) < 0)
			return -1;
	return 0;
}

/* The one rule of a command line. */
static int take_operands(const struct invocation *inv, struct oci_mirror_plan *plan, struct oci_error *err)
{
	const struct mirror_flags *flags = inv->flags;
	struct oci_mirror_rule *rule = oci_mirror_plan_add(plan, err);

	if (!rule)
		return -1;
	rule->tags.newest = flags->newest;
	rule->referrers = flags->referrers;
	rule->via_zarf = flags->via_zarf;
	rule->prune = flags->prune;
	rule->prune_percent = flags->prune_max;
	if (oci_str_set(&rule->source, inv->operands[0], err) < 0 ||
		oci_str_set(&rule->destination, inv->operands[1], err) < 0 ||
		oci_str_set(&rule->semver, flags->semver, err) < 0 ||
		oci_str_set(&rule->platform, flags->platform, err) < 0 ||
		copy_texts(&rule->repositories, &flags->repositories, err) < 0 ||
		copy_texts(&rule->exclude_repositories, &flags->exclude_repositories, err) < 0 ||
		copy_texts(&rule->tags.include, &flags->tags, err) < 0 ||
		copy_texts(&rule->tags.exclude, &flags->exclude_tags, err) < 0)
		return -1;
	return copy_texts(&rule->tags.regex, &flags->regex, err);
}

static int read_plan(const struct invocation *inv, struct oci_mirror_plan *plan, struct oci_error *err)
{
	const struct mirror_flags *flags = inv->flags;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, FILE_BYTES_MAX);
	if (!flags->file ? take_operands(inv, plan, err) < 0
			 : common_read_file(flags->file, &text, err) < 0 ||
				    oci_mirror_plan_read(oci_buf_text(&text), text.len, plan, err) < 0)
		return -1;
	return oci_mirror_plan_check(plan, err);
}

/* the report */

static void print_entry(const struct oci_mirror_entry *entry)
{
	const struct oci_digest *digest = entry->digest.alg ? &entry->digest : &entry->destination_digest;
	char text[OCI_DIGEST_TEXT_MAX], size[OCI_STR_SIZE_MAX];

	printf("%-9s", states[entry->state]);
	if (entry->state != OCI_MIRROR_REMOVED)
		printf(" %s ->", entry->source ? entry->source : entry->rule->source);
	printf(" %s", entry->destination ? entry->destination : entry->rule->destination);
	if (digest->alg)
		printf(" %s", oci_digest_format(digest, text));
	if (entry->state == OCI_MIRROR_COPIED)
		printf(" %s", oci_str_size(entry->bytes_sent, size));
	if (entry->err.code)
		printf(": %s", entry->err.text);
	putchar('\n');
}

static void put_digest(struct oci_json_writer *w, const char *key, const struct oci_digest *digest)
{
	char text[OCI_DIGEST_TEXT_MAX];

	if (digest->alg)
		oci_json_put_text(w, key, oci_digest_format(digest, text));
}

static void put_entry(struct oci_json_writer *w, const struct oci_mirror_entry *entry)
{
	oci_json_object(w, NULL);
	oci_json_put_text(w, "state", states[entry->state]);
	oci_json_put_text(w, "rule", entry->rule->name ? entry->rule->name : entry->rule->source);
	oci_json_put_text(w, "source", entry->source);
	oci_json_put_text(w, "destination", entry->destination);
	put_digest(w, "digest", &entry->digest);
	put_digest(w, "destinationDigest", &entry->destination_digest);
	oci_json_put_u64(w, "bytesSent", entry->bytes_sent);
	oci_json_put_u64(w, "bytesMounted", entry->bytes_mounted);
	if (entry->err.code) {
		oci_json_put_text(w, "error", entry->err.text);
		oci_json_put_u64(w, "code", (uint64_t)entry->err.code);
	}
	oci_json_close(w);
}

static int print_json(const struct oci_mirror_report *report, bool dry_run, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_bool(&w, "dryRun", dry_run);
	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		oci_json_put_u64(&w, states[i], report->by_state[i]);
	oci_json_put_u64(&w, "bytesSent", report->bytes_sent);
	oci_json_put_u64(&w, "bytesMounted", report->bytes_mounted);
	oci_json_array(&w, "entries");
	for (size_t i = 0; i < report->count; i++)
		put_entry(&w, &report->items[i]);
	oci_json_close(&w);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

/* One failure and nothing else: no report says more than its line. */
static bool is_sole_failure(const struct oci_mirror_report *report)
{
	return report->count == 1 && report->items[0].state == OCI_MIRROR_FAILED;
}

static int verdict(const struct oci_mirror_report *report, struct oci_error *err)
{
	const struct oci_mirror_entry *failed = NULL;

	for (size_t i = 0; i < report->count && !failed; i++)
		if (report->items[i].state == OCI_MIRROR_FAILED)
			failed = &report->items[i];
	if (!failed)
		return 0;
	return oci_fail(err, OCI_E_PARTIAL, "%zu of %zu failed, the first: %s: %s", report->by_state[OCI_MIRROR_FAILED],
		report->count, failed->source ? failed->source : failed->rule->source, failed->err.text);
}

static int print_report(const struct invocation *inv, const struct oci_mirror_report *report, struct oci_error *err)
{
	const struct mirror_flags *flags = inv->flags;
	char sent[OCI_STR_SIZE_MAX], mounted[OCI_STR_SIZE_MAX];

	oci_event_note(inv->observer, "%zu copied, %zu unchanged, %zu removed, %zu failed: %s %s, %s mounted",
		report->by_state[OCI_MIRROR_COPIED], report->by_state[OCI_MIRROR_UNCHANGED],
		report->by_state[OCI_MIRROR_REMOVED], report->by_state[OCI_MIRROR_FAILED],
		oci_str_size(report->bytes_sent, sent), flags->dry_run ? "to send" : "sent",
		oci_str_size(report->bytes_mounted, mounted));
	if (flags->output.json && print_json(report, flags->dry_run, err) < 0)
		return -1;
	for (size_t i = 0; !flags->output.json && i < report->count; i++)
		print_entry(&report->items[i]);
	fflush(stdout);
	return 0;
}

/* the run */

static int run_plan(const struct invocation *inv, const struct oci_mirror_plan *plan,
	struct oci_mirror_report *report, struct oci_error *err)
{
	const struct mirror_flags *flags = inv->flags;
	struct oci_store_options from, to;
	struct audit audit;
	struct oci_mirror_options options = {.from = &from,
		.to = &to,
		.force = flags->force,
		.dry_run = flags->dry_run,
		.jobs = (unsigned)(flags->jobs ? flags->jobs : plan->jobs),
		.on_object = audit_object,
		.ctx = &audit,
		.observer = inv->observer,
		.cancel = inv->cancel};
	int rc;

	if (common_side_options(inv, &flags->registry, &flags->src, &from, err) < 0 ||
		common_side_options(inv, &flags->registry, &flags->dest, &to, err) < 0)
		return -1;
	common_upload_options(&flags->upload, &to);
	to.lists_all = flags->zot;
	if (plan->limit_rate && !flags->registry.transfer.limit_rate)
		oci_rate_set(inv->rate, plan->limit_rate);
	if (audit_open(&audit, flags->audit, err) < 0)
		return -1;
	rc = oci_mirror_run(plan, &options, report, err);
	return audit_close(&audit, rc < 0 ? NULL : err) < 0 ? -1 : rc;
}

static int run_once(const struct invocation *inv, struct oci_error *err)
{
	OCI_CLEANUP(oci_mirror_plan_clear) struct oci_mirror_plan plan = {0};
	OCI_CLEANUP(oci_mirror_report_clear) struct oci_mirror_report report = {0};

	if (read_plan(inv, &plan, err) < 0)
		return -1;
	int rc = run_plan(inv, &plan, &report, err);
	if (rc < 0 && report.count == 0)
		return -1;
	if (rc == 0 && is_sole_failure(&report)) {
		*err = report.items[0].err;
		return -1;
	}
	if (print_report(inv, &report, rc < 0 ? NULL : err) < 0 || rc < 0)
		return -1;
	return verdict(&report, err);
}

static bool is_cancelled(const struct invocation *inv)
{
	return atomic_load(inv->cancel) != 0;
}

/* Again and again, until a signal; what fails may be better next time. */
static int watch(const struct invocation *inv, struct oci_error *err)
{
	const struct mirror_flags *flags = inv->flags;

	for (;;) {
		uint64_t begin_ms = oci_clock_ms();
		struct oci_error failure = {0};

		if (run_once(inv, &failure) < 0 && !is_cancelled(inv))
			oci_event_warn(inv->observer, "%s", failure.text);
		while (!is_cancelled(inv) && oci_clock_ms() - begin_ms < flags->watch_ms)
			oci_clock_sleep_ms(NAP_MS);
		if (is_cancelled(inv))
			return oci_fail(err, OCI_E_CANCELLED, "ended by signal %d", atomic_load(inv->cancel));
	}
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct mirror_flags *flags = inv->flags;
	OCI_CLEANUP(oci_mirror_plan_clear) struct oci_mirror_plan plan = {0};

	if (flags->file ? inv->operand_count > 0 : inv->operand_count != 2)
		return command_misused(inv->command, err, "either SRC and DST are given, or --file");
	if (flags->watch_ms == 0)
		return run_once(inv, err);
	if (flags->file && strcmp(flags->file, "-") == 0)
		return command_misused(inv->command, err, "--watch reads the file each time, which standard input cannot give");
	return read_plan(inv, &plan, err) < 0 ? -1 : watch(inv, err);
}

static const struct opt opts[] = {
	{OPT_TEXT('f', "file", struct mirror_flags, file), .metavar = "FILE",
		.help = "rules as YAML, - for standard input; the options for one rule do not count then"},
	{OPT_FLAG(0, "dry-run", struct mirror_flags, dry_run), .help = "say what would be done; write nothing"},
	{OPT_FLAG(0, "force", struct mirror_flags, force), .help = "prune whatever the share of tags that go"},
	{OPT_FLAG(0, "zot", struct mirror_flags, zot),
		.help = "destinations oci:DIR lie in the storage of a zot, which wants every manifest in index.json"},
	{OPT_DURATION(0, "watch", struct mirror_flags, watch_ms), .metavar = "TIME", .min = 1000,
		.help = "do it again this long after each beginning, until a signal"},
	{OPT_TEXT(0, "audit", struct mirror_flags, audit), .metavar = "FILE",
		.help = "append a line of JSON for each object: digests at both ends, bytes, rule"},
	{OPT_NUMBER('j', "jobs", struct mirror_flags, jobs), .metavar = "N", .max = 64,
		.help = "blobs at once (the file's, else 4)"},
	{0},
};

static const struct opt rule_opts[] = {
	{OPT_TEXTS(0, "repository", struct mirror_flags, repositories), .metavar = "GLOB",
		.help = "repositories below SRC, which is then HOST or HOST/PREFIX, as DST is"},
	{OPT_TEXTS(0, "exclude-repository", struct mirror_flags, exclude_repositories), .metavar = "GLOB",
		.help = "leave out repositories that match"},
	{OPT_TEXTS(0, "tags", struct mirror_flags, tags), .metavar = "GLOB", .help = "take only tags that match"},
	{OPT_TEXTS(0, "exclude-tags", struct mirror_flags, exclude_tags), .metavar = "GLOB",
		.help = "leave out tags that match"},
	{OPT_TEXTS(0, "regex", struct mirror_flags, regex), .metavar = "REGEX",
		.help = "take only tags that match as a whole"},
	{OPT_TEXT(0, "semver", struct mirror_flags, semver), .metavar = "RANGE",
		.help = "take only versions in this range, as '>=1.2 <2' or '^1.4'"},
	{OPT_NUMBER(0, "newest", struct mirror_flags, newest), .metavar = "N", .min = 1,
		.help = "of those only so many, the highest versions first"},
	{OPT_TEXT(0, "platform", struct mirror_flags, platform), .metavar = "OS/ARCH",
		.help = "that manifest of an index alone, instead of the index with all of them"},
	{OPT_FLAG(0, "referrers", struct mirror_flags, referrers), .preset = "true",
		.help = "signatures, attestations and whatever else refers to an image, too"},
	{OPT_FLAG(0, "via-zarf", struct mirror_flags, via_zarf),
		.help = "write each tag as Zarf's agent looks for it, too: TAG-zarf-<crc32 of the image's name>"},
	{OPT_FLAG(0, "prune", struct mirror_flags, prune),
		.help = "remove tags at the destination that are not chosen at the source any more"},
	{OPT_NUMBER(0, "prune-max", struct mirror_flags, prune_max), .metavar = "PERCENT", .max = 100, .preset = "25",
		.help = "prune nothing when more of the tags would go"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "SRC|DST", .help = "HOST/REPO or oci:DIR each, with a tag for that one alone; none with --file",
		.min = 0, .max = 2},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	{.title = "Options for the rule of SRC and DST", .opts = rule_opts},
	TWO_REGISTRIES_GROUP(struct mirror_flags, registry, src, dest),
	UPLOAD_GROUP(struct mirror_flags, upload),
	OUTPUT_GROUP(struct mirror_flags, output),
	{0},
};

static const struct example examples[] = {
	{"all tags of a repository", "mirror reg.example/models/qwen2 zot.inside/models/qwen2"},
	{"the newest releases of everything below models/",
		"mirror --repository '**' --newest 5 reg.example/models zot.inside/m"},
	{"as a file says, every ten minutes", "mirror -f mirror.yaml --watch 10m --audit audit.jsonl"},
	{"what would be copied and removed", "mirror -f mirror.yaml --dry-run"},
	{0},
};

const struct command cmd_mirror = {
	.name = "mirror",
	.summary = "keep repositories the same in another place",
	.about = "Both ends are asked for the digest of each tag, and what differs is copied as cp does it, with its "
		 "signatures. The source is right: a tag that moved there is moved. One image that fails does not stop "
		 "the others; the result says of each tag what became of it, and the exit code is 50. A run that was "
		 "killed is simply repeated.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(OCI_E_NOT_FOUND, OCI_E_AUTH, OCI_E_POLICY, OCI_E_DIGEST, OCI_E_FORMAT,
		OCI_E_UNSUPPORTED, OCI_E_SOURCE, EXITS_NETWORK, EXITS_WRITE, OCI_E_PARTIAL),
	.flags_size = sizeof(struct mirror_flags),
	.run = run,
};
