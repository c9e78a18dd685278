#include <stdio.h>

#include "base/cleanup.h"
#include "common.h"
#include "dest.h"
#include "engine/pull.h"
#include "pull_many.h"
#include "pull_report.h"
#include "triton.h"

#define REPORT_MAX OCI_MIB

struct pull_flags {
	const char *file, *platform, *root;
	enum oci_publish publish;
	bool adopt, no_link, direct, buffered, replace_first, warm, seal, prune, force, no_cache, dry_run;
	struct oci_strings reuse_from;
	uint64_t jobs;
	struct filter_flags filter;
	struct dest_flags dest;
	struct triton_flags triton;
	struct registry_flags registry;
	struct output_flags output;
};

static int print_json(const struct oci_pull_report *report, const char *reference, const char *dest,
	const struct oci_strings *endpoints, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	pull_report_put(&w, report, reference, dest);
	triton_put(&w, endpoints);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

/* One image into one directory. */
static int pull_one(const struct invocation *inv, struct oci_pull_options *options, struct oci_error *err)
{
	const struct pull_flags *flags = inv->flags;
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	OCI_CLEANUP(oci_strings_clear) struct oci_strings endpoints = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf pinned;
	oci_autofree char *dest = dest_path(&flags->dest, inv->operands[1], err);
	struct oci_pull_report report;

	oci_buf_init(&pinned, 64 * OCI_KIB);
	if (!dest || oci_reference_parse(inv->operands[0], &ref, err) < 0)
		return -1;
	/* In a pod there is no shell that could make them. */
	if (!options->dry_run && dest_is_claim(inv->operands[1]) && dest_make_parents(dest, err) < 0)
		return -1;
	options->from = &ref;
	options->dest = dest;
	if (oci_pull(options, &report, err) < 0 || oci_reference_format_pinned(&ref, &report.root, &pinned, err) < 0 ||
		pull_report_note(inv, &report, dest, err) < 0 ||
		(!options->dry_run && triton_load(inv, &flags->triton, dest, &report, &endpoints, err) < 0))
		return -1;
	if (flags->output.json)
		return print_json(&report, oci_buf_text(&pinned), dest, &endpoints, err);
	printf("%s\n", oci_buf_text(&pinned));
	return 0;
}

static int pull_list(const struct invocation *inv, const struct oci_pull_options *options, struct oci_error *err)
{
	const struct pull_flags *flags = inv->flags;
	oci_autofree char *root = dest_path(&flags->dest, inv->operands[0], err);
	struct pull_many_options many = {.file = flags->file,
		.root = root,
		.named = inv->operands[0],
		.dest = &flags->dest,
		.prune = flags->prune,
		.json = flags->output.json,
		.pull = options,
		.triton = &flags->triton};

	return root ? pull_many(inv, &many, err) : -1;
}

static int check_operands(const struct invocation *inv, struct oci_error *err)
{
	const struct pull_flags *flags = inv->flags;

	if (flags->file && inv->operand_count != 1)
		return command_misused(inv->command, err, "with --file there is one operand, ROOT");
	if (!flags->file && inv->operand_count != 2)
		return command_misused(inv->command, err, "DEST is missing");
	if (flags->direct && flags->buffered)
		return command_misused(inv->command, err, "--direct and --buffered exclude each other");
	if (flags->dry_run && flags->file)
		return command_misused(inv->command, err, "--dry-run looks at one image; --file has many");
	if (flags->prune && !flags->file)
		return command_misused(inv->command, err, "option '--prune' needs --file");
	return 0;
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct pull_flags *flags = inv->flags;
	OCI_CLEANUP(oci_platform_clear) struct oci_platform platform = {0};
	oci_autofree char *root = oci_pull_root(flags->root);
	struct oci_store_options store;
	struct oci_pull_options options = {.root = root,
		.filter = {&flags->filter.include, &flags->filter.exclude},
		.publish = flags->publish,
		.adopt = flags->adopt,
		.no_link = flags->no_link,
		.cache = flags->direct ? OCI_PULL_DIRECT : flags->buffered ? OCI_PULL_BUFFERED : OCI_PULL_CACHE_AUTO,
		.replace_first = flags->replace_first,
		.warm = flags->warm,
		.seal = flags->seal,
		.dry_run = flags->dry_run,
		.force = flags->force,
		.cache_dir = flags->no_cache ? "" : NULL,
		.reuse_from = &flags->reuse_from,
		.jobs = (unsigned)flags->jobs,
		.store = &store,
		.observer = inv->observer,
		.cancel = inv->cancel};

	if (!root)
		return oci_fail_nomem(err);
	if (check_operands(inv, err) < 0 || common_store_options(inv, &flags->registry, &store, err) < 0)
		return -1;
	if (flags->platform) {
		if (oci_platform_parse(flags->platform, &platform, err) < 0)
			return -1;
		options.platform = &platform;
	}
	return flags->file ? pull_list(inv, &options, err) : pull_one(inv, &options, err);
}

static const struct opt opts[] = {
	{OPT_TEXT('f', "file", struct pull_flags, file), .metavar = "FILE",
		.help = "many models, as a list in YAML says, each into a directory below ROOT; - for standard input"},
	{OPT_FLAG(0, "prune", struct pull_flags, prune),
		.help = "with --file: remove trees of pulls below ROOT that the list does not name, once all others are there"},
	{OPT_TEXT(0, "platform", struct pull_flags, platform), .metavar = "OS/ARCH",
		.help = "which image of an index (this machine's, else ours)"},
	{OPT_TEXT(0, "root", struct pull_flags, root), .metavar = "PATH", .preset = "/models",
		.help = "the part of an image that lands; / for all of it"},
	{OPT_CHOICE(0, "publish", struct pull_flags, publish), .metavar = "MODE", .choices = dest_publish_modes, .preset = "auto",
		.help = "how the tree appears; version: as DEST/sha256-<12 hex>, with a link 'current'"},
	{OPT_FLAG(0, "adopt", struct pull_flags, adopt),
		.help = "keep files of DEST that no pull put there where they are right, replace the others"},
	{OPT_TEXTS(0, "reuse-from", struct pull_flags, reuse_from), .metavar = "DIR",
		.help = "one more tree whose files and blocks need not be fetched"},
	{OPT_FLAG(0, "no-link", struct pull_flags, no_link), .help = "copy what other trees hold instead of hard links"},
	{OPT_FLAG(0, "replace-first", struct pull_flags, replace_first),
		.help = "where old and new do not fit together, remove the old tree before the new one comes"},
	{OPT_FLAG(0, "direct", struct pull_flags, direct),
		.help = "write around the page cache (by itself when the model exceeds the memory there is)"},
	{OPT_FLAG(0, "buffered", struct pull_flags, buffered), .help = "write through the page cache, whatever the size"},
	{OPT_FLAG(0, "warm", struct pull_flags, warm), .help = "read the tree into the page cache afterwards"},
	{OPT_FLAG(0, "seal", struct pull_flags, seal), .help = "make files read-only (0444)"},
	{OPT_FLAG(0, "dry-run", struct pull_flags, dry_run),
		.help = "say what would land, and how; write nothing"},
	{OPT_FLAG(0, "force", struct pull_flags, force), .help = "of dir:PATH: land a model that is not whole"},
	{OPT_FLAG(0, "no-cache", struct pull_flags, no_cache),
		.help = "of dir:PATH: read every file, also those that were hashed before and have not changed since"},
	{OPT_NUMBER('j', "jobs", struct pull_flags, jobs), .metavar = "N", .max = 64,
		.help = "parallel transfers (default: 4, and up to 16 where that is faster)"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "REF", .help = "where from: HOST/REPO[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], "
				"docker-archive:FILE[:NAME:TAG], bundle:FILE[:NAME:TAG], dir:PATH; with --file ROOT, and nothing else",
		.min = 1, .max = 1},
	{.name = "DEST", .help = "the directory to fill, or pvc://[NAMESPACE:]NAME/PATH", .min = 0, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	FILTER_GROUP(struct pull_flags, filter),
	DEST_GROUP(struct pull_flags, dest),
	TRITON_GROUP(struct pull_flags, triton),
	REGISTRY_GROUP(struct pull_flags, registry),
	OUTPUT_GROUP(struct pull_flags, output),
	{0},
};

static const struct example examples[] = {
	{"a model into a new directory", "pull reg.example/models/qwen2:0.5b ./qwen2"},
	{"by digest, from an OCI layout", "pull oci:./store@sha256:... /srv/model"},
	{"a local directory, with the same guarantees", "pull dir:/mnt/models/qwen2 /srv/model"},
	{"what an update would fetch", "pull --dry-run reg.example/m:v2 /srv/model"},
	{"all models of a volume", "pull -f models.yaml --prune /mnt/models"},
	{"and into a Triton server", "pull --triton-load triton:8000 reg.example/t/enc:3 /models/enc"},
	{"only what a tokenizer needs", "pull --include 'tokenizer*' reg.example/m:v1 ./tok"},
	{0},
};

const struct command cmd_pull = {
	.name = "pull",
	.summary = "land an image's model in a directory, verified and whole",
	.about = "Every byte is checked against its digest. The tree is built beside DEST, made durable, and appears by "
		 "one rename: DEST is whole or absent. Images of other tools (gzip, zstd, several files a layer), ModelPack "
		 "and ORAS artifacts are read as well.\n\nA local directory, dir:PATH, lands as the image that pack would make of "
		 "it: with the same rules for links and excludes, and the same digest. One that changes meanwhile is not "
		 "published (exit 16).",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(EXITS_CONTENT, OCI_E_SOURCE, EXITS_NETWORK, EXITS_WRITE, OCI_E_BUSY,
		OCI_E_OCCUPIED, OCI_E_TIMEOUT, OCI_E_PARTIAL),
	.flags_size = sizeof(struct pull_flags),
	.run = run,
};
