/* Between the passes: the index layer, what each layer says of itself, and
 * the documents. */
#include "engine/pack_job.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/mediatype.h"

#define PARAMETERS "io.modelcar.model.parameters"

static int compare_index_files(const void *a, const void *b)
{
	const struct oci_block_index_file *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static int index_files(const struct pack_job *job, size_t i, struct oci_block_index_file *files, struct oci_error *err)
{
	const struct oci_plan_layer *layer = &job->plan.layers[i];
	OCI_CLEANUP(oci_layer_walk_clear) struct oci_layer_walk walk;
	struct oci_layer_segment segment;
	int rc;

	oci_layer_walk_init(&walk, &layer->shape);
	while ((rc = oci_layer_walk_next(&walk, &segment, err)) > 0)
		if (!segment.bytes)
			files[segment.file].offset = segment.offset;
	for (size_t f = 0; f < layer->shape.count; f++) {
		files[f].path = (char *)layer->shape.files[f].path;
		files[f].size_bytes = layer->shape.files[f].size_bytes;
		files[f].digest = job->digests[layer->files[f]];
	}
	return rc;
}

static int add_indexed(struct pack_job *job, size_t i, struct oci_error *err)
{
	const struct oci_plan_layer *layer = &job->plan.layers[i];
	const struct pack_layer *result = &job->layers[i];
	const struct oci_block_index_layer entry = {
		.digest = result->digest, .size_bytes = layer->size_bytes, .start = layer->start};
	oci_autofree struct oci_block_index_file *files = calloc(layer->shape.count, sizeof *files);

	if (!files)
		return oci_fail_nomem(err);
	if (index_files(job, i, files, err) < 0)
		return -1;
	return oci_block_index_add_layer(&job->index, &entry, files, layer->shape.count, result->tape.chains.data, err);
}

/* Two paths of which one is a directory in the other. */
static bool clash(const char *a, const char *b)
{
	size_t len = strlen(a) < strlen(b) ? strlen(a) : strlen(b);

	return strncmp(a, b, len) == 0 && (a[len] == '/' || b[len] == '/');
}

static int check_clashes(const struct oci_block_index *index, struct oci_error *err)
{
	oci_autofree struct oci_block_index_file *sorted = calloc(index->file_count + 1, sizeof *sorted);

	if (!sorted)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < index->file_count; i++)
		sorted[i] = index->files[i];
	qsort(sorted, index->file_count, sizeof *sorted, compare_index_files);
	for (size_t i = 1; i < index->file_count; i++)
		if (clash(sorted[i - 1].path, sorted[i].path))
			return oci_fail(err, OCI_E_SOURCE,
				"'%s' is a file and '%s' lies below it; use another --prefix", sorted[i - 1].path,
				sorted[i].path);
	return 0;
}

static int make_index(struct pack_job *job, struct oci_error *err)
{
	if (job->base.has_index) {
		job->index = job->base.index;
		job->base.index = (struct oci_block_index){0};
	}
	for (size_t i = 0; i < job->plan.count; i++)
		if (add_indexed(job, i, err) < 0)
			return -1;
	if (check_clashes(&job->index, err) < 0)
		return -1;
	oci_buf_init(&job->index_bytes, OCI_BLOCK_INDEX_MAX);
	return oci_block_index_format(&job->index, &job->index_bytes, err);
}

static int set_joined(struct oci_annotations *a, const char *key, const char *prefix, const char *value,
	struct oci_error *err)
{
	oci_autofree char *text = oci_str_printf("%s%s", prefix, value);

	if (!text)
		return oci_fail_nomem(err);
	return oci_annotations_set(a, key, text, err);
}

static int set_number(struct oci_annotations *a, const char *key, uint64_t value, struct oci_error *err)
{
	oci_autofree char *text = oci_str_printf("%llu", (unsigned long long)value);

	if (!text)
		return oci_fail_nomem(err);
	return oci_annotations_set(a, key, text, err);
}

/* A layer of one file says which, for olot's readers and for ours. */
static int annotate_file(const struct pack_job *job, const struct oci_plan_layer *layer,
	struct oci_annotations *a, struct oci_error *err)
{
	const struct oci_layer_file *file = &layer->shape.files[0];
	const struct oci_digest *digest = &job->digests[layer->files[0]];
	const char *slash = strrchr(file->path, '/'), *name = slash ? slash + 1 : file->path;
	char text[OCI_DIGEST_TEXT_MAX];

