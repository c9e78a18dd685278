#include "engine/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "core/digest.h"

enum class { CLASS_WEIGHTS, CLASS_DOCUMENT, CLASS_LARGE, CLASS_SMALL, CLASSES };

#define SMALL_PER_BUCKET 64
#define SMALL_BUCKETS_MAX 8
#define KINDS (OCI_KIND_OTHER + 1)

/* How many layers each class gets: 0 stands for one a file. */
struct shares {
	size_t buckets[CLASSES][KINDS];
	size_t files[CLASSES][KINDS];
};

static enum class classify(const struct oci_dir_file *file, enum oci_file_kind kind)
{
	const char *slash = strrchr(file->path, '/'), *name = slash ? slash + 1 : file->path;

	if (kind == OCI_KIND_WEIGHTS)
		return CLASS_WEIGHTS;
	if (strncasecmp(name, "readme", 6) == 0 || strncasecmp(name, "license", 7) == 0)
		return CLASS_DOCUMENT;
	return file->size_bytes >= OCI_PLAN_SMALL ? CLASS_LARGE : CLASS_SMALL;
}

static size_t power_of_two(size_t at_most)
{
	size_t power = 1;

	while (power * 2 <= at_most)
		power *= 2;
	return power;
}

static size_t class_layers(const struct shares *shares, enum class class)
{
	size_t sum = 0;

	for (int kind = 0; kind < KINDS; kind++) {
		size_t files = shares->files[class][kind], buckets = shares->buckets[class][kind];

		sum += buckets == 0 || files < buckets ? files : buckets;
	}
	return sum;
}

static size_t all_layers(const struct shares *shares)
{
	size_t sum = 0;

	for (int class = 0; class < CLASSES; class ++)
		sum += class_layers(shares, class);
	return sum;
}

static void set_class(struct shares *shares, enum class class, size_t buckets)
{
	for (int kind = 0; kind < KINDS; kind++)
		shares->buckets[class][kind] = buckets;
}

static void choose_small(struct shares *shares)
{
	for (int kind = 0; kind < KINDS; kind++) {
		size_t files = shares->files[CLASS_SMALL][kind], buckets = 1;

		while (buckets < SMALL_BUCKETS_MAX && files > buckets * SMALL_PER_BUCKET)
			buckets *= 2;
		shares->buckets[CLASS_SMALL][kind] = buckets;
	}
}

static int choose(struct shares *shares, const struct oci_plan_options *options, struct oci_error *err)
{
	size_t max_layers = options->max_layers, others;

	if (!options->raw || all_layers(shares) > max_layers)
		choose_small(shares);
	if (all_layers(shares) > max_layers)
		set_class(shares, CLASS_DOCUMENT, 1);
	if (all_layers(shares) > max_layers)
		set_class(shares, CLASS_LARGE, 4);
	if (all_layers(shares) > max_layers)
		set_class(shares, CLASS_SMALL, 1);
	others = all_layers(shares) - class_layers(shares, CLASS_WEIGHTS);
	if (others >= max_layers)
		return oci_fail(err, OCI_E_UNSUPPORTED,
			"the base image leaves room for %zu layers, too few for this model", max_layers);
	if (all_layers(shares) > max_layers)
		set_class(shares, CLASS_WEIGHTS, power_of_two(max_layers - others));
	return 0;
}

/* A file's place: layers are the runs of equal places after sorting. */
struct place {
	enum class class;
	enum oci_file_kind kind;
	size_t bucket; /* or the file's own number */
	bool shared;
	size_t file;
};

static size_t bucket_of(const char *path, size_t buckets)
{
	struct oci_digest digest;

	oci_digest_of(OCI_SHA256, path, strlen(path), &digest);
	return (((size_t)digest.bytes[0] << 8) | digest.bytes[1]) & (buckets - 1);
}

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	if (x->shared && x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->bucket != y->bucket)
		return x->bucket < y->bucket ? -1 : 1;
	return x->file < y->file ? -1 : x->file > y->file;
}

static bool same_layer(const struct place *a, const struct place *b)
{
	return a->shared && b->shared && a->class == b->class && a->kind == b->kind && a->bucket == b->bucket;
}

