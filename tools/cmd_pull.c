#include <stdio.h>

#include "base/cleanup.h"
#include "common.h"
#include "engine/pull.h"
#include "path.h"

#define REPORT_MAX OCI_MIB

struct pull_flags {
	const char *platform, *root;
	enum oci_publish publish;
	bool adopt, no_link, direct;
	struct oci_strings reuse_from;
	uint64_t jobs;
	struct filter_flags filter;
	struct registry_flags registry;
	struct output_flags output;
};

static int print_json(const struct oci_pull_report *report, const char *reference, const char *dest,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "reference", reference);
	oci_json_put_text(&w, "digest", oci_digest_format(&report->root, digest));
	oci_json_put_text(&w, "manifest", oci_digest_format(&report->manifest, digest));
	path_put(&w, "path", dest);
	oci_json_put_u64(&w, "files", report->file_count);
	oci_json_put_u64(&w, "bytes", report->bytes_files);
	oci_json_put_u64(&w, "bytesFetched", report->bytes_fetched);
	oci_json_put_u64(&w, "bytesReused", report->bytes_reused);
	oci_json_put_u64(&w, "bytesLinked", report->bytes_linked);
	oci_json_put_u64(&w, "bytesKept", report->bytes_kept);
	oci_json_put_bool(&w, "unchanged", report->unchanged);
	if (!report->unchanged)
		oci_json_put_text(&w, "mode", oci_place_mode_name(report->mode));
	if (*report->version)
		oci_json_put_text(&w, "version", report->version);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

/* "1.5 MiB fetched, 2 GiB linked", what there was of each. */
static int describe_bytes(const struct oci_pull_report *report, struct oci_buf *out, struct oci_error *err)
{
	const struct {
		uint64_t bytes;
		const char *how;
	} parts[] = {
		{report->bytes_fetched, "fetched"},
		{report->bytes_reused, "reused"},
		{report->bytes_linked, "linked"},
		{report->bytes_kept, "kept"},
	};
	char size[OCI_STR_SIZE_MAX];

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if ((i == 0 || parts[i].bytes > 0) &&
			oci_buf_printf(out, err, "%s%s %s", i ? ", " : "", oci_str_size(parts[i].bytes, size), parts[i].how) < 0)
			return -1;
	return 0;
}

static int note_report(const struct invocation *inv, const struct oci_pull_report *report, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	char size[OCI_STR_SIZE_MAX];
	const char *files = report->file_count == 1 ? "file" : "files";

	oci_buf_init(&bytes, 4 * OCI_KIB);
	if (report->unchanged) {
		oci_event_note(inv->observer, "unchanged: %zu %s, %s, in '%s'", report->file_count, files,
			oci_str_size(report->bytes_files, size), inv->operands[1]);
		return 0;
	}
	if (describe_bytes(report, &bytes, err) < 0)
		return -1;
	oci_event_note(inv->observer, "%zu %s, %s, in '%s': verified and published (%s)", report->file_count, files,
		oci_str_size(report->bytes_files, size), inv->operands[1], oci_buf_text(&bytes));
	return 0;
}

