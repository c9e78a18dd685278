#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "common.h"
#include "engine/copy.h"
#include "engine/image.h"
#include "engine/zarf.h"

#define REPORT_MAX (256 * OCI_MIB)

struct cp_flags {
	struct oci_strings tags;
	const char *platform, *image_name;
	bool referrers, force, dry_run, via_zarf, zot;
	uint64_t jobs;
	struct registry_flags registry, src, dest;
	struct upload_flags upload;
	struct output_flags output;
};

struct ends {
	struct oci_reference from_ref, to_ref;
	struct oci_store *from, *to;
	struct oci_strings tags; /* to write, none for a digest alone */
	char *image; /* the source's full name; NULL: not known, or nobody asks */
};

static const char *const kind_names[] = {
	[OCI_GRAPH_MANIFEST] = "manifest", [OCI_GRAPH_CONFIG] = "config", [OCI_GRAPH_LAYER] = "layer"};

static void ends_clear(struct ends *ends)
{
	oci_store_close(ends->from);
	oci_store_close(ends->to);
	oci_reference_clear(&ends->from_ref);
	oci_reference_clear(&ends->to_ref);
	oci_strings_clear(&ends->tags);
	free(ends->image);
}

static const char *how_name(enum oci_copy_how how, bool dry_run)
{
	static const char *const names[] = {"exists", "mounted", "sent"};

	return how == OCI_COPY_SENT && dry_run ? "new" : names[how];
}

/* The tag of a reference to read; that of a full name, too. */
static const char *source_tag(const struct oci_reference *ref)
{
	const char *colon = ref->tag && strchr(ref->tag, '/') ? strrchr(ref->tag, ':') : NULL;

	if (colon)
		return colon + 1;
	return ref->tag || ref->digest.alg || ref->transport != OCI_TRANSPORT_REGISTRY ? ref->tag : "latest";
}

static int add_zarf_tags(struct ends *ends, struct oci_error *err)
{
	size_t count = ends->tags.count;

	for (size_t i = 0; i < count; i++) {
		oci_autofree char *tag = NULL;

		if (oci_zarf_tag(ends->image, ends->tags.items[i], &tag, err) < 0 ||
			oci_strings_add(&ends->tags, tag, err) < 0)
			return -1;
	}
	return 0;
}

/* The full name that --image-name says, or the source has. */
static int find_image(const struct cp_flags *flags, struct ends *ends, struct oci_error *err)
{
	OCI_CLEANUP(oci_reference_clear) struct oci_reference named = {0};
	const char *full = ends->from_ref.tag && strchr(ends->from_ref.tag, '/') ? ends->from_ref.tag : NULL;

	if (flags->image_name)
		full = flags->image_name;
	if (full && oci_reference_parse(full, &named, err) < 0)
		return -1;
	ends->image = oci_zarf_image(full ? &named : &ends->from_ref, err);
	return ends->image ? 0 : oci_wrap(err, "say it with --image-name HOST/REPO");
}

/* Zarf keeps an image's path, and DST is the registry's address alone, unless it has a tag. */
static int parse_zarf_end(const struct cp_flags *flags, const char *text, struct ends *ends, struct oci_error *err)
{
	oci_autofree char *whole = NULL;
	struct oci_error why = {0};

	if (find_image(flags, ends, err) < 0)
		return -1;
	if (oci_reference_parse(text, &ends->to_ref, &why) == 0 &&
		(ends->to_ref.tag || ends->to_ref.transport != OCI_TRANSPORT_REGISTRY))
		return 0;
	oci_reference_clear(&ends->to_ref);
	whole = oci_str_printf("%s%s", text, strchr(ends->image, '/'));
	return whole ? oci_reference_parse(whole, &ends->to_ref, err) : oci_fail_nomem(err);
}

static int parse_ends(const struct invocation *inv, struct ends *ends, struct oci_error *err)
{
	const struct cp_flags *flags = inv->flags;

	if (flags->image_name && !flags->via_zarf)
		return command_misused(inv->command, err, "--image-name is for --via-zarf");
	if (oci_reference_parse(inv->operands[0], &ends->from_ref, err) < 0)
		return -1;
	return flags->via_zarf ? parse_zarf_end(flags, inv->operands[1], ends, err) :
				 oci_reference_parse(inv->operands[1], &ends->to_ref, err);
}

