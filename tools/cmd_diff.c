#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/verify.h"
#include "path.h"
#include "subject.h"

#define REPORT_MAX (256 * OCI_MIB)

struct diff_flags {
	const char *platform;
	struct registry_flags registry;
	struct output_flags output;
};

/* Against a directory, an image's layers prove files that have no digest of
 * their own; the tree is verified and the differences turned round when it
 * stands first. */
static int diff_tree(const struct subject *dir, const struct subject *image, bool dir_first,
	const struct invocation *inv, struct oci_differences *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_verify_report_clear) struct oci_verify_report report = {0};

	if (oci_verify_tree(dir->text, &image->listing, 0, inv->observer, inv->cancel, &report, err) < 0)
		return -1;
	for (size_t i = 0; i < report.differences.count; i++) {
		struct oci_difference *d = &report.differences.items[i];
		uint64_t before = d->before_bytes;

		if (!dir_first)
			continue;
		d->before_bytes = d->after_bytes;
		d->after_bytes = before;
		if (d->change != OCI_CHANGED)
			d->change = d->change == OCI_ADDED ? OCI_REMOVED : OCI_ADDED;
	}
	*ret = report.differences;
	report.differences = (struct oci_differences){0};
	return 0;
}

static int diff_listings(struct subject *a, struct subject *b, const struct invocation *inv,
	struct oci_differences *ret, struct oci_error *err)
{
	size_t undecided;

	if (oci_diff(&a->listing, &b->listing, ret, &undecided, err) < 0)
		return -1;
	if (undecided == 0)
		return 0;
	oci_differences_clear(ret);
	if (subject_list(a, inv, true, err) < 0 || subject_list(b, inv, true, err) < 0)
		return -1;
	return oci_diff(&a->listing, &b->listing, ret, &undecided, err);
}

static bool has_layer(const struct oci_manifest *m, const struct oci_digest *digest)
{
	for (size_t i = 0; i < m->layer_count; i++)
		if (oci_digest_equal(&m->layers[i].digest, digest))
			return true;
	return false;
}

/* What a pull or a push has to move to get from `a` to `b`. */
static uint64_t bytes_to_go(const struct subject *a, const struct subject *b, const struct oci_differences *d)
{
	uint64_t sum = 0;

	if (!a->is_dir && !b->is_dir) {
		for (size_t i = 0; i < b->image.manifest.layer_count; i++)
			if (!has_layer(&a->image.manifest, &b->image.manifest.layers[i].digest))
				sum += b->image.manifest.layers[i].size_bytes;
		return sum;
	}
	for (size_t i = 0; i < d->count; i++)
		sum += d->items[i].after_bytes;
	return sum;
}

static int print_json(const struct oci_differences *d, uint64_t bytes, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_array(&w, "files");
	for (size_t i = 0; i < d->count; i++) {
		oci_json_object(&w, NULL);
		oci_json_put_text(&w, "change", oci_change_name(d->items[i].change));
		path_put(&w, "path", d->items[i].path);
		oci_json_put_u64(&w, "before", d->items[i].before_bytes);
		oci_json_put_u64(&w, "after", d->items[i].after_bytes);
		oci_json_close(&w);
	}
	oci_json_close(&w);
	oci_json_put_u64(&w, "bytesToGo", bytes);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static void print_text(const struct oci_differences *d)
{
	for (size_t i = 0; i < d->count; i++) {
		printf("%-8s %14" PRIu64 " %14" PRIu64 "  ", oci_change_name(d->items[i].change),
			d->items[i].before_bytes, d->items[i].after_bytes);
		path_print(stdout, d->items[i].path);
		putchar('\n');
	}
}

static int tell_difference(const struct oci_differences *d, uint64_t bytes, struct oci_error *err)
{
	char size[OCI_STR_SIZE_MAX];

	if (d->count == 0)
		return 0;
	return oci_fail(err, OCI_E_DIFFERENT, "%zu %s, %s to go", d->count,
		d->count == 1 ? "file differs" : "files differ", oci_str_size(bytes, size));
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct diff_flags *flags = inv->flags;
	OCI_CLEANUP(subject_clear) struct subject a = {0};
	OCI_CLEANUP(subject_clear) struct subject b = {0};
	OCI_CLEANUP(oci_differences_clear) struct oci_differences d = {0};
	uint64_t bytes;
	int rc;

	if (subject_open(&a, inv, &flags->registry, inv->operands[0], flags->platform, err) < 0 ||
		subject_open(&b, inv, &flags->registry, inv->operands[1], flags->platform, err) < 0 ||
		subject_list(&a, inv, b.is_dir, err) < 0 || subject_list(&b, inv, a.is_dir, err) < 0)
		return -1;
	if (a.is_dir != b.is_dir)
		rc = diff_tree(a.is_dir ? &a : &b, a.is_dir ? &b : &a, a.is_dir, inv, &d, err);
	else
		rc = diff_listings(&a, &b, inv, &d, err);
	if (rc < 0)
		return -1;
	bytes = bytes_to_go(&a, &b, &d);
	if (!flags->output.json)
		print_text(&d);
	else if (print_json(&d, bytes, err) < 0)
		return -1;
	return tell_difference(&d, bytes, err);
}

static const struct opt opts[] = {
	{OPT_TEXT(0, "platform", struct diff_flags, platform), .metavar = "OS/ARCH",
		.help = "which image of an index (this machine's, else ours)"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "A", .help = "an image or a directory", .min = 1, .max = 1},
	{.name = "B", .help = "an image or a directory", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	REGISTRY_GROUP(struct diff_flags, registry),
	OUTPUT_GROUP(struct diff_flags, output),
	{0},
};

static const struct example examples[] = {
	{"what an update would bring", "diff reg.example/m:v1 reg.example/m:v2"},
	{"what a directory has that the image has not", "diff reg.example/m:v1 /srv/model"},
	{0},
};

const struct command cmd_diff = {
	.name = "diff",
	.summary = "files added, removed and changed from A to B",
	.about = "Also says how many bytes have to move to get from A to B. Exit status 3 when there are differences.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(OCI_E_DIFFERENT, EXITS_CONTENT, EXITS_NETWORK, OCI_E_PERM, OCI_E_IO),
	.flags_size = sizeof(struct diff_flags),
	.run = run,
};
