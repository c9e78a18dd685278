#include <stdio.h>

#include "base/cleanup.h"
#include "common.h"
#include "dest.h"
#include "engine/doctor.h"
#include "path.h"

#define REPORT_MAX OCI_MIB

struct doctor_flags {
	const char *platform;
	struct dest_flags dest;
	struct registry_flags registry;
	struct output_flags output;
};

static int print_json(const struct oci_diagnosis *d, const char *dest, struct oci_error *err)
{
	static const char *const levels[] = {"ok", "warn", "fail"};
	const struct oci_finding *failure = oci_diagnosis_failure(d);
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_bool(&w, "ok", !failure);
	oci_json_put_u64(&w, "code", failure ? failure->code : OCI_OK);
	path_put(&w, "path", dest);
	oci_json_array(&w, "checks");
	for (size_t i = 0; i < d->count; i++) {
		const struct oci_finding *f = &d->items[i];

		oci_json_object(&w, NULL);
		oci_json_put_text(&w, "check", f->what);
		oci_json_put_text(&w, "level", levels[f->level]);
		oci_json_put_u64(&w, "code", f->code);
		path_put(&w, "finding", f->text);
		oci_json_put_text(&w, "next", f->next);
		oci_json_close(&w);
	}
	oci_json_close(&w);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static void print_text(const struct oci_diagnosis *d)
{
	static const char *const levels[] = {"ok  ", "warn", "FAIL"};

	for (size_t i = 0; i < d->count; i++) {
		const struct oci_finding *f = &d->items[i];

		printf("%s  %s: ", levels[f->level], f->what);
		path_print(stdout, f->text);
		printf("%s%s\n", f->next ? "; " : "", f->next ? f->next : "");
	}
}

static int print(const struct invocation *inv, const struct oci_diagnosis *d, const char *dest, struct oci_error *err)
{
	const struct doctor_flags *flags = inv->flags;
	const struct oci_finding *failure = oci_diagnosis_failure(d);
	char shown[OCI_STR_ESCAPE_MAX];

	if (!flags->output.json)
		print_text(d);
	else if (print_json(d, dest, err) < 0)
		return -1;
	if (!failure)
		return 0;
	return oci_fail(err, failure->code, "'%s' is not fit for a pull: %s: %s%s%s", oci_str_escape(dest, shown),
		failure->what, failure->text, failure->next ? "; " : "", failure->next ? failure->next : "");
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct doctor_flags *flags = inv->flags;
	OCI_CLEANUP(oci_diagnosis_clear) struct oci_diagnosis diagnosis = {0};
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	OCI_CLEANUP(oci_platform_clear) struct oci_platform platform = {0};
	oci_autofree char *dest = NULL;
	struct oci_store_options store;
	struct oci_doctor_options options = {.store = &store};

	if (common_store_options(inv, &flags->registry, &store, err) < 0)
		return -1;
	if (inv->operand_count > 1) {
		if (oci_reference_parse(inv->operands[1], &ref, err) < 0)
			return -1;
		options.from = &ref;
	}
	if (flags->platform) {
		if (oci_platform_parse(flags->platform, &platform, err) < 0)
			return -1;
		options.platform = &platform;
	}
	dest = dest_path(&flags->dest, inv->operands[0], err);
	options.dest = dest;
	if (!dest || oci_doctor(&options, &diagnosis, err) < 0)
		return -1;
	return print(inv, &diagnosis, dest, err);
}

static const struct opt opts[] = {
	{OPT_TEXT(0, "platform", struct doctor_flags, platform), .metavar = "OS/ARCH",
		.help = "which image of an index (this machine's, else ours)"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "DEST", .help = "where a pull would go: a directory, or pvc://[NAMESPACE:]NAME/PATH", .min = 1, .max = 1},
	{.name = "REF", .help = "the image, to see whether it can be had and has room", .min = 0, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	DEST_GROUP(struct doctor_flags, dest),
	REGISTRY_GROUP(struct doctor_flags, registry),
	OUTPUT_GROUP(struct doctor_flags, output),
	{0},
};

static const struct example examples[] = {
	{"is this volume fit for a model?", "doctor /mnt/models"},
	{"and for this one, from here?", "doctor /mnt/models/qwen2 reg.example/models/qwen2:0.5b"},
	{"for a program", "doctor --json /mnt/models"},
	{0},
};

const struct command cmd_doctor = {
	.name = "doctor",
	.summary = "say what a pull to a place would meet, and what to do about it",
	.about = "Each check is a line: ok, warn or FAIL, what was found, and the next step. Looked at are the path, its "
		 "mount and owner, what its file system can do, what lies there, space and inodes, memory and processors; "
		 "with REF also the way to the registry and the image. The exit status is that of the first FAIL. Nothing "
		 "stays behind: the few files that are made for a try are removed.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(EXITS_CONTENT, EXITS_NETWORK, EXITS_WRITE, OCI_E_OCCUPIED, OCI_E_DAMAGED),
	.flags_size = sizeof(struct doctor_flags),
	.run = run,
};
