#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "path.h"
#include "subject.h"

#define REPORT_MAX (256 * OCI_MIB)

struct ls_flags {
	const char *platform;
	bool digests;
	struct registry_flags registry;
	struct output_flags output;
};

static const struct oci_digest *layer_digest(const struct oci_listing *l, const struct oci_listing_file *file)
{
	return file->layer == OCI_LISTING_NO_LAYER ? NULL : &l->layers[file->layer].digest;
}

static int print_json(const struct oci_listing *l, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_array(&w, "files");
	for (size_t i = 0; i < l->count; i++) {
		const struct oci_digest *layer = layer_digest(l, &l->files[i]);

		oci_json_object(&w, NULL);
		path_put(&w, "path", l->files[i].path);
		oci_json_put_u64(&w, "size", l->files[i].size_bytes);
		if (l->files[i].link)
			path_put(&w, "link", l->files[i].link);
		if (l->files[i].digest.alg)
			oci_json_put_text(&w, "digest", oci_digest_format(&l->files[i].digest, digest));
		if (layer)
			oci_json_put_text(&w, "layer", oci_digest_format(layer, digest));
		oci_json_close(&w);
	}
	oci_json_close(&w);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static void print_text(const struct oci_listing *l)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct oci_listing_file *file = &l->files[i];

		printf("%14" PRIu64 "  ", file->size_bytes);
		path_print(stdout, file->path);
		fputs(file->link ? " -> " : "", stdout);
		path_print(stdout, file->link ? file->link : "");
		putchar('\n');
	}
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct ls_flags *flags = inv->flags;
	OCI_CLEANUP(subject_clear) struct subject s = {0};

	if (subject_open(&s, inv, &flags->registry, inv->operands[0], flags->platform, err) < 0 ||
		subject_list(&s, inv, flags->digests, err) < 0)
		return -1;
	if (flags->output.json)
		return print_json(&s.listing, err);
	print_text(&s.listing);
	return 0;
}

static const struct opt opts[] = {
	{OPT_TEXT(0, "platform", struct ls_flags, platform), .metavar = "OS/ARCH",
		.help = "which image of an index (this machine's, else ours)"},
	{OPT_FLAG(0, "file-digests", struct ls_flags, digests),
		.help = "a sha256 of every file, read through where none is recorded"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "REF|DIR", .help = "an image, or a directory", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	REGISTRY_GROUP(struct ls_flags, registry),
	OUTPUT_GROUP(struct ls_flags, output),
	{0},
};

static const struct example examples[] = {
	{"the files of a model in a registry", "ls reg.example/models/qwen2:0.5b"},
	{"with digests, for a script", "ls --json --file-digests oci:./store:v1"},
	{0},
};

const struct command cmd_ls = {
	.name = "ls",
	.summary = "list the files of a model, size and path",
	.about = "Of an image in our format, and of artifacts of raw files, only the manifest and the index are "
		 "fetched; the layers of other images are read through.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(EXITS_CONTENT, EXITS_NETWORK, OCI_E_PERM, OCI_E_IO),
	.flags_size = sizeof(struct ls_flags),
	.run = run,
};
