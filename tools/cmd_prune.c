#include <string.h>

#include "base/cleanup.h"
#include "engine/tag_filter.h"
#include "removal.h"

struct prune_flags {
	uint64_t keep;
	struct oci_strings keep_regex;
	bool dry_run;
	struct registry_flags registry;
	struct output_flags output;
};

/* The newest, and those that an expression matches. */
static int choose_kept(const struct prune_flags *flags, const struct oci_strings *tags, struct oci_strings *kept,
	struct oci_error *err)
{
	struct oci_tag_filter newest = {.newest = flags->keep}, matching = {.regex = flags->keep_regex};

	if (flags->keep > 0 && oci_tag_filter_apply(&newest, tags, kept, err) < 0)
		return -1;
	return flags->keep_regex.count > 0 ? oci_tag_filter_apply(&matching, tags, kept, err) : 0;
}

static int choose(const struct prune_flags *flags, struct oci_store *store, struct removal *removal, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0}, all = {0}, kept = {0};
	const struct oci_tag_filter any = {0};

	if (oci_store_tags(store, &tags, err) < 0 || oci_tag_filter_apply(&any, &tags, &all, err) < 0 ||
		choose_kept(flags, &tags, &kept, err) < 0)
		return -1;
	for (size_t i = 0; i < all.count; i++) {
		struct oci_strings *list = oci_strings_has(&kept, all.items[i]) ? &removal->kept : &removal->gone;

		if (oci_strings_add(list, all.items[i], err) < 0)
			return -1;
	}
	if (removal->kept.count == 0 && all.count > 0)
		return oci_fail(err, OCI_E_POLICY, "all %zu tags would go: --keep-regex matches none, add --keep N", all.count);
	return 0;
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct prune_flags *flags = inv->flags;
	OCI_CLEANUP(removal_clear) struct removal removal = {0};
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = NULL;
	struct oci_tag_filter matching = {.regex = flags->keep_regex};
	const struct oci_retain_options options = {
		.dry_run = flags->dry_run, .observer = inv->observer, .cancel = inv->cancel};
	struct oci_store_options from;

	if (flags->keep == 0 && flags->keep_regex.count == 0)
		return command_misused(inv->command, err, "what stays is said by --keep or --keep-regex");
	if (oci_tag_filter_check(&matching, err) < 0 || common_store_options(inv, &flags->registry, &from, err) < 0 ||
		oci_reference_parse(inv->operands[0], &ref, err) < 0)
		return -1;
	if (ref.tag || ref.digest.alg)
		return command_misused(inv->command, err, "a repository is meant, without tag and digest");
	if (oci_str_set(&removal.place, inv->operands[0], err) < 0)
		return -1;
	store = oci_store_open(&ref, ref.transport == OCI_TRANSPORT_REGISTRY ? OCI_STORE_WRITE : OCI_STORE_READ, &from, err);
	if (!store || choose(flags, store, &removal, err) < 0 ||
		oci_retain_remove(store, &removal.gone, &options, &removal.report, err) < 0)
		return -1;
	return removal_finish(&removal, 1, flags->output.json, flags->dry_run, err);
}

static const struct opt opts[] = {
	{OPT_NUMBER(0, "keep", struct prune_flags, keep), .metavar = "N", .min = 1,
		.help = "keep so many tags, the highest versions first"},
	{OPT_TEXTS(0, "keep-regex", struct prune_flags, keep_regex), .metavar = "REGEX",
		.help = "keep tags that match as a whole, besides"},
	{OPT_FLAG(0, "dry-run", struct prune_flags, dry_run), .help = "say what would go; remove nothing"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "REPOSITORY", .help = "HOST/REPO or oci:DIR", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	REGISTRY_GROUP(struct prune_flags, registry),
	OUTPUT_GROUP(struct prune_flags, output),
	{0},
};

static const struct example examples[] = {
	{"what would go if the last five and all releases stayed",
		"prune --keep 5 --keep-regex 'v[0-9.]+' --dry-run reg.example/m"},
	{"only the newest", "prune --keep 1 reg.example/models/qwen2"},
	{0},
};

const struct command cmd_prune = {
	.name = "prune",
	.summary = "remove old tags of a repository",
	.about = "Versions are ordered as versions are (1.10 after 1.9, a pre-release before its release), names that "
		 "are none come before them: dates of images that are made reproducibly say nothing. Tags of signatures "
		 "go with their images. A run that would leave no tag is refused.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(OCI_E_NOT_FOUND, OCI_E_AUTH, OCI_E_POLICY, OCI_E_FORMAT, OCI_E_UNSUPPORTED,
		EXITS_NETWORK, OCI_E_PERM, OCI_E_PARTIAL),
	.flags_size = sizeof(struct prune_flags),
	.run = run,
};