static struct place *place_files(const struct oci_dir *dir, const struct oci_plan *plan,
	const struct oci_plan_options *options, struct oci_error *err)
{
	struct place *places = calloc(dir->count, sizeof *places);
	struct shares shares = {0};

	if (!places) {
		oci_fail_nomem(err);
		return NULL;
	}
	for (size_t i = 0; i < dir->count; i++) {
		places[i].file = i;
		places[i].kind = oci_file_kind_of(dir->files[i].path);
		places[i].class = classify(&dir->files[i], places[i].kind);
		shares.files[places[i].class][places[i].kind]++;
	}
	if (choose(&shares, options, err) < 0) {
		free(places);
		return NULL;
	}
	for (size_t i = 0; i < dir->count; i++) {
		size_t buckets = shares.buckets[places[i].class][places[i].kind];

		places[i].shared = buckets > 0;
		places[i].bucket = buckets ? bucket_of(plan->paths[i], buckets) : i;
	}
	qsort(places, dir->count, sizeof *places, compare_places);
	return places;
}

static int fill_layer(struct oci_plan_layer *layer, const struct oci_dir *dir, const struct oci_plan *plan,
	const struct oci_plan_options *options, const struct place *places, size_t count, struct oci_error *err)
{
	layer->files = calloc(count, sizeof *layer->files);
	layer->shape_files = calloc(count, sizeof *layer->shape_files);
	if (!layer->files || !layer->shape_files)
		return oci_fail_nomem(err);
	layer->kind = places[0].kind;
	for (size_t i = 0; i < count; i++) {
		layer->files[i] = places[i].file;
		layer->shape_files[i].path = plan->paths[places[i].file];
		layer->shape_files[i].size_bytes = dir->files[places[i].file].size_bytes;
	}
	if (places[0].shared && count > 1)
		snprintf(layer->title, sizeof layer->title, "%s-%zu", oci_file_kind_name(layer->kind),
			places[0].bucket);
	layer->shape = (struct oci_layer_shape){.root = options->root,
		.raw = options->raw && count == 1,
		.files = layer->shape_files,
		.count = count};
	return oci_layer_measure(&layer->shape, &layer->size_bytes, &layer->start, err);
}

static int make_paths(const struct oci_dir *dir, const char *prefix, struct oci_plan *plan, struct oci_error *err)
{
	size_t len = prefix ? strlen(prefix) : 0;

	while (len > 0 && prefix[len - 1] == '/')
		len--;
	plan->prefix = len ? oci_str_printf("%.*s/", (int)len, prefix) : strdup("");
	plan->paths = calloc(dir->count + 1, sizeof *plan->paths);
	if (!plan->prefix || !plan->paths)
		return oci_fail_nomem(err);
	plan->path_count = dir->count;
	for (size_t i = 0; i < dir->count; i++) {
		plan->paths[i] = oci_str_printf("%s%s", plan->prefix, dir->files[i].path);
		if (!plan->paths[i])
			return oci_fail_nomem(err);
		if (!oci_fs_path_ok(plan->paths[i]))
			return oci_fail(err, OCI_E_USAGE, "path '%s' is not a plain relative path",
				plan->paths[i]);
	}
	return 0;
}

void oci_plan_clear(struct oci_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		free(plan->layers[i].files);
		free(plan->layers[i].shape_files);
	}
	for (size_t i = 0; i < plan->path_count; i++)
		free(plan->paths[i]);
	free(plan->paths);
	free(plan->layers);
	free(plan->prefix);
	*plan = (struct oci_plan){0};
}

int oci_plan_make(const struct oci_dir *dir, const struct oci_plan_options *options, struct oci_plan *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_plan_clear) struct oci_plan plan = {0};
	oci_autofree struct place *places = NULL;

	if (make_paths(dir, options->prefix, &plan, err) < 0)
		return -1;
	places = place_files(dir, &plan, options, err);
	if (!places)
		return -1;
	plan.layers = calloc(dir->count, sizeof *plan.layers);
	if (!plan.layers)
		return oci_fail_nomem(err);
	for (size_t first = 0, end; first < dir->count; first = end) {
		for (end = first + 1; end < dir->count && same_layer(&places[first], &places[end]); end++)
			;
		if (fill_layer(&plan.layers[plan.count++], dir, &plan, options, &places[first], end - first,
			    err) < 0)
			return -1;
	}
	*ret = plan;
	plan = (struct oci_plan){0};
	return 0;
}
