#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "common.h"
#include "engine/image.h"

#define REPORT_MAX (16 * OCI_MIB)

struct inspect_flags {
	const char *platform;
	bool raw, config;
	struct registry_flags registry;
	struct output_flags output;
};

static void put_annotations(struct oci_json_writer *w, const struct oci_annotations *a)
{
	if (a->count == 0)
		return;
	oci_json_object(w, "annotations");
	for (size_t i = 0; i < a->count; i++)
		oci_json_put_text(w, a->items[i].key, a->items[i].value);
	oci_json_close(w);
}

static void put_descriptor(struct oci_json_writer *w, const struct oci_descriptor *d)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_json_object(w, NULL);
	oci_json_put_text(w, "mediaType", d->media_type);
	oci_json_put_text(w, "artifactType", d->artifact_type);
	oci_json_put_text(w, "digest", oci_digest_format(&d->digest, digest));
	oci_json_put_u64(w, "size", d->size_bytes);
	if (d->platform.os && d->platform.architecture) {
		oci_json_put_text(w, "os", d->platform.os);
		oci_json_put_text(w, "architecture", d->platform.architecture);
	}
	put_annotations(w, &d->annotations);
	oci_json_close(w);
}

static void put_list(struct oci_json_writer *w, const char *key, const struct oci_descriptor *list, size_t count)
{
	oci_json_array(w, key);
	for (size_t i = 0; i < count; i++)
		put_descriptor(w, &list[i]);
	oci_json_close(w);
}

static int print_json(const struct oci_image *image, const struct oci_manifest *index, const char *reference,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "reference", reference);
	oci_json_put_text(&w, "digest", oci_digest_format(&image->root.digest, digest));
	oci_json_put_text(&w, "mediaType", image->root.media_type);
	if (index->is_index)
		put_list(&w, "manifests", index->manifests, index->manifest_count);
	oci_json_put_text(&w, "manifest", oci_digest_format(&image->descriptor.digest, digest));
	oci_json_put_text(&w, "artifactType", image->manifest.artifact_type);
	oci_json_put_bool(&w, "indexed", image->has_index);
	put_annotations(&w, &image->manifest.annotations);
	put_list(&w, "layers", image->manifest.layers, image->manifest.layer_count);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static void print_entry(const struct oci_descriptor *d, const char *what)
{
	char digest[OCI_DIGEST_TEXT_MAX], size[OCI_STR_SIZE_MAX], shown[OCI_STR_ESCAPE_MAX];

	printf("  %.19s %12s  %s\n", oci_digest_format(&d->digest, digest), oci_str_size(d->size_bytes, size),
		oci_str_escape(what, shown));
}

static const char *layer_name(const struct oci_image *image, size_t i)
{
	const struct oci_annotations *a = &image->manifest.layers[i].annotations;
	const char *path = oci_annotations_get(a, "io.modelcar.file.path");
	const char *title = oci_annotations_get(a, "org.opencontainers.image.title");
	const char *kind = oci_annotations_get(a, OCI_ANNOTATION_KIND);

	if (image->layers[i].path)
		return image->layers[i].path;
	return path ? path : title ? title : kind ? kind : image->manifest.layers[i].media_type;
}

static void print_platforms(const struct oci_manifest *index)
{
	printf("manifests:\n");
	for (size_t i = 0; i < index->manifest_count; i++) {
		const struct oci_descriptor *d = &index->manifests[i];
		const char *kind = oci_annotations_get(&d->annotations, OCI_ANNOTATION_KIND);
		oci_autofree char *platform = d->platform.os && d->platform.architecture
			? oci_str_printf("%s/%s %s", d->platform.os, d->platform.architecture,
				  kind ? kind : d->artifact_type ? d->artifact_type : "")
			: NULL;

		print_entry(d, platform ? platform : d->media_type);
	}
}