static int choose_tags(const struct invocation *inv, struct ends *ends, struct oci_error *err)
{
	const struct cp_flags *flags = inv->flags;
	const char *first = ends->to_ref.tag ? ends->to_ref.tag : source_tag(&ends->from_ref);

	if (ends->to_ref.digest.alg)
		return command_misused(inv->command, err, "a destination is written by tag, not by digest");
	if (first && oci_strings_add(&ends->tags, first, err) < 0)
		return -1;
	for (size_t i = 0; i < flags->tags.count; i++)
		if (!oci_strings_has(&ends->tags, flags->tags.items[i]) &&
			oci_strings_add(&ends->tags, flags->tags.items[i], err) < 0)
			return -1;
	for (size_t i = 0; i < ends->tags.count; i++)
		if (!oci_reference_tag_ok(ends->tags.items[i]))
			return command_misused(inv->command, err, "'%s' is not a tag", ends->tags.items[i]);
	if (flags->via_zarf && add_zarf_tags(ends, err) < 0)
		return -1;
	if (ends->tags.count > 0 || (ends->to_ref.transport == OCI_TRANSPORT_REGISTRY && ends->from_ref.digest.alg))
		return 0;
	return command_misused(inv->command, err, "neither end names a tag; write the destination as ...:TAG");
}

static int open_ends(const struct invocation *inv, struct ends *ends, struct oci_error *err)
{
	const struct cp_flags *flags = inv->flags;
	struct oci_store_options from, to;

	if (parse_ends(inv, ends, err) < 0 || choose_tags(inv, ends, err) < 0 ||
		common_side_options(inv, &flags->registry, &flags->src, &from, err) < 0 ||
		common_side_options(inv, &flags->registry, &flags->dest, &to, err) < 0)
		return -1;
	common_upload_options(&flags->upload, &to);
	to.lists_all = flags->zot;
	ends->from = oci_store_open(&ends->from_ref, OCI_STORE_READ, &from, err);
	if (!ends->from)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	ends->to = oci_copy_open(&ends->to_ref, flags->dry_run, &to, err);
	return ends->to ? 0 : -1;
}

/* An archive is written whole: one that is there would go. */
static bool is_there(const struct oci_reference *ref)
{
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *old = NULL;
	const struct oci_store_options none = {0};

	if (ref->transport == OCI_TRANSPORT_ARCHIVE)
		old = oci_store_open(ref, OCI_STORE_READ, &none, NULL);
	return old != NULL;
}

static void put_objects(struct oci_json_writer *w, const struct oci_copy_report *report, bool dry_run)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_json_array(w, "objects");
	for (size_t i = 0; i < report->object_count; i++) {
		const struct oci_copy_object *object = &report->objects[i];

		oci_json_object(w, NULL);
		oci_json_put_text(w, "digest", oci_digest_format(&object->digest, digest));
		oci_json_put_u64(w, "size", object->size_bytes);
		oci_json_put_text(w, "kind", kind_names[object->kind]);
		oci_json_put_text(w, "state", how_name(object->how, dry_run));
		oci_json_close(w);
	}
	oci_json_close(w);
}

static int print_json(const struct cp_flags *flags, const struct ends *ends, const struct oci_copy_report *report,
	const char *reference, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "reference", reference);
	oci_json_put_text(&w, "digest", oci_digest_format(&report->root.digest, digest));
	oci_json_array(&w, "tags");
	for (size_t i = 0; i < ends->tags.count; i++)
		oci_json_put_text(&w, NULL, ends->tags.items[i]);
	oci_json_close(&w);
	oci_json_put_bool(&w, "unchanged", report->unchanged);
	oci_json_put_bool(&w, "dryRun", flags->dry_run);
	oci_json_put_u64(&w, "bytesSent", report->bytes[OCI_COPY_SENT]);
	oci_json_put_u64(&w, "bytesMounted", report->bytes[OCI_COPY_MOUNTED]);
	oci_json_put_u64(&w, "bytesThere", report->bytes[OCI_COPY_EXISTS]);
	oci_json_put_u64(&w, "signatures", report->signatures);
	put_objects(&w, report, flags->dry_run);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static void print_plan(const struct oci_copy_report *report)
{
	char digest[OCI_DIGEST_TEXT_MAX], size[OCI_STR_SIZE_MAX];

	for (size_t i = 0; i < report->object_count; i++)
		printf("%-7s %10s  %s  %s\n", how_name(report->objects[i].how, true),
			oci_str_size(report->objects[i].size_bytes, size),
			oci_digest_format(&report->objects[i].digest, digest), kind_names[report->objects[i].kind]);
}

static int print_report(const struct invocation *inv, const struct ends *ends, const struct oci_copy_report *report,
	struct oci_error *err)
{
	const struct cp_flags *flags = inv->flags;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	char sent[OCI_STR_SIZE_MAX], mounted[OCI_STR_SIZE_MAX], there[OCI_STR_SIZE_MAX];

