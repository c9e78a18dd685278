#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/image.h"
#include "removal.h"

struct rm_flags {
	bool dry_run;
	struct registry_flags registry;
	struct output_flags output;
};

/* The operands, by repository: tags of one are looked at together. */
struct plan {
	struct removal *items;
	struct oci_reference *places; /* one each item */
	size_t count;
};

static void plan_clear(struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		removal_clear(&plan->items[i]);
		oci_reference_clear(&plan->places[i]);
	}
	free(plan->items);
	free(plan->places);
}

static struct removal *find_place(struct plan *plan, struct oci_reference *ref, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	struct oci_reference place = {.transport = ref->transport, .host = ref->host, .path = ref->path};

	oci_buf_init(&text, 64 * OCI_KIB);
	if (oci_reference_format(&place, &text, err) < 0)
		return NULL;
	for (size_t i = 0; i < plan->count; i++)
		if (strcmp(plan->items[i].place, oci_buf_text(&text)) == 0)
			return &plan->items[i];
	if (oci_str_set(&plan->items[plan->count].place, oci_buf_text(&text), err) < 0)
		return NULL;
	ref->host = ref->path = NULL; /* they are the place's now */
	plan->places[plan->count] = place;
	return &plan->items[plan->count++];
}

static int take_operand(const struct invocation *inv, struct plan *plan, const char *text, struct oci_error *err)
{
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	char digest[OCI_DIGEST_TEXT_MAX];
	struct removal *removal;

	if (oci_reference_parse(text, &ref, err) < 0)
		return -1;
	if (!ref.tag && !ref.digest.alg)
		return command_misused(inv->command, err, "'%s' names neither a tag nor a digest", text);
	removal = find_place(plan, &ref, err);
	return removal ? oci_strings_add(&removal->gone, oci_image_name(&ref, digest), err) : -1;
}

static int check_there(struct removal *removal)
{
	for (size_t i = 0; i < removal->report.count; i++)
		if (!removal->report.items[i].digest.alg)
			return oci_fail(&removal->err, OCI_E_NOT_FOUND, "there is no '%s'", removal->report.items[i].tag);
	return 0;
}

/* Its failure is its own, unless it ends everything. */
static int remove_from(const struct invocation *inv, const struct oci_reference *place, struct removal *removal,
	const struct oci_store_options *store, struct oci_error *err)
{
	const struct rm_flags *flags = inv->flags;
	const struct oci_retain_options options = {
		.dry_run = flags->dry_run, .observer = inv->observer, .cancel = inv->cancel};
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *opened = NULL;
	bool local = place->transport != OCI_TRANSPORT_REGISTRY;

	/* what is not there is not made, and a registry's mirrors are not asked */
	opened = oci_store_open(place, local ? OCI_STORE_READ : OCI_STORE_WRITE, store, &removal->err);
	if (opened && oci_retain_remove(opened, &removal->gone, &options, &removal->report, &removal->err) == 0)
		check_there(removal);
	if (removal->err.code != OCI_E_CANCELLED && removal->err.code != OCI_E_NOMEM)
		return 0;
	*err = removal->err;
	return -1;
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct rm_flags *flags = inv->flags;
	OCI_CLEANUP(plan_clear) struct plan plan = {0};
	struct oci_store_options store;

	plan.items = calloc(inv->operand_count, sizeof *plan.items);
	plan.places = calloc(inv->operand_count, sizeof *plan.places);
	if (!plan.items || !plan.places)
		return oci_fail_nomem(err);
	if (common_store_options(inv, &flags->registry, &store, err) < 0)
		return -1;
	for (size_t i = 0; i < inv->operand_count; i++)
		if (take_operand(inv, &plan, inv->operands[i], err) < 0)
			return -1;
	for (size_t i = 0; i < plan.count; i++)
		if (remove_from(inv, &plan.places[i], &plan.items[i], &store, err) < 0)
			return -1;
	return removal_finish(plan.items, plan.count, flags->output.json, flags->dry_run, err);
}

static const struct opt opts[] = {
	{OPT_FLAG(0, "dry-run", struct rm_flags, dry_run), .help = "say what would go; remove nothing"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "REF", .help = "HOST/REPO:TAG, HOST/REPO@DIGEST, oci:DIR:TAG", .min = 1, .max = OPT_MANY},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	REGISTRY_GROUP(struct rm_flags, registry),
	OUTPUT_GROUP(struct rm_flags, output),
	{0},
};

static const struct example examples[] = {
	{"a tag, and its image if no other tag needs it", "rm reg.example/models/qwen2:old"},
	{"a manifest with all its tags", "rm reg.example/m@sha256:0123...cdef"},
	{0},
};

const struct command cmd_rm = {
	.name = "rm",
	.summary = "remove tags or manifests",
	.about = "A registry must allow it. Where it can remove a tag alone, that is what happens; where it knows "
		 "manifests only, a tag goes with its manifest, and stays when another tag needs that. With an image "
		 "that no tag names any more go the tags of its signatures. Blobs stay until the registry collects its "
		 "garbage.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(OCI_E_NOT_FOUND, OCI_E_AUTH, OCI_E_FORMAT, OCI_E_UNSUPPORTED, EXITS_NETWORK,
		OCI_E_PERM, OCI_E_PARTIAL),
	.flags_size = sizeof(struct rm_flags),
	.run = run,
};
