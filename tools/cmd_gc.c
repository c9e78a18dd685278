#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "common.h"
#include "dest.h"
#include "engine/gc.h"
#include "path.h"

#define REPORT_MAX (64 * OCI_MIB)

struct gc_flags {
	uint64_t keep, free_bytes, min_age_ms;
	bool dry_run;
	struct dest_flags dest;
	struct output_flags output;
};

static const char *kind_of(const struct oci_gc_item *item)
{
	return item->is_version ? "version" : "leftover";
}

static void put_item(struct oci_json_writer *w, const struct oci_gc_item *item)
{
	char text[OCI_CLOCK_TEXT_MAX], digest[OCI_DIGEST_TEXT_MAX];

	oci_json_object(w, NULL);
	path_put(w, "name", item->name);
	oci_json_put_text(w, "kind", kind_of(item));
	oci_json_put_bool(w, "removed", item->goes);
	if (item->digest.alg)
		oci_json_put_text(w, "digest", oci_digest_format(&item->digest, digest));
	oci_json_put_u64(w, "bytes", item->bytes);
	oci_clock_format(item->time, text);
	oci_json_put_text(w, "time", text);
	if (*item->why)
		path_put(w, "reason", item->why);
	if (item->err.code)
		path_put(w, "error", item->err.text);
	oci_json_close(w);
}

static int print_json(const struct oci_gc_report *report, const char *dir, bool dry_run, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	path_put(&w, "path", dir);
	oci_json_put_bool(&w, "dryRun", dry_run);
	oci_json_put_u64(&w, "removed", report->gone_count);
	oci_json_put_u64(&w, "bytesRemoved", report->gone_bytes);
	oci_json_put_u64(&w, "bytesFree", report->free_bytes);
	oci_json_array(&w, "entries");
	for (size_t i = 0; i < report->count; i++)
		put_item(&w, &report->items[i]);
	oci_json_close(&w);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static void print_item(const struct oci_gc_item *item, bool dry_run)
{
	char size[OCI_STR_SIZE_MAX];

	printf("%-7s ", item->goes ? dry_run ? "goes" : "removed" : item->err.code ? "failed" : "stays");
	path_print(stdout, item->name);
	printf(" %s", oci_str_size(item->bytes, size));
	if (*item->why || item->err.code)
		fputs(": ", stdout);
	path_print(stdout, item->err.code ? item->err.text : item->why);
	putchar('\n');
}

static int print(const struct invocation *inv, const struct oci_gc_report *report, const char *dir,
	struct oci_error *err)
{
	const struct gc_flags *flags = inv->flags;
	char gone[OCI_STR_SIZE_MAX], have[OCI_STR_SIZE_MAX];

	oci_event_note(inv->observer, "%zu of %zu %s, %s; %s free", report->gone_count, report->count,
		flags->dry_run ? "would go" : "removed", oci_str_size(report->gone_bytes, gone),
		oci_str_size(report->free_bytes, have));
	if (flags->output.json)
		return print_json(report, dir, flags->dry_run, err);
	for (size_t i = 0; i < report->count; i++)
		print_item(&report->items[i], flags->dry_run);
	return 0;
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct gc_flags *flags = inv->flags;
	OCI_CLEANUP(oci_gc_report_clear) struct oci_gc_report report = {0};
	oci_autofree char *dir = dest_path(&flags->dest, inv->operands[0], err);
	struct oci_gc_options options = {.dir = dir,
		.keep = (size_t)flags->keep,
		.free_bytes = flags->free_bytes,
		.min_age_s = flags->min_age_ms / 1000,
		.dry_run = flags->dry_run,
		.observer = inv->observer,
		.cancel = inv->cancel};
	struct oci_error why = {0};
	int rc;

	if (!dir)
		return -1;
	rc = oci_gc(&options, &report, &why);
	if ((rc == 0 || report.count > 0) && print(inv, &report, dir, err) < 0)
		return -1;
	if (rc < 0)
		*err = why;
	return rc;
}

static const struct opt opts[] = {
	{OPT_NUMBER(0, "keep", struct gc_flags, keep), .metavar = "N", .min = OCI_GC_KEEP_MIN, .preset = "2",
		.help = "the newest versions, which stay"},
	{OPT_SIZE(0, "free", struct gc_flags, free_bytes), .metavar = "SIZE",
		.help = "remove versions, the oldest first, only until so much is free; exit 30 where that cannot be"},
	{OPT_DURATION(0, "min-age", struct gc_flags, min_age_ms), .metavar = "TIME", .preset = "24h",
		.help = "what is younger stays"},
	{OPT_FLAG(0, "dry-run", struct gc_flags, dry_run), .help = "say what would go; remove nothing"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "DIR", .help = "the destination of pulls, or pvc://[NAMESPACE:]NAME/PATH", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	DEST_GROUP(struct gc_flags, dest),
	OUTPUT_GROUP(struct gc_flags, output),
	{0},
};

static const struct example examples[] = {
	{"what would go?", "gc --dry-run /mnt/models/qwen2"},
	{"keep the last five versions", "gc --keep 5 /mnt/models/qwen2"},
	{"make room for the next model", "gc --free 40Gi /mnt/models/qwen2"},
	{0},
};

const struct command cmd_gc = {
	.name = "gc",
	.summary = "remove old versions and what killed pulls have left",
	.about = "Of the versions in DIR (sha256-<12 hex>) stay: those that 'current' or another link in DIR leads to, the "
		 "newest, what is younger than a day, what a pull is at work on, and what a program has open over NFS. "
		 "Leftovers of pulls (.modelcar.*.part) in DIR, and those of DIR beside it, go when their destination has "
		 "not been worked on for a day. Each entry is a line that says what becomes of it, and why it stays.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(OCI_E_NOT_FOUND, EXITS_WRITE, OCI_E_PARTIAL),
	.flags_size = sizeof(struct gc_flags),
	.run = run,
};
