#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "dest.h"
#include "engine/verify.h"
#include "path.h"
#include "subject.h"

#define REPORT_MAX (256 * OCI_MIB)

struct verify_flags {
	const char *against, *platform;
	bool full;
	uint64_t jobs;
	struct dest_flags dest;
	struct registry_flags registry;
	struct output_flags output;
};

static int print_json(const struct oci_verify_report *report, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_bool(&w, "ok", report->differences.count == 0);
	oci_json_put_u64(&w, "files", report->file_count);
	oci_json_put_u64(&w, "blobs", report->blob_count);
	oci_json_put_u64(&w, "bytes", report->bytes);
	oci_json_array(&w, "differences");
	for (size_t i = 0; i < report->differences.count; i++) {
		oci_json_object(&w, NULL);
		oci_json_put_text(&w, "change", oci_change_name(report->differences.items[i].change));
		path_put(&w, "path", report->differences.items[i].path);
		oci_json_close(&w);
	}
	oci_json_close(&w);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static void print_text(const struct oci_verify_report *report, bool full)
{
	char size[OCI_STR_SIZE_MAX];

	for (size_t i = 0; i < report->differences.count; i++) {
		printf("%-8s ", oci_change_name(report->differences.items[i].change));
		path_print(stdout, report->differences.items[i].path);
		putchar('\n');
	}
	if (report->differences.count == 0)
		printf("ok: %zu %s, %s\n", report->blob_count ? report->blob_count : report->file_count,
			report->blob_count ? "blobs" : "files",
			report->file_count && !full ? "by size and time (--full hashes all)" : oci_str_size(report->bytes, size));
}

static int verify_dir(const struct invocation *inv, struct subject *dir, struct oci_verify_report *report,
	struct oci_error *err)
{
	const struct verify_flags *flags = inv->flags;
	OCI_CLEANUP(subject_clear) struct subject against = {0};
	const struct oci_listing *want = &dir->record.listing;

	if (!flags->against && !dir->has_record)
		return oci_fail(err, OCI_E_NOT_FOUND,
			"'%s' has no record of a pull; name its image with --against REF", dir->text);
	if (flags->against) {
		if (subject_open(&against, inv, &flags->registry, flags->against, flags->platform, err) < 0)
			return -1;
		if (against.is_dir)
			return command_misused(inv->command, err, "--against takes a reference, not a directory");
		if (subject_list(&against, inv, false, err) < 0)
			return -1;
		want = &against.listing;
	}
	if (!flags->against && !flags->full)
		return oci_verify_quick(dir->text, &dir->record, (unsigned)flags->jobs, inv->observer, inv->cancel, report, err);
	return oci_verify_tree(dir->text, want, (unsigned)flags->jobs, inv->observer, inv->cancel, report, err);
}

static int verify(const struct invocation *inv, struct oci_verify_report *report, struct oci_error *err)
{
	const struct verify_flags *flags = inv->flags;
	OCI_CLEANUP(subject_clear) struct subject s = {0};
	oci_autofree char *text = dest_path(&flags->dest, inv->operands[0], err);
	char name[OCI_DIGEST_TEXT_MAX];

	if (!text || subject_open(&s, inv, &flags->registry, text, flags->platform, err) < 0)
		return -1;
	if (s.is_dir)
		return verify_dir(inv, &s, report, err);
	if (flags->against)
		return command_misused(inv->command, err, "--against goes with a directory");
	return oci_verify_image(s.store, oci_image_name(&s.ref, name), (unsigned)flags->jobs, inv->observer,
		inv->cancel, report, err);
}

/* What lies there besides is nobody's to remove but the user's. */
static const char *next_step(const struct verify_flags *flags, const struct oci_verify_report *report)
{
	if (flags->against)
		return "'modelcar pull --adopt' of that image replaces what is not right";
	for (size_t i = 0; i < report->differences.count; i++)
		if (report->differences.items[i].change != OCI_ADDED)
			return "'modelcar repair' makes it right";
	return "no pull put it there: move it away if it is not meant to be there";
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct verify_flags *flags = inv->flags;
	OCI_CLEANUP(oci_verify_report_clear) struct oci_verify_report report = {0};

	if (verify(inv, &report, err) < 0)
		return -1;
	if (!flags->output.json)
		print_text(&report, flags->full || flags->against);
	else if (print_json(&report, err) < 0)
		return -1;
	if (report.differences.count > 0)
		return oci_fail(err, OCI_E_DAMAGED, "'%s': %zu %s not as recorded, first '%s'; %s", inv->operands[0],
			report.differences.count, report.differences.count == 1 ? "file is" : "files are",
			report.differences.items[0].path, next_step(flags, &report));
	return 0;
}

static const struct opt opts[] = {
	{OPT_TEXT(0, "against", struct verify_flags, against), .metavar = "REF",
		.help = "what the directory should be; needed where no pull left its record"},
	{OPT_FLAG(0, "full", struct verify_flags, full),
		.help = "hash every byte of a directory that a pull filled, not only look at sizes and times"},
	{OPT_TEXT(0, "platform", struct verify_flags, platform), .metavar = "OS/ARCH",
		.help = "which image of an index (this machine's, else ours)"},
	{OPT_NUMBER('j', "jobs", struct verify_flags, jobs), .metavar = "N", .max = 64,
		.help = "parallel workers (what the machine can do)"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "REF|DIR", .help = "an image, or a directory, also as pvc://[NAMESPACE:]NAME/PATH", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	DEST_GROUP(struct verify_flags, dest),
	REGISTRY_GROUP(struct verify_flags, registry),
	OUTPUT_GROUP(struct verify_flags, output),
	{0},
};

static const struct example examples[] = {
	{"a pulled directory against its own record: sizes and times", "verify /srv/model"},
	{"the same, every byte", "verify --full /srv/model"},
	{"a directory that something else has filled", "verify --against reg.example/m:v1 /srv/model"},
	{"an image where it lies, every blob of every platform", "verify oci:./store:v1"},
	{0},
};

const struct command cmd_verify = {
	.name = "verify",
	.summary = "check a directory or an image against its digests",
	.about = "A directory is compared with the record that the pull left in it, by sizes and times (what was touched since is "
		 "read), or with --full by every byte; --against an image every byte is hashed, too. Files that are missing, changed or should not be "
		 "there are named, and the exit status is 40: modelcar repair makes them right. Of an image, every blob is "
		 "read and compared with its digest.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(EXITS_CONTENT, EXITS_NETWORK, OCI_E_PERM, OCI_E_IO, OCI_E_DAMAGED),
	.flags_size = sizeof(struct verify_flags),
	.run = run,
};
