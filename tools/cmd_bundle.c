#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/bundle_base.h"
#include "engine/bundle_create.h"
#include "engine/bundle_info.h"
#include "load.h"
#include "path.h"

#define REPORT_MAX (64 * OCI_MIB)
#define LIST_MAX (256 * OCI_MIB)

struct bundle_flags {
	const char *output, *split, *have;
	struct oci_strings base;
	bool referrers, force, dry_run, check;
	uint64_t jobs;
	struct load_flags load;
	struct registry_flags registry;
	struct upload_flags upload;
	struct output_flags output_group;
};

/* What a medium takes of one file. */
static const struct medium {
	const char *name;
	uint64_t bytes;
} media[] = {
	{"fat32", 4294967295},   /* the largest file there is on it */
	{"bd25", 24900000000},   /* a single-layer Blu-ray disc, with room for its file system and the lists */
};

static int part_bytes(const struct bundle_flags *flags, uint64_t *ret, struct oci_error *err)
{
	const char *text = flags->split;

	*ret = 0;
	if (!text)
		return 0;
	for (size_t i = 0; i < sizeof media / sizeof *media; i++)
		if (strcmp(text, media[i].name) == 0)
			*ret = media[i].bytes;
	if (*ret || (oci_str_quantity(text, ret) && *ret > 0 && *ret <= INT64_MAX))
		return 0;
	return oci_fail(err, OCI_E_USAGE, "option '--split' takes a size as 4G or 25Gi, fat32 or bd25, not '%s'", text);
}

/* The operands behind the action. */
static int take_operands(const struct invocation *inv, struct oci_strings *ret, struct oci_error *err)
{
	for (size_t i = 1; i < inv->operand_count; i++)
		if (oci_strings_add(ret, inv->operands[i], err) < 0)
			return -1;
	return 0;
}

static void put_texts(struct oci_json_writer *w, const char *key, const struct oci_strings *texts, size_t from,
	size_t to)
{
	oci_json_array(w, key);
	for (size_t i = from; i < to; i++)
		path_put(w, NULL, texts->items[i]);
	oci_json_close(w);
}

static int print_create_json(const struct oci_bundle_create_report *report, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "bundle", oci_digest_format(&report->id, digest));
	put_texts(&w, "files", &report->files, 0, report->carried);
	put_texts(&w, "lists", &report->files, report->carried, report->files.count);
	put_texts(&w, "images", &report->images, 0, report->images.count);
	oci_json_put_u64(&w, "bytes", report->bundle_bytes);
	oci_json_put_u64(&w, "blobs", report->blob_count);
	oci_json_put_u64(&w, "blobBytes", report->blob_bytes);
	oci_json_put_u64(&w, "keptBytes", report->kept_bytes);
	oci_json_put_u64(&w, "needed", report->needed_count);
	oci_json_put_u64(&w, "neededBytes", report->needed_bytes);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static int print_create(const struct invocation *inv, const struct oci_bundle_create_report *report,
	struct oci_error *err)
{
	const struct bundle_flags *flags = inv->flags;
	char bytes[OCI_STR_SIZE_MAX], part[OCI_STR_SIZE_MAX];

	oci_event_note(inv->observer, "%zu images, %zu blobs: %s in %zu files", report->images.count, report->blob_count,
		oci_str_size(report->bundle_bytes, bytes), report->carried);
	if (report->kept_bytes)
		oci_event_note(inv->observer, "%s of it had been written before", oci_str_size(report->kept_bytes, part));
	if (report->needed_count)
		oci_event_note(inv->observer, "%zu blobs, %s, are not in it: the far side has them", report->needed_count,
			oci_str_size(report->needed_bytes, part));
	if (flags->output_group.json)
		return print_create_json(report, err);
	for (size_t i = 0; i < report->carried; i++) {
		path_print(stdout, report->files.items[i]);
		putchar('\n');
	}
	return 0;
}

