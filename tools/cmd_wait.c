#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "common.h"
#include "dest.h"
#include "engine/wait.h"
#include "path.h"

#define REPORT_MAX OCI_MIB

struct wait_flags {
	const char *wanted;
	uint64_t timeout_ms, interval_ms;
	struct dest_flags dest;
	struct output_flags output;
};

/* "sha256:…", or what pack and pull print: "host/repo@sha256:…". */
static int parse_wanted(const struct invocation *inv, const char *text, struct oci_digest *ret, struct oci_error *err)
{
	const char *at = strrchr(text, '@');
	char shown[OCI_STR_ESCAPE_MAX];

	if (oci_digest_parse(at ? at + 1 : text, ret, NULL) == 0)
		return 0;
	return command_misused(inv->command, err, "--for: '%s' is no digest, and does not end in one",
		oci_str_escape(text, shown));
}

static int print_json(const struct oci_wait_report *report, const char *dir, const char *reference, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "reference", reference);
	oci_json_put_text(&w, "digest", oci_digest_format(&report->record.root, digest));
	oci_json_put_text(&w, "manifest", oci_digest_format(&report->record.manifest, digest));
	path_put(&w, "path", dir);
	oci_json_put_u64(&w, "files", report->record.listing.count);
	oci_json_put_u64(&w, "bytes", report->bytes);
	oci_json_put_u64(&w, "waitedMs", report->waited_ms);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

/* The image as pull prints it; of a record without a reference the digest. */
static int pinned(const struct oci_record *record, struct oci_buf *out, struct oci_error *err)
{
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	char digest[OCI_DIGEST_TEXT_MAX];

	if (record->reference && oci_reference_parse(record->reference, &ref, NULL) == 0)
		return oci_reference_format_pinned(&ref, &record->root, out, err);
	return oci_buf_puts(out, oci_digest_format(&record->root, digest), err);
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct wait_flags *flags = inv->flags;
	OCI_CLEANUP(oci_wait_report_clear) struct oci_wait_report report = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	oci_autofree char *dir = NULL;
	char size[OCI_STR_SIZE_MAX];
	struct oci_digest want;
	struct oci_wait_options options = {.want = flags->wanted ? &want : NULL,
		.timeout_ms = flags->timeout_ms,
		.interval_ms = flags->interval_ms,
		.observer = inv->observer,
		.cancel = inv->cancel};

	oci_buf_init(&text, 64 * OCI_KIB);
	if (flags->wanted && parse_wanted(inv, flags->wanted, &want, err) < 0)
		return -1;
	dir = dest_path(&flags->dest, inv->operands[0], err);
	options.dir = dir;
	if (!dir || oci_wait(&options, &report, err) < 0 || pinned(&report.record, &text, err) < 0)
		return -1;
	oci_event_note(inv->observer, "'%s' is whole: %zu files, %s, after %.1f s", dir, report.record.listing.count,
		oci_str_size(report.bytes, size), (double)report.waited_ms / 1000);
	if (flags->output.json)
		return print_json(&report, dir, oci_buf_text(&text), err);
	printf("%s\n", oci_buf_text(&text));
	return 0;
}

static const struct opt opts[] = {
	{OPT_TEXT(0, "for", struct wait_flags, wanted), .metavar = "DIGEST",
		.help = "this image and no other: a digest, or a reference that ends in one"},
	{OPT_DURATION(0, "timeout", struct wait_flags, timeout_ms), .metavar = "TIME", .preset = "30m",
		.help = "give up after so long; 0 looks once"},
	{OPT_DURATION(0, "interval", struct wait_flags, interval_ms), .metavar = "TIME", .preset = "1s", .min = 100,
		.help = "how often to look"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "DIR", .help = "where a pull puts the model, or pvc://[NAMESPACE:]NAME/PATH; it need not exist yet",
		.min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	DEST_GROUP(struct wait_flags, dest),
	OUTPUT_GROUP(struct wait_flags, output),
	{0},
};

static const struct example examples[] = {
	{"before a server starts, in an init container", "wait /mnt/models"},
	{"for one image, an hour at most", "wait --for sha256:... --timeout 1h /mnt/models"},
	{"is it there now?", "wait --timeout 0 /mnt/models/current"},
	{0},
};

const struct command cmd_wait = {
	.name = "wait",
	.summary = "wait until a directory holds a model, whole",
	.about = "Ends as soon as DIR holds the record that a pull writes last, of the image that is asked for, and every "
		 "file lies there with the size and time that it was published with. DIR is looked at by its path each "
		 "time: it may appear, be replaced, or be a link that changes. Past the deadline the exit status is 41, and "
		 "the message says what is there and what is missing.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(OCI_E_NOT_FOUND, OCI_E_PERM, OCI_E_IO, OCI_E_TIMEOUT),
	.flags_size = sizeof(struct wait_flags),
	.run = run,
};