static int print_report(const struct invocation *inv, const struct oci_reference *ref,
	const struct oci_pull_report *report, struct oci_error *err)
{
	const struct pull_flags *flags = inv->flags;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, 64 * OCI_KIB);
	if (oci_reference_format_pinned(ref, &report->root, &text, err) < 0 || note_report(inv, report, err) < 0)
		return -1;
	if (flags->output.json)
		return print_json(report, oci_buf_text(&text), inv->operands[1], err);
	printf("%s\n", oci_buf_text(&text));
	return 0;
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct pull_flags *flags = inv->flags;
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	OCI_CLEANUP(oci_platform_clear) struct oci_platform platform = {0};
	oci_autofree char *root = oci_pull_root(flags->root);
	struct oci_store_options store;
	struct oci_pull_options options = {.from = &ref,
		.dest = inv->operands[1],
		.root = root,
		.filter = {&flags->filter.include, &flags->filter.exclude},
		.publish = flags->publish,
		.adopt = flags->adopt,
		.no_link = flags->no_link,
		.direct = flags->direct,
		.reuse_from = &flags->reuse_from,
		.jobs = (unsigned)flags->jobs,
		.store = &store,
		.observer = inv->observer,
		.cancel = inv->cancel};
	struct oci_pull_report report;

	if (!root)
		return oci_fail_nomem(err);
	if (oci_reference_parse(inv->operands[0], &ref, err) < 0 ||
		common_store_options(inv, &flags->registry, &store, err) < 0)
		return -1;
	if (flags->platform) {
		if (oci_platform_parse(flags->platform, &platform, err) < 0)
			return -1;
		options.platform = &platform;
	}
	if (oci_pull(&options, &report, err) < 0)
		return -1;
	return print_report(inv, &ref, &report, err);
}

static const char *const publish_modes[] = {"auto", "version", "swap", "in-place", NULL};

static const struct opt opts[] = {
	{OPT_TEXT(0, "platform", struct pull_flags, platform), .metavar = "OS/ARCH",
		.help = "which image of an index (this machine's, else ours)"},
	{OPT_TEXT(0, "root", struct pull_flags, root), .metavar = "PATH", .preset = "/models",
		.help = "the part of an image that lands; / for all of it"},
	{OPT_CHOICE(0, "publish", struct pull_flags, publish), .metavar = "MODE", .choices = publish_modes, .preset = "auto",
		.help = "how the tree appears; version: as DEST/sha256-<12 hex>, with a link 'current'"},
	{OPT_FLAG(0, "adopt", struct pull_flags, adopt),
		.help = "keep files of DEST that no pull put there where they are right, replace the others"},
	{OPT_TEXTS(0, "reuse-from", struct pull_flags, reuse_from), .metavar = "DIR",
		.help = "one more tree whose files and blocks need not be fetched"},
	{OPT_FLAG(0, "no-link", struct pull_flags, no_link), .help = "copy what other trees hold instead of hard links"},
	{OPT_FLAG(0, "direct", struct pull_flags, direct), .help = "write around the page cache"},
	{OPT_NUMBER('j', "jobs", struct pull_flags, jobs), .metavar = "N", .max = 64, .help = "parallel workers"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "REF", .help = "where from: HOST/REPO[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], "
				"docker-archive:FILE[:NAME:TAG]",
		.min = 1, .max = 1},
	{.name = "DEST", .help = "the directory to fill", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	FILTER_GROUP(struct pull_flags, filter),
	REGISTRY_GROUP(struct pull_flags, registry),
	OUTPUT_GROUP(struct pull_flags, output),
	{0},
};

static const struct example examples[] = {
	{"a model into a new directory", "pull reg.example/models/qwen2:0.5b ./qwen2"},
	{"by digest, from an OCI layout", "pull oci:./store@sha256:... /srv/model"},
	{"only what a tokenizer needs", "pull --include 'tokenizer*' reg.example/m:v1 ./tok"},
	{0},
};

const struct command cmd_pull = {
	.name = "pull",
	.summary = "land an image's model in a directory, verified and whole",
	.about = "Every byte is checked against its digest. The tree is built beside DEST, made durable, and appears by "
		 "one rename: DEST is whole or absent. Images of other tools (gzip, zstd, several files a layer), ModelPack "
		 "and ORAS artifacts are read as well.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(OCI_E_NOT_FOUND, OCI_E_AUTH, OCI_E_DIGEST, OCI_E_FORMAT, OCI_E_UNSUPPORTED,
		OCI_E_NETWORK, OCI_E_RATE, OCI_E_TLS, OCI_E_NOSPACE, OCI_E_PERM, OCI_E_IO, OCI_E_OCCUPIED),
	.flags_size = sizeof(struct pull_flags),
	.run = run,
};
