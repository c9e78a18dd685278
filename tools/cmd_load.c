#include "load.h"

struct flags {
	struct load_flags load;
	struct registry_flags registry;
	struct upload_flags upload;
	struct output_flags output;
	bool force, dry_run;
	uint64_t jobs;
};

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct flags *flags = inv->flags;
	const struct load_request request = {.operands = inv->operands,
		.operand_count = inv->operand_count,
		.flags = &flags->load,
		.registry = &flags->registry,
		.upload = &flags->upload,
		.force = flags->force,
		.dry_run = flags->dry_run,
		.json = flags->output.json,
		.jobs = flags->jobs};

	return load_run(inv, &request, err);
}

static const struct opt opts[] = {
	{OPT_FLAG(0, "force", struct flags, force), .help = "replace a tag with other content"},
	{OPT_FLAG(0, "dry-run", struct flags, dry_run), .help = "say what would be sent; write nothing"},
	{OPT_NUMBER('j', "jobs", struct flags, jobs), .metavar = "N", .max = 64, .preset = "4", .help = "blobs at once"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "FILE", .help = "a bundle, all or some of its parts, another archive of images, or - for a pipe; then where "
		"to: HOST, HOST/REPO[:TAG] or oci:DIR[:TAG]", .min = 2, .max = OPT_MANY},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	LOAD_GROUP(struct flags, load),
	REGISTRY_GROUP(struct flags, registry),
	UPLOAD_GROUP(struct flags, upload),
	OUTPUT_GROUP(struct flags, output),
	{0},
};

static const struct example examples[] = {
	{"each image under its own name, on this host", "load m.tar zot.inside"},
	{"into another repository", "load m.tar zot.inside/models/m:v1"},
	{"with other names", "load --map team/=inside/team/ m.tar zot.inside"},
	{"into Zarf's registry, behind its tunnel", "load --via-zarf --plain-http m.tar 127.0.0.1:31999"},
	{"all parts of a bundle", "load /media/usb/m.tar zot.inside"},
	{"disk by disk, as long as it ends with exit 51", "load /media/disk/m.tar.part* zot.inside"},
	{"from a pipe", "load - zot.inside"},
	{0},
};

const struct command cmd_load = {
	.name = "load",
	.summary = "put the images of a bundle into a registry or a layout",
	.about = "Nothing is joined on disk: what goes is read from the parts, verified on its way, and tags are written "
		 "last. Of parts that are not all of them everything is taken that there is, and the next run wants the "
		 "others alone (exit 51 says which); what cannot go yet waits in --state-dir. A damaged part is named (exit 13), and "
		 "may be loaded again by itself. To a directory: 'pull bundle:FILE DIR'.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(EXITS_CONTENT, EXITS_NETWORK, EXITS_WRITE, OCI_E_EXISTS, OCI_E_MORE),
	.flags_size = sizeof(struct flags),
	.run = run,
};
