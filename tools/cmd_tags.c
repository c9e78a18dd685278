#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "common.h"

#define REPORT_MAX (256 * OCI_MIB)

struct tags_flags {
	struct registry_flags registry;
	struct output_flags output;
};

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int print_json(const char *reference, const struct oci_strings *tags, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "reference", reference);
	oci_json_array(&w, "tags");
	for (size_t i = 0; i < tags->count; i++)
		oci_json_put_text(&w, NULL, tags->items[i]);
	oci_json_close(&w);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct tags_flags *flags = inv->flags;
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = NULL;
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0};

	store = common_store_open(inv, &flags->registry, inv->operands[0], OCI_STORE_READ, &ref, err);
	if (!store)
		return -1;
	if (ref.tag || ref.digest.alg)
		return command_misused(inv->command, err, "the tags of '%s' are meant by a name without tag and digest",
			ref.path);
	if (oci_store_tags(store, &tags, err) < 0)
		return -1;
	if (tags.count > 0)
		qsort(tags.items, tags.count, sizeof *tags.items, by_bytes);
	if (flags->output.json)
		return print_json(inv->operands[0], &tags, err);
	for (size_t i = 0; i < tags.count; i++)
		puts(tags.items[i]);
	return 0;
}

static const struct opt_operand operands[] = {
	{.name = "REPOSITORY", .help = "HOST/REPO, oci:DIR, oci-archive:FILE or docker-archive:FILE", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	REGISTRY_GROUP(struct tags_flags, registry),
	OUTPUT_GROUP(struct tags_flags, output),
	{0},
};

static const struct example examples[] = {
	{"all versions of a model", "tags reg.example/models/qwen2"},
	{0},
};

const struct command cmd_tags = {
	.name = "tags",
	.summary = "list the tags of a repository",
	.about = "One a line, sorted; a registry's pages are followed to the end.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(OCI_E_NOT_FOUND, OCI_E_AUTH, OCI_E_FORMAT, OCI_E_UNSUPPORTED, OCI_E_NETWORK, OCI_E_TLS),
	.flags_size = sizeof(struct tags_flags),
	.run = run,
};
