#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "common.h"
#include "engine/pack.h"
#include "model/detect.h"
#include "path.h"

#define REPORT_MAX (64 * OCI_MIB)

struct check_flags {
	struct source_flags source;
	struct output_flags output;
};

static uint64_t total_bytes(const struct oci_dir *dir)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < dir->count; i++)
		sum += dir->files[i].size_bytes;
	return sum;
}

static const char *level_name(enum oci_finding_level level)
{
	return level == OCI_FINDING_ERROR ? "error" : "warning";
}

static void print_field(const char *name, const char *value)
{
	char shown[OCI_STR_ESCAPE_MAX];

	if (value)
		printf("%-13s %s\n", name, oci_str_escape(value, shown));
}

static void print_text(const struct oci_dir *dir, const struct oci_model_info *info)
{
	char parameters[16], size[OCI_STR_SIZE_MAX];

	print_field("layout", oci_model_layout_name(info->layout));
	print_field("name", info->name);
	print_field("family", info->family);
	print_field("architecture", info->architecture);
	print_field("format", info->format);
	print_field("precision", info->precision);
	print_field("quantization", info->quantization);
	if (info->parameters > 0)
		print_field("parameters", oci_model_param_text(info->parameters, parameters));
	print_field("license", info->license);
	printf("%-13s %zu, %s\n", "files", dir->count, oci_str_size(total_bytes(dir), size));
	if (dir->skipped_count > 0)
		printf("%-13s %zu\n", "left out", dir->skipped_count);
	for (size_t i = 0; i < info->finding_count; i++) {
		const struct oci_finding *f = &info->findings[i];
		char path[OCI_STR_ESCAPE_MAX], text[OCI_STR_ESCAPE_MAX];
		printf("%s: %s: %s\n", level_name(f->level), oci_str_escape(f->path, path),
			oci_str_escape(f->text, text));
	}
}

static void write_findings(struct oci_json_writer *w, const struct oci_model_info *info)
{
	oci_json_array(w, "findings");
	for (size_t i = 0; i < info->finding_count; i++) {
		oci_json_object(w, NULL);
		oci_json_put_text(w, "level", level_name(info->findings[i].level));
		oci_json_put_text(w, "path", info->findings[i].path);
		oci_json_put_text(w, "text", info->findings[i].text);
		oci_json_close(w);
	}
	oci_json_close(w);
}

static void write_skipped(struct oci_json_writer *w, const struct oci_dir *dir)
{
	oci_json_array(w, "skipped");
	for (size_t i = 0; i < dir->skipped_count; i++) {
		oci_json_object(w, NULL);
		path_put(w, "path", dir->skipped[i].path);
		oci_json_put_text(w, "why", dir->skipped[i].why);
		oci_json_close(w);
	}
	oci_json_close(w);
}

static int print_json(const struct oci_dir *dir, const struct oci_model_info *info, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "layout", oci_model_layout_name(info->layout));
	oci_json_put_text(&w, "name", info->name);
	oci_json_put_text(&w, "family", info->family);
	oci_json_put_text(&w, "architecture", info->architecture);
	oci_json_put_text(&w, "format", info->format);
	oci_json_put_text(&w, "precision", info->precision);
	oci_json_put_text(&w, "quantization", info->quantization);
	oci_json_put_text(&w, "license", info->license);
	oci_json_put_text(&w, "sourceURL", info->source_url);
	if (info->parameters > 0)
		oci_json_put_u64(&w, "parameters", info->parameters);
	oci_json_put_u64(&w, "files", dir->count);
	oci_json_put_u64(&w, "bytes", total_bytes(dir));
	write_skipped(&w, dir);
	write_findings(&w, info);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static size_t count_errors(const struct oci_model_info *info)
{
	size_t count = 0;

	for (size_t i = 0; i < info->finding_count; i++)
		count += info->findings[i].level == OCI_FINDING_ERROR;
	return count;
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct check_flags *flags = inv->flags;
	OCI_CLEANUP(oci_dir_clear) struct oci_dir dir = {.fd = -1, .boundary_fd = -1};
	OCI_CLEANUP(oci_model_info_clear) struct oci_model_info info = {0};
	struct oci_dir_options options;

	common_dir_options(&flags->source, &options);
	if (oci_dir_scan(inv->operands[0], &options, &dir, err) < 0 || oci_pack_inspect(&dir, NULL, NULL, &info, err) < 0)
		return -1;
	if (!flags->output.json)
		print_text(&dir, &info);
	else if (print_json(&dir, &info, err) < 0)
		return -1;
	size_t errors = count_errors(&info);
	if (errors > 0)
		return oci_fail(err, OCI_E_SOURCE,
			"model '%s' is not whole: %zu error%s; mend %s before you pack it",
			inv->operands[0], errors, errors == 1 ? "" : "s", errors == 1 ? "it" : "them");
	return 0;
}

static const struct opt_operand operands[] = {
	{.name = "DIR", .help = "the model directory", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	SOURCE_GROUP(struct check_flags, source),
	OUTPUT_GROUP(struct check_flags, output),
	{0},
};

static const struct example examples[] = {
	{"what is in a directory, and is it whole", "check ./Qwen2-0.5B"},
	{"the same for a script", "check --json ./Qwen2-0.5B | jq .findings"},
	{0},
};

const struct command cmd_check = {
	.name = "check",
	.summary = "look at a model directory before it is packed",
	.about = "Tells the layout (Hugging Face, GGUF, Triton, TensorRT-LLM), architecture, format, "
		 "precision and licence of the model, and finds what would fail later: missing shards, "
		 "truncated weights, configuration that does not parse. Nothing is written and nothing is sent.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(OCI_E_NOT_FOUND, OCI_E_SOURCE, OCI_E_PERM, OCI_E_IO),
	.flags_size = sizeof(struct check_flags),
	.run = run,
};
