#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "common.h"
#include "engine/pack.h"
#include "path.h"

#define REPORT_MAX (64 * OCI_MIB)
#define PLATFORMS_MAX 16

struct pack_flags {
	struct oci_strings tags, platforms, annotations;
	enum oci_pack_format format;
	bool single, modelpack, file_digests, no_cache, force, dry_run;
	const char *onto, *prefix, *checkpoint_tag, *image_refs;
	uint64_t jobs;
	struct source_flags source;
	struct registry_flags registry, src, dest;
	struct upload_flags upload;
	struct output_flags output;
};

static const char *const state_names[] = {
	[OCI_PACK_NEW] = "new", [OCI_PACK_SHARED] = "shared", [OCI_PACK_MOUNTED] = "mounted"};

static int parse_platforms(const struct pack_flags *flags, struct oci_platform *platforms, size_t *count,
	struct oci_error *err)
{
	size_t asked = flags->platforms.count;

	if (asked > PLATFORMS_MAX)
		return oci_fail(err, OCI_E_USAGE, "more than %d platforms", PLATFORMS_MAX);
	for (*count = 0; *count < asked; (*count)++)
		if (oci_platform_parse(flags->platforms.items[*count], &platforms[*count], err) < 0)
			return -1;
	if (asked)
		return 0;
	*count = OCI_PACK_PLATFORMS;
	return oci_pack_platforms(platforms, err);
}

static int parse_annotations(const struct pack_flags *flags, struct oci_annotations *ret, struct oci_error *err)
{
	for (size_t i = 0; i < flags->annotations.count; i++) {
		const char *text = flags->annotations.items[i], *equals = strchr(text, '=');
		oci_autofree char *key = equals ? strndup(text, (size_t)(equals - text)) : NULL;

		if (!equals || equals == text)
			return oci_fail(err, OCI_E_USAGE, "annotation '%s' is not KEY=VALUE", text);
		if (!key)
			return oci_fail_nomem(err);
		if (oci_annotations_set(ret, key, equals + 1, err) < 0)
			return -1;
	}
	return 0;
}

static int check_target(const struct pack_flags *flags, const struct oci_reference *target, struct oci_error *err)
{
	if (target->digest.alg)
		return oci_fail(err, OCI_E_USAGE, "a target is written by tag, not by digest");
	if (target->transport == OCI_TRANSPORT_DOCKER_ARCHIVE)
		return oci_fail(err, OCI_E_UNSUPPORTED, "docker-archive: is only read, write oci-archive:FILE:TAG");
	if (target->transport == OCI_TRANSPORT_BUNDLE)
		return oci_fail(err, OCI_E_UNSUPPORTED,
			"bundle: is only read, write oci-archive:FILE:TAG, or a layout for 'bundle create'");
	if (!target->tag)
		return oci_fail(err, OCI_E_USAGE, "the target names no tag; write it as ...:TAG");
	for (size_t i = 0; i < flags->tags.count; i++)
		if (!oci_reference_tag_ok(flags->tags.items[i]))
			return oci_fail(err, OCI_E_USAGE, "tag '%s' has characters that no tag may have",
				flags->tags.items[i]);
	if (flags->checkpoint_tag && target->transport != OCI_TRANSPORT_REGISTRY)
		return oci_fail(err, OCI_E_USAGE, "--checkpoint-tag is for registries");
	if (flags->checkpoint_tag && (!oci_reference_tag_ok(flags->checkpoint_tag) ||
					     strcmp(flags->checkpoint_tag, target->tag) == 0))
		return oci_fail(err, OCI_E_USAGE, "--checkpoint-tag must be a tag, and not the target's own");
	if (flags->format == OCI_PACK_MODELPACK && (flags->onto || flags->single || flags->modelpack))
		return oci_fail(err, OCI_E_USAGE,
			"--format modelpack makes one artifact manifest: no --onto, --single, --modelpack");
	if (flags->single && flags->modelpack)
		return oci_fail(err, OCI_E_USAGE, "--single has no room for --modelpack");
	return 0;
}

static int result_text(const struct oci_reference *target, const struct oci_digest *digest, struct oci_buf *out,
	struct oci_error *err)
{
	oci_buf_init(out, 64 * OCI_KIB);
	return oci_reference_format_pinned(target, digest, out, err);
}

static void put_layers(struct oci_json_writer *w, const struct oci_pack_report *report)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_json_array(w, "layers");
	for (size_t i = 0; i < report->layer_count; i++) {
		oci_json_object(w, NULL);
		oci_json_put_text(w, "digest", oci_digest_format(&report->layers[i].digest, digest));
		oci_json_put_u64(w, "size", report->layers[i].size_bytes);
		oci_json_put_text(w, "title", report->layers[i].title);
		oci_json_put_text(w, "kind", report->layers[i].kind);
		oci_json_put_text(w, "state", state_names[report->layers[i].state]);
		oci_json_close(w);
	}
	oci_json_close(w);
}