static int create(const struct invocation *inv, const struct oci_strings *operands, struct oci_error *err)
{
	const struct bundle_flags *flags = inv->flags;
	OCI_CLEANUP(oci_bundle_create_report_clear) struct oci_bundle_create_report report = {0};
	struct oci_store_options store;
	struct oci_bundle_create_options options = {.references = operands,
		.file = flags->output,
		.base = &flags->base,
		.have = flags->have,
		.referrers = flags->referrers,
		.force = flags->force,
		.dry_run = flags->dry_run,
		.jobs = (unsigned)flags->jobs,
		.store = &store,
		.observer = inv->observer,
		.cancel = inv->cancel};

	if (!flags->output)
		return command_misused(inv->command, err, "'bundle create' needs --output FILE");
	if (operands->count == 0)
		return command_misused(inv->command, err, "'bundle create' needs an image, REF");
	if (part_bytes(flags, &options.part_bytes, err) < 0 ||
		common_store_options(inv, &flags->registry, &store, err) < 0 ||
		oci_bundle_create(&options, &report, err) < 0)
		return -1;
	return print_create(inv, &report, err);
}

static int have(const struct invocation *inv, const struct oci_strings *operands, struct oci_error *err)
{
	const struct bundle_flags *flags = inv->flags;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf list;
	struct oci_store_options store;

	oci_buf_init(&list, LIST_MAX);
	if (operands->count == 0)
		return command_misused(inv->command, err, "'bundle have' needs a repository");
	if (common_store_options(inv, &flags->registry, &store, err) < 0 ||
		oci_bundle_base_list(operands, &store, &list, err) < 0)
		return -1;
	fwrite(oci_buf_text(&list), 1, list.len, stdout);
	return 0;
}

static int print_info_json(const struct oci_bundle_info *info, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "bundle", oci_digest_format(&info->id, digest));
	put_texts(&w, "images", &info->images, 0, info->images.count);
	oci_json_put_u64(&w, "blobs", info->blob_count);
	oci_json_put_u64(&w, "blobBytes", info->blob_bytes);
	oci_json_put_u64(&w, "needed", info->needed_count);
	oci_json_put_u64(&w, "neededBytes", info->needed_bytes);
	oci_json_put_u64(&w, "parts", info->part_count);
	oci_json_put_u64(&w, "partSize", info->part_bytes);
	oci_json_put_u64(&w, "bytes", info->bundle_bytes);
	oci_json_put_text(&w, "missing", info->missing);
	put_texts(&w, "damaged", &info->damaged, 0, info->damaged.count);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static void print_info(const struct oci_bundle_info *info)
{
	char digest[OCI_DIGEST_TEXT_MAX], size[OCI_STR_SIZE_MAX], shown[OCI_STR_ESCAPE_MAX];

	printf("bundle   %s\n", oci_digest_format(&info->id, digest));
	for (size_t i = 0; i < info->images.count; i++)
		printf("image    %s\n", oci_str_escape(info->images.items[i], shown));
	printf("blobs    %zu, %s\n", info->blob_count, oci_str_size(info->blob_bytes, size));
	if (info->needed_count)
		printf("needs    %zu blobs, %s, on the far side\n", info->needed_count,
			oci_str_size(info->needed_bytes, size));
	printf("size     %s\n", oci_str_size(info->bundle_bytes, size));
	if (!info->part_bytes)
		return;
	printf("parts    %zu of %s\n", info->part_count, oci_str_size(info->part_bytes, size));
	if (info->missing[0])
		printf("missing  %s\n", info->missing);
	for (size_t i = 0; i < info->damaged.count; i++)
		printf("damaged  %s\n", info->damaged.items[i]);
}

static int info(const struct invocation *inv, const struct oci_strings *operands, struct oci_error *err)
{
	const struct bundle_flags *flags = inv->flags;
	OCI_CLEANUP(oci_bundle_info_clear) struct oci_bundle_info found = {0};

	if (operands->count == 0)
		return command_misused(inv->command, err, "'bundle info' needs a FILE");
	if (oci_bundle_info_read(operands, flags->check, (unsigned)flags->jobs, inv->cancel, &found, err) < 0)
		return -1;
	if (found.damaged.count > 0 && flags->check)
		return oci_fail(err, OCI_E_DIGEST, "%s", found.damaged.items[0]);
	if (found.missing[0] && flags->check)
		return oci_fail(err, OCI_E_MORE, "part %s of %zu is missing; put it beside the others", found.missing,
			found.part_count);
	if (flags->output_group.json)
		return print_info_json(&found, err);
	print_info(&found);
	return 0;
}

