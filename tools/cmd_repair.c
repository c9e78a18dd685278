#include <stdio.h>

#include "base/cleanup.h"
#include "common.h"
#include "dest.h"
#include "engine/place.h"
#include "engine/pull.h"
#include "path.h"

#define REPORT_MAX OCI_MIB

struct repair_flags {
	const char *from;
	uint64_t jobs;
	struct dest_flags dest;
	struct registry_flags registry;
	struct output_flags output;
};

/* The image that the record names, by its digest, from where it was pulled or from elsewhere. */
static int parse_source(const struct repair_flags *flags, const struct oci_record *record, struct oci_reference *ret,
	struct oci_error *err)
{
	const char *text = flags->from ? flags->from : record->reference;

	if (!text)
		return oci_fail(err, OCI_E_USAGE, "the record names no image; name it with --from REF");
	if (oci_reference_parse(text, ret, err) < 0)
		return -1;
	ret->digest = record->root;
	return 0;
}

static int print_json(const struct oci_pull_report *report, const char *reference, const char *path, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "reference", reference);
	path_put(&w, "path", path);
	oci_json_put_u64(&w, "files", report->file_count);
	oci_json_put_u64(&w, "bytesFetched", report->bytes_fetched);
	oci_json_put_u64(&w, "bytesReused", report->bytes_reused);
	oci_json_put_u64(&w, "bytesKept", report->bytes_kept);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static int print_report(const struct invocation *inv, const struct oci_reference *ref, const struct oci_pull_report *report,
	struct oci_error *err)
{
	const struct repair_flags *flags = inv->flags;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	char fetched[OCI_STR_SIZE_MAX], bad[OCI_STR_SIZE_MAX];

	oci_buf_init(&text, 64 * OCI_KIB);
	if (oci_reference_format_pinned(ref, &report->root, &text, err) < 0)
		return -1;
	if (report->bytes_kept == report->bytes_files)
		oci_event_note(inv->observer, "nothing was damaged: %zu files hashed", report->file_count);
	else
		oci_event_note(inv->observer, "files of %s made anew, %s of it fetched",
			oci_str_size(report->bytes_files - report->bytes_kept, bad), oci_str_size(report->bytes_fetched, fetched));
	if (flags->output.json)
		return print_json(report, oci_buf_text(&text), inv->operands[0], err);
	printf("%s\n", oci_buf_text(&text));
	return 0;
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct repair_flags *flags = inv->flags;
	oci_autofree char *path = dest_path(&flags->dest, inv->operands[0], err);
	OCI_CLEANUP(oci_record_clear) struct oci_record record = {0};
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	struct oci_store_options store;
	struct oci_pull_report report;
	struct oci_pull_options options = {.from = &ref,
		.dest = path,
		.publish = OCI_PUBLISH_IN_PLACE,
		.adopt = true,
		.repair = true,
		.force = true, /* of a directory: what the record says is what there was */
		.jobs = (unsigned)flags->jobs,
		.store = &store,
		.observer = inv->observer,
		.cancel = inv->cancel};

	if (!path)
		return -1;
	if (oci_place_find_record(path, &record, err) < 0)
		return oci_wrap(err, "'%s' has no record of a pull that could say what it was", inv->operands[0]);
	if (parse_source(flags, &record, &ref, err) < 0 || common_store_options(inv, &flags->registry, &store, err) < 0)
		return -1;
	options.root = record.part;
	if (record.partial || ref.transport == OCI_TRANSPORT_DIR)
		options.filter.only = &record.listing;
	if (oci_pull(&options, &report, err) < 0)
		return -1;
	return print_report(inv, &ref, &report, err);
}

static const struct opt opts[] = {
	{OPT_TEXT(0, "from", struct repair_flags, from), .metavar = "REF",
		.help = "where the image is now (where it was pulled from)"},
	{OPT_NUMBER('j', "jobs", struct repair_flags, jobs), .metavar = "N", .max = 64, .help = "parallel workers"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "DIR", .help = "a directory that a pull filled", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	DEST_GROUP(struct repair_flags, dest),
	REGISTRY_GROUP(struct repair_flags, registry),
	OUTPUT_GROUP(struct repair_flags, output),
	{0},
};

static const struct example examples[] = {
	{"after verify found damage", "repair /srv/model"},
	{"from a mirror", "repair --from mirror.example/m:v1 /srv/model"},
	{0},
};

const struct command cmd_repair = {
	.name = "repair",
	.summary = "make a damaged directory what its record says",
	.about = "Every file is hashed. Those that are not what the image says are built anew beside it, from their own good "
		 "blocks and from blocks that are fetched, and renamed into place; no file that others have open is "
		 "written to. Files that the record does not know stay.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(EXITS_CONTENT, OCI_E_SOURCE, EXITS_NETWORK, EXITS_WRITE, OCI_E_BUSY),
	.flags_size = sizeof(struct repair_flags),
	.run = run,
};