	if (oci_annotations_set(a, "org.opencontainers.image.title", name, err) < 0 ||
		oci_annotations_set(a, "olot.layer.content.name", name, err) < 0 ||
		oci_annotations_set(a, "olot.layer.content.type", "file", err) < 0 ||
		set_joined(a, "olot.layer.content.inlayerpath", "/" OCI_MODEL_ROOT, file->path, err) < 0 ||
		oci_annotations_set(a, "io.modelcar.file.path", file->path, err) < 0 ||
		set_number(a, "io.modelcar.file.size", file->size_bytes, err) < 0 ||
		set_number(a, "io.modelcar.file.offset", layer->start, err) < 0)
		return -1;
	if (!digest->alg)
		return 0;
	if (oci_annotations_set(a, "olot.layer.content.digest", oci_digest_hex(digest, text), err) < 0)
		return -1;
	return oci_annotations_set(a, "io.modelcar.file.digest", oci_digest_format(digest, text), err);
}

static int describe_layer(struct pack_job *job, size_t i, struct oci_error *err)
{
	const struct oci_plan_layer *layer = &job->plan.layers[i];
	struct oci_compose_layer *own = &job->own[i];
	struct oci_descriptor *d = &own->descriptor;
	const char *kind = oci_file_kind_name(layer->kind);
	bool alone = layer->title[0] == '\0';

	job->layers[i].title = strdup(alone ? layer->shape.files[0].path : layer->title);
	job->layers[i].history = oci_str_printf("modelcar: %s %s", kind,
		alone ? layer->shape.files[0].path : layer->title);
	if (!job->layers[i].title || !job->layers[i].history)
		return oci_fail_nomem(err);
	*own = (struct oci_compose_layer){.diff_id = job->layers[i].digest,
		.history = job->layers[i].history,
		.kind = layer->kind,
		.path = alone ? layer->shape.files[0].path : NULL,
		.file_size_bytes = layer->shape.files[0].size_bytes};
	d->digest = job->layers[i].digest;
	d->size_bytes = layer->size_bytes;
	if (oci_str_set(&d->media_type, layer->shape.raw ? "application/octet-stream" : OCI_MT_LAYER_TAR, err) < 0 ||
		oci_annotations_set(&d->annotations, OCI_ANNOTATION_KIND, kind, err) < 0)
		return -1;
	if (alone && annotate_file(job, layer, &d->annotations, err) < 0)
		return -1;
	if (!alone && oci_annotations_set(&d->annotations, "org.opencontainers.image.title", layer->title, err) < 0)
		return -1;
	oci_annotations_sort(&d->annotations);
	return 0;
}

static int describe_index(struct pack_job *job, struct oci_error *err)
{
	struct oci_compose_layer *own = &job->own[job->plan.count];

	*own = (struct oci_compose_layer){.history = "modelcar: index", .index = true};
	if (oci_descriptor_of(OCI_MT_LAYER_TAR, job->index_bytes.data, job->index_bytes.len, &own->descriptor, err) < 0)
		return -1;
	own->diff_id = own->descriptor.digest;
	return oci_annotations_set(&own->descriptor.annotations, OCI_ANNOTATION_KIND, "index", err);
}

/* What of a base image in our format describes its model. */
static int annotate_from_base(struct pack_job *job, struct oci_error *err)
{
	static const char *const others[] = {"org.opencontainers.image.title", "org.opencontainers.image.licenses",
		"org.opencontainers.image.source"};
	struct oci_annotations *from = &job->base.annotations;

	for (size_t i = 0; i < from->count; i++)
		if (oci_str_starts(from->items[i].key, "io.modelcar.model.") &&
			oci_annotations_set(&job->annotations, from->items[i].key, from->items[i].value, err) < 0)
			return -1;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		const char *value = oci_annotations_get(from, others[i]);

		if (value && oci_annotations_set(&job->annotations, others[i], value, err) < 0)
			return -1;
	}
	return 0;
}

/* Of a model and its base: what was put on top of a known model tells of
 * itself, not of the whole, unless it stands at the root. */