static void put_skipped(struct oci_json_writer *w, const struct oci_pack_report *report)
{
	oci_json_array(w, "skipped");
	for (size_t i = 0; i < report->skipped_count; i++) {
		oci_json_object(w, NULL);
		path_put(w, "path", report->skipped[i].path);
		oci_json_put_text(w, "why", report->skipped[i].why);
		oci_json_close(w);
	}
	oci_json_close(w);
}

static int print_json(const struct oci_pack_report *report, const char *reference, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "reference", reference);
	oci_json_put_text(&w, "digest", oci_digest_format(&report->root.digest, digest));
	if (report->modelpack.digest.alg)
		oci_json_put_text(&w, "modelpack", oci_digest_format(&report->modelpack.digest, digest));
	oci_json_put_text(&w, "layout", oci_model_layout_name(report->info.layout));
	oci_json_put_u64(&w, "files", report->file_count);
	oci_json_put_u64(&w, "bytesNew", report->bytes_new);
	oci_json_put_u64(&w, "bytesShared", report->bytes_shared);
	oci_json_put_bool(&w, "unchanged", report->unchanged);
	put_layers(&w, report);
	put_skipped(&w, report);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

/* A dry run's result is the plan itself. */
static void print_plan(const struct oci_pack_report *report)
{
	char digest[OCI_DIGEST_TEXT_MAX], size[OCI_STR_SIZE_MAX];

	for (size_t i = 0; i < report->layer_count; i++)
		printf("%-7s %10s  %.19s  %-8s %s\n", state_names[report->layers[i].state],
			oci_str_size(report->layers[i].size_bytes, size),
			oci_digest_format(&report->layers[i].digest, digest), report->layers[i].kind,
			report->layers[i].title);
	for (size_t i = 0; i < report->skipped_count; i++) {
		fputs("skipped ", stdout);
		path_print(stdout, report->skipped[i].path);
		printf(" (%s)\n", report->skipped[i].why);
	}
}

static void summarize(const struct invocation *inv, const struct oci_pack_report *report)
{
	char fresh[OCI_STR_SIZE_MAX], shared[OCI_STR_SIZE_MAX];

	oci_event_note(inv->observer, "%zu file%s in %zu layers: %s new, %s shared%s", report->file_count,
		report->file_count == 1 ? "" : "s", report->layer_count, oci_str_size(report->bytes_new, fresh),
		oci_str_size(report->bytes_shared, shared), report->unchanged ? " (unchanged)" : "");
}

static int print_report(const struct invocation *inv, const struct oci_reference *target,
	const struct oci_pack_report *report, struct oci_error *err)
{
	const struct pack_flags *flags = inv->flags;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	if (result_text(target, &report->root.digest, &text, err) < 0)
		return -1;
	summarize(inv, report);
	if (flags->image_refs && !flags->dry_run && common_write_file(flags->image_refs, &text, err) < 0)
		return -1;
	if (flags->output.json)
		return print_json(report, oci_buf_text(&text), err);
	if (flags->dry_run)
		print_plan(report);
	printf("%s\n", oci_buf_text(&text));
	return 0;
}

static void note_shell(const struct invocation *inv, const struct pack_flags *flags)
{
	if (!flags->onto && flags->format == OCI_PACK_MODELCAR)
		oci_event_note(inv->observer, "the image has no shell: image volumes, KServe's oci+native and "
					      "oci+fetch and pull read it, KServe's sidecar mode needs --onto");
}

static int store_options(const struct invocation *inv, const struct pack_flags *flags,
	struct oci_store_options *target, struct oci_store_options *onto, struct oci_error *err)
{
	if (common_side_options(inv, &flags->registry, &flags->src, onto, err) < 0 ||
		common_side_options(inv, &flags->registry, &flags->dest, target, err) < 0)
		return -1;
	common_upload_options(&flags->upload, target);
	return 0;
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct pack_flags *flags = inv->flags;
	OCI_CLEANUP(oci_reference_clear) struct oci_reference target = {0};
	OCI_CLEANUP(oci_reference_clear) struct oci_reference onto = {0};
	OCI_CLEANUP(oci_annotations_clear) struct oci_annotations annotations = {0};
	OCI_CLEANUP(oci_pack_report_clear) struct oci_pack_report report = {0};
	struct oci_platform platforms[PLATFORMS_MAX] = {0};
	struct oci_store_options store, onto_store;
	struct oci_pack_options options = {.source = inv->operands[0],
		.target = &target,
		.tags = &flags->tags,
		.format = flags->format,
		.single = flags->single,
		.modelpack = flags->modelpack,
		.onto = flags->onto ? &onto : NULL,
		.prefix = flags->prefix,
		.platforms = platforms,
		.platforms_default = flags->platforms.count == 0,
		.annotations = &annotations,
		.file_digests = flags->file_digests,
		.checkpoint_tag = flags->checkpoint_tag,
		.cache_dir = flags->no_cache ? "" : NULL,
		.force = flags->force,
		.dry_run = flags->dry_run,
		.jobs = (unsigned)flags->jobs,
		.store = &store,
		.onto_store = &onto_store,
		.observer = inv->observer,
		.cancel = inv->cancel};
	int rc = -1;