	oci_buf_init(&text, 64 * OCI_KIB);
	if (oci_reference_format_pinned(&ends->to_ref, &report->root.digest, &text, err) < 0)
		return -1;
	oci_event_note(inv->observer, "%zu objects: %s %s, %s mounted, %s there already%s", report->object_count,
		oci_str_size(report->bytes[OCI_COPY_SENT], sent), flags->dry_run ? "to send" : "sent",
		oci_str_size(report->bytes[OCI_COPY_MOUNTED], mounted),
		oci_str_size(report->bytes[OCI_COPY_EXISTS], there), report->unchanged ? " (unchanged)" : "");
	if (flags->output.json)
		return print_json(flags, ends, report, oci_buf_text(&text), err);
	if (flags->dry_run)
		print_plan(report);
	printf("%s\n", oci_buf_text(&text));
	return 0;
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct cp_flags *flags = inv->flags;
	OCI_CLEANUP(ends_clear) struct ends ends = {0};
	OCI_CLEANUP(oci_platform_clear) struct oci_platform platform = {0};
	OCI_CLEANUP(oci_copy_report_clear) struct oci_copy_report report = {0};
	struct oci_copy_options options = {.platform = flags->platform ? &platform : NULL,
		.referrers = flags->referrers,
		.force = flags->force,
		.dry_run = flags->dry_run,
		.jobs = (unsigned)flags->jobs,
		.observer = inv->observer,
		.cancel = inv->cancel};
	char digest[OCI_DIGEST_TEXT_MAX];

	if ((flags->platform && oci_platform_parse(flags->platform, &platform, err) < 0) || open_ends(inv, &ends, err) < 0)
		return -1;
	options.rewrites = is_there(&ends.to_ref);
	if (oci_copy(ends.from, oci_image_name(&ends.from_ref, digest), ends.to, &ends.tags, &options, &report, err) < 0)
		return -1;
	return print_report(inv, &ends, &report, err);
}

static const struct opt opts[] = {
	{OPT_TEXTS('t', "tag", struct cp_flags, tags), .metavar = "TAG", .help = "one more tag"},
	{OPT_TEXT(0, "platform", struct cp_flags, platform), .metavar = "OS/ARCH",
		.help = "copy that manifest of an index alone, instead of the index with all of them"},
	{OPT_FLAG(0, "referrers", struct cp_flags, referrers),
		.help = "copy signatures, attestations and whatever else refers to the image, too"},
	{OPT_FLAG(0, "force", struct cp_flags, force), .help = "replace a tag with other content"},
	{OPT_FLAG(0, "dry-run", struct cp_flags, dry_run), .help = "show what would be sent; write nothing"},
	{OPT_FLAG(0, "via-zarf", struct cp_flags, via_zarf),
		.help = "as Zarf lays images into its registry, DST: the source's repository, TAG and "
			"TAG-zarf-<crc32 of the image's name>"},
	{OPT_TEXT(0, "image-name", struct cp_flags, image_name), .metavar = "HOST/REPO",
		.help = "what the image is called in the cluster's manifests, for --via-zarf (the source)"},
	{OPT_FLAG(0, "zot", struct cp_flags, zot),
		.help = "DST is oci:DIR in the storage of a zot, which wants every manifest in index.json; goes without "
			"saying where zot has been"},
	{OPT_NUMBER('j', "jobs", struct cp_flags, jobs), .metavar = "N", .max = 64, .preset = "4",
		.help = "blobs at once"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "SRC", .help = "HOST/REPO[:TAG|@DIGEST], oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, bundle:FILE; "
			"archives also in gzip, zstd or parts, of Zarf and Hauler",
		.min = 1, .max = 1},
	{.name = "DST", .help = "HOST/REPO[:TAG], oci:DIR[:TAG], oci-archive:FILE[:TAG]; without TAG the source's",
		.min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	TWO_REGISTRIES_GROUP(struct cp_flags, registry, src, dest),
	UPLOAD_GROUP(struct cp_flags, upload),
	OUTPUT_GROUP(struct cp_flags, output),
	{0},
};

static const struct example examples[] = {
	{"from one registry to another", "cp reg.example/models/qwen2:0.5b zot.inside/models/qwen2"},
	{"with its signatures, under two tags", "cp --referrers -t stable reg.example/m:v2 zot.inside/m:v2"},
	{"a layout into a registry", "cp oci:./store:v1 reg.example/models/m:v1"},
	{"into the registry of a Zarf cluster, behind its tunnel",
		"cp --via-zarf --plain-http reg.example/models/m:v1 127.0.0.1:31999"},
	{"what would be sent", "cp --dry-run reg.example/m:v2 zot.inside/m"},
	{0},
};

const struct command cmd_cp = {
	.name = "cp",
	.alias = "copy",
	.summary = "copy an image from one place to another",
	.about = "Index, manifests, configs and layers arrive byte by byte as they are, so all digests are the same at "
		 "both ends. Blobs stream from the source to the destination, several at once and not over the disk; "
		 "what is there is not sent, and what was sent before a cut or a kill is not sent again. Tags are "
		 "written last.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(EXITS_CONTENT, OCI_E_SOURCE, EXITS_NETWORK, EXITS_WRITE, OCI_E_EXISTS),
	.flags_size = sizeof(struct cp_flags),
	.run = run,
};