static bool is_known(const struct pack_job *job, const char *key)
{
	const char *prefix = job->options->prefix;

	return (prefix && *prefix && oci_annotations_get(&job->base.annotations, key)) ||
		(strcmp(key, "io.modelcar.model.layout") == 0 && job->info.layout == OCI_MODEL_PLAIN &&
			oci_annotations_get(&job->annotations, key));
}

/* What the base says, what the model says of itself, then what the user says. */
static int annotate_image(struct pack_job *job, struct oci_error *err)
{
	const struct oci_model_info *info = &job->info;
	const struct {
		const char *key, *value;
	} known[] = {
		{"io.modelcar.layout.version", pack_is_image(job) ? "1" : NULL},
		{"org.opencontainers.image.title", info->name},
		{"org.opencontainers.image.licenses", info->license},
		{"org.opencontainers.image.source", info->source_url},
		{"io.modelcar.model.layout", oci_model_layout_name(info->layout)},
		{"io.modelcar.model.architecture", info->architecture},
		{"io.modelcar.model.format", info->format},
		{"io.modelcar.model.precision", info->precision},
	};
	struct oci_annotations *a = &job->annotations;
	char digest[OCI_DIGEST_TEXT_MAX];

	if (annotate_from_base(job, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].value && !is_known(job, known[i].key) &&
			oci_annotations_set(a, known[i].key, known[i].value, err) < 0)
			return -1;
	if (info->parameters && !is_known(job, PARAMETERS) && set_number(a, PARAMETERS, info->parameters, err) < 0)
		return -1;
	if (job->base_store && oci_annotations_set(a, "org.opencontainers.image.base.digest",
				       oci_digest_format(&job->base.root.digest, digest), err) < 0)
		return -1;
	if (job->options->annotations && oci_annotations_copy(a, job->options->annotations, err) < 0)
		return -1;
	oci_annotations_sort(a);
	return 0;
}

/* The base's layers and then our own, a platform each; only pointers are shared. */
static int make_stacks(struct pack_job *job, struct oci_error *err)
{
	job->stacks = calloc(job->platform_count + 1, sizeof *job->stacks);
	job->stack_counts = calloc(job->platform_count + 1, sizeof *job->stack_counts);
	if (!job->stacks || !job->stack_counts)
		return oci_fail_nomem(err);
	for (size_t p = 0; p < job->platform_count; p++) {
		const struct oci_base_platform *base = job->base_store ? &job->base.platforms[p] : NULL;
		size_t below = base ? base->count : 0;

		job->stacks[p] = calloc(below + job->own_count, sizeof **job->stacks);
		if (!job->stacks[p])
			return oci_fail_nomem(err);
		for (size_t i = 0; i < below; i++)
			job->stacks[p][i] = base->layers[i];
		for (size_t i = 0; i < job->own_count; i++)
			job->stacks[p][below + i] = job->own[i];
		job->stack_counts[p] = below + job->own_count;
	}
	return 0;
}

static int compose(struct pack_job *job, struct oci_error *err)
{
	oci_autofree struct oci_strings *env = calloc(job->platform_count + 1, sizeof *env);
	const struct oci_compose_options options = {
		.single = job->options->single,
		.modelpack = job->options->modelpack,
		.modelpack_only = !pack_is_image(job),
		.platforms = job->platforms,
		.platform_count = job->platform_count,
		.env = job->base_store ? env : NULL,
		.annotations = &job->annotations,
		.info = &job->info,
		.created = job->created,
	};

	if (!env)
		return oci_fail_nomem(err);
	for (size_t p = 0; job->base_store && p < job->platform_count; p++)
		env[p] = job->base.platforms[p].env; /* borrowed */
	return oci_compose(job->stacks, job->stack_counts, &options, &job->documents, err);
}

int pack_describe(struct pack_job *job, struct oci_error *err)
{
	job->own_count = job->plan.count + (pack_is_image(job) ? 1 : 0);
	job->own = calloc(job->own_count + 1, sizeof *job->own);
	if (!job->own)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < job->plan.count; i++)
		if (describe_layer(job, i, err) < 0)
			return -1;
	if (pack_is_image(job) && (make_index(job, err) < 0 || describe_index(job, err) < 0))
		return -1;
	if (annotate_image(job, err) < 0 || make_stacks(job, err) < 0)
		return -1;
	return compose(job, err);
}