	common_dir_options(&flags->source, &options.dir);
	if (oci_reference_parse(inv->operands[1], &target, err) == 0 && check_target(flags, &target, err) == 0 &&
		(!flags->onto || oci_reference_parse(flags->onto, &onto, err) == 0) &&
		store_options(inv, flags, &store, &onto_store, err) == 0 &&
		parse_annotations(flags, &annotations, err) == 0 &&
		parse_platforms(flags, platforms, &options.platform_count, err) == 0 &&
		oci_pack(&options, &report, err) == 0) {
		note_shell(inv, flags);
		rc = print_report(inv, &target, &report, err);
	}
	for (size_t i = 0; i < PLATFORMS_MAX; i++)
		oci_platform_clear(&platforms[i]);
	return rc;
}

static const char *const formats[] = {[OCI_PACK_MODELCAR] = "modelcar", [OCI_PACK_MODELPACK] = "modelpack", NULL};

static const struct opt opts[] = {
	{OPT_TEXTS('t', "tag", struct pack_flags, tags), .metavar = "TAG", .help = "one more tag"},
	{OPT_CHOICE(0, "format", struct pack_flags, format), .metavar = "FORMAT", .choices = formats, .preset = "modelcar",
		.help = "runnable images, or one artifact of raw files"},
	{OPT_FLAG(0, "modelpack", struct pack_flags, modelpack),
		.help = "a CNCF ModelPack manifest as well, over the same blobs, tagged TAG-modelpack"},
	{OPT_FLAG(0, "single", struct pack_flags, single), .help = "one manifest for the first platform, no index"},
	{OPT_TEXTS(0, "platform", struct pack_flags, platforms), .metavar = "OS/ARCH",
		.help = "a platform of the index instead of linux/amd64 and linux/arm64"},
	{OPT_TEXT(0, "onto", struct pack_flags, onto), .metavar = "REF",
		.help = "base image below the model, referred to and not copied"},
	{OPT_TEXT(0, "prefix", struct pack_flags, prefix), .metavar = "PATH",
		.help = "put the files below this path of the model tree"},
	{OPT_TEXTS(0, "annotation", struct pack_flags, annotations), .metavar = "KEY=VALUE",
		.help = "annotation of the manifests"},
	{OPT_FLAG(0, "file-digests", struct pack_flags, file_digests),
		.help = "record a sha256 of every file, for one more pass of hashing"},
	{OPT_TEXT(0, "checkpoint-tag", struct pack_flags, checkpoint_tag), .metavar = "TAG",
		.help = "name finished layers by this tag until the push ends, so that no garbage collection "
			"of the registry takes them"},
	{OPT_FLAG(0, "no-cache", struct pack_flags, no_cache),
		.help = "read every file, also those that were hashed before and have not changed since"},
	{OPT_FLAG(0, "force", struct pack_flags, force),
		.help = "replace a tag with other content; pack a model that is not whole"},
	{OPT_TEXT(0, "image-refs", struct pack_flags, image_refs), .metavar = "FILE",
		.help = "write there what goes to stdout, HOST/REPO@DIGEST, without a newline: for pipelines whose steps "
			"have no shell"},
	{OPT_FLAG(0, "dry-run", struct pack_flags, dry_run), .help = "show layers, digests and what is new; write nothing"},
	{OPT_NUMBER('j', "jobs", struct pack_flags, jobs), .metavar = "N", .max = 64,
		.help = "parallel workers (what the machine can do)"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "SOURCE", .help = "the model directory", .min = 1, .max = 1},
	{.name = "REF", .help = "where to: HOST/REPO:TAG, oci:DIR:TAG, oci-archive:FILE:TAG", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	SOURCE_GROUP(struct pack_flags, source),
	TWO_REGISTRIES_GROUP(struct pack_flags, registry, src, dest),
	UPLOAD_GROUP(struct pack_flags, upload),
	OUTPUT_GROUP(struct pack_flags, output),
	{0},
};

static const struct example examples[] = {
	{"a Hugging Face directory into a registry", "pack ./Qwen2-0.5B reg.example/models/qwen2:0.5b"},
	{"into an OCI layout, no server needed", "pack ./model oci:./store:v1"},
	{"what would be sent", "pack --dry-run ./model reg.example/m:v2"},
	{"one more Triton version on top of an image",
		"pack --onto reg.example/m:v1 --prefix resnet/2 ./new reg.example/m:v2"},
	{0},
};

const struct command cmd_pack = {
	.name = "pack",
	.summary = "make an OCI image of a model directory",
	.about = "Each weight file becomes a layer of its own, small files share a few, and the same file at the "
		 "same path is the same layer everywhere: what the destination has is not sent again. Same files, "
		 "same options, same digests.\n\nThe model is looked at first; one that is not whole is refused.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(EXITS_CONTENT, OCI_E_SOURCE, EXITS_NETWORK, EXITS_WRITE, OCI_E_OCCUPIED,
		OCI_E_EXISTS),
	.flags_size = sizeof(struct pack_flags),
	.run = run,
};