static void print_text(const struct oci_image *image, const struct oci_manifest *index, const char *reference)
{
	char digest[OCI_DIGEST_TEXT_MAX], key[OCI_STR_ESCAPE_MAX], value[OCI_STR_ESCAPE_MAX];
	char size[OCI_STR_SIZE_MAX];
	uint64_t total = 0;

	printf("reference: %s\n", reference);
	printf("type:      %s\n", oci_str_escape(image->root.media_type, value));
	if (index->is_index)
		print_platforms(index);
	printf("manifest:  %s%s\n", oci_digest_format(&image->descriptor.digest, digest),
		image->has_index ? " (with checkpoints for every 4 MiB)" : "");
	for (size_t i = 0; i < image->manifest.annotations.count; i++)
		printf("  %s: %s\n", oci_str_escape(image->manifest.annotations.items[i].key, key),
			oci_str_escape(image->manifest.annotations.items[i].value, value));
	printf("layers:\n");
	for (size_t i = 0; i < image->manifest.layer_count; i++) {
		print_entry(&image->manifest.layers[i], layer_name(image, i));
		total += image->manifest.layers[i].size_bytes;
	}
	printf("total:     %s in %zu layers\n", oci_str_size(total, size), image->manifest.layer_count);
}

/* The exact bytes, so that they can be hashed. */
static int print_raw(struct oci_store *store, const struct oci_descriptor *d, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, OCI_MANIFEST_MAX);
	if (oci_store_read(store, d, &buf, err) < 0)
		return -1;
	fwrite(buf.data, 1, buf.len, stdout);
	return 0;
}

static int print_image(const struct invocation *inv, struct oci_store *store, const struct oci_reference *ref,
	const struct oci_image *image, struct oci_error *err)
{
	const struct inspect_flags *flags = inv->flags;
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest root = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, 64 * OCI_KIB);
	if (flags->config)
		return print_raw(store, &image->manifest.config, err);
	if (flags->raw)
		return print_raw(store, flags->platform ? &image->descriptor : &image->root, err);
	if (oci_image_read_manifest(store, &image->root, &root, err) < 0 ||
		oci_reference_format_pinned(ref, &image->root.digest, &text, err) < 0)
		return -1;
	if (flags->output.json)
		return print_json(image, &root, oci_buf_text(&text), err);
	print_text(image, &root, oci_buf_text(&text));
	return 0;
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct inspect_flags *flags = inv->flags;
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	OCI_CLEANUP(oci_platform_clear) struct oci_platform platform = {0};
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = NULL;
	OCI_CLEANUP(oci_image_clear) struct oci_image image = {0};
	char name[OCI_DIGEST_TEXT_MAX];

	if (flags->platform && oci_platform_parse(flags->platform, &platform, err) < 0)
		return -1;
	store = common_store_open(inv, &flags->registry, inv->operands[0], OCI_STORE_READ, &ref, err);
	if (!store || oci_image_open(store, oci_image_name(&ref, name), flags->platform ? &platform : NULL, &image,
			      err) < 0)
		return -1;
	return print_image(inv, store, &ref, &image, err);
}

static const struct opt opts[] = {
	{OPT_TEXT(0, "platform", struct inspect_flags, platform), .metavar = "OS/ARCH",
		.help = "which image of an index (this machine's, else ours)"},
	{OPT_FLAG(0, "raw", struct inspect_flags, raw), .help = "the manifest's exact bytes"},
	{OPT_FLAG(0, "config", struct inspect_flags, config), .help = "the config's exact bytes"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "REF", .help = "the image", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	REGISTRY_GROUP(struct inspect_flags, registry),
	OUTPUT_GROUP(struct inspect_flags, output),
	{0},
};

static const struct example examples[] = {
	{"what an image is made of", "inspect reg.example/models/qwen2:0.5b"},
	{"the digest of what a tag names", "inspect --raw oci:./store:v1 | sha256sum"},
	{0},
};

const struct command cmd_inspect = {
	.name = "inspect",
	.summary = "show the manifests, annotations and layers of an image",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(EXITS_CONTENT, EXITS_NETWORK, OCI_E_PERM, OCI_E_IO),
	.flags_size = sizeof(struct inspect_flags),
	.run = run,
};