static int apply(const struct invocation *inv, struct oci_error *err)
{
	const struct bundle_flags *flags = inv->flags;
	const struct load_request request = {.operands = inv->operands + 1,
		.operand_count = inv->operand_count - 1,
		.flags = &flags->load,
		.registry = &flags->registry,
		.upload = &flags->upload,
		.force = flags->force,
		.dry_run = flags->dry_run,
		.json = flags->output_group.json,
		.jobs = flags->jobs};

	if (request.operand_count < 2)
		return command_misused(inv->command, err, "'bundle apply' needs a FILE and a destination");
	return load_run(inv, &request, err);
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings operands = {0};
	const char *action = inv->operands[0];

	if (take_operands(inv, &operands, err) < 0)
		return -1;
	if (strcmp(action, "create") == 0)
		return create(inv, &operands, err);
	if (strcmp(action, "have") == 0)
		return have(inv, &operands, err);
	return strcmp(action, "info") == 0 ? info(inv, &operands, err) : apply(inv, err);
}

static const struct opt opts[] = {
	{OPT_TEXT('o', "output", struct bundle_flags, output), .metavar = "FILE",
		.help = "create: the bundle, or the beginning of its parts' names"},
	{OPT_TEXT(0, "split", struct bundle_flags, split), .metavar = "SIZE",
		.help = "create: parts of at most this size: 4G, 25Gi, fat32, bd25"},
	{OPT_TEXTS(0, "base", struct bundle_flags, base), .metavar = "REF",
		.help = "create: leave out what this image, layout or bundle has"},
	{OPT_TEXT(0, "have", struct bundle_flags, have), .metavar = "FILE",
		.help = "create: leave out what this list of 'bundle have' names"},
	{OPT_FLAG(0, "referrers", struct bundle_flags, referrers), .preset = "true",
		.help = "create: take signatures and what else refers to an image"},
	{OPT_FLAG(0, "check", struct bundle_flags, check), .help = "info: read all parts and check their sums"},
	{OPT_FLAG(0, "force", struct bundle_flags, force),
		.help = "create: replace another bundle; apply: replace tags with other content"},
	{OPT_FLAG(0, "dry-run", struct bundle_flags, dry_run), .help = "say what would be done, write nothing"},
	{OPT_NUMBER('j', "jobs", struct bundle_flags, jobs), .metavar = "N", .max = 64,
		.help = "parallel workers (as many as processors)"},
	{0},
};

static const char *const actions[] = {"create", "info", "have", "apply", NULL};

static const struct opt_operand operands[] = {
	{.name = "ACTION", .help = "what to do", .min = 1, .max = 1, .choices = actions},
	{.name = "REF", .help = "create and have: images, repositories; info: files; apply: files, then where to",
		.min = 0, .max = OPT_MANY},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	LOAD_GROUP(struct bundle_flags, load),
	REGISTRY_GROUP(struct bundle_flags, registry),
	UPLOAD_GROUP(struct bundle_flags, upload),
	OUTPUT_GROUP(struct bundle_flags, output_group),
	{0},
};

static const struct example examples[] = {
	{"a model and its signatures in one file", "bundle create reg.example/m:v1 -o m.tar"},
	{"only what is new since v1", "bundle create reg.example/m:v2 --base reg.example/m:v1 -o delta.tar"},
	{"what the far side has, for --have", "bundle have zot.inside/m"},
	{"in files that fit a stick", "bundle create reg.example/m:v1 --split fat32 -o /media/usb/m.tar"},
	{"what is in it, and is it whole", "bundle info --check m.tar"},
	{0},
};

const struct command cmd_bundle = {
	.name = "bundle",
	.summary = "carry images in files to where no network is",
	.about = "A bundle is a tar of an OCI layout, which skopeo and podman read as oci-archive. With --split it is "
		 "FILE.part001 and so on, each a tar with a piece of it and its own checksum, with an index FILE.idx; "
		 "beside it lie FILE.SHA256SUMS and FILE.csv. The same images give the same bytes.\n\nA run that was "
		 "ended is repeated: what is written (.FILE.unfinished) is checked and kept. 'bundle apply' is 'load'.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(EXITS_CONTENT, EXITS_NETWORK, EXITS_WRITE, OCI_E_BUSY, OCI_E_EXISTS,
		OCI_E_MORE),
	.flags_size = sizeof(struct bundle_flags),
	.run = run,
};
