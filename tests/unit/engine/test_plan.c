#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/plan.h"

struct sample {
	struct oci_dir dir;
	struct oci_plan plan;
};

static void add(struct sample *s, const char *path, uint64_t size_bytes)
{
	s->dir.files = reallocarray(s->dir.files, s->dir.count + 1, sizeof *s->dir.files);
	assert_non_null(s->dir.files);
	s->dir.files[s->dir.count++] = (struct oci_dir_file){.path = strdup(path), .size_bytes = size_bytes};
}

static void add_many(struct sample *s, const char *format, size_t count, uint64_t size_bytes)
{
	for (size_t i = 0; i < count; i++) {
		char path[128];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(path, sizeof path, format, i);
#pragma GCC diagnostic pop
		add(s, path, size_bytes);
	}
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct oci_dir_file *)a)->path, ((const struct oci_dir_file *)b)->path);
}

static int make(struct sample *s, size_t max_layers, bool raw, struct oci_error *err)
{
	const struct oci_plan_options options = {
		.root = raw ? "" : "models/", .raw = raw, .max_layers = max_layers};

	qsort(s->dir.files, s->dir.count, sizeof *s->dir.files, compare);
	return oci_plan_make(&s->dir, &options, &s->plan, err);
}

static void clear(struct sample *s)
{
	oci_plan_clear(&s->plan);
	for (size_t i = 0; i < s->dir.count; i++)
		free(s->dir.files[i].path);
	free(s->dir.files);
}

static const char *first_path(const struct sample *s, size_t layer)
{
	return s->plan.layers[layer].shape.files[0].path;
}

static void layers_stand_in_the_order_of_the_format(void **state)
{
	OCI_CLEANUP(clear) struct sample s = {0};

	add(&s, "README.md", 100);
	add(&s, "config.json", 100);
	add(&s, "model-1.safetensors", 10);
	add(&s, "model-2.safetensors", 5000000);
	add(&s, "run.py", 10);
	add(&s, "tokenizer.json", 2000000);
	assert_int_equal(make(&s, 119, false, NULL), 0);
	assert_int_equal(s.plan.count, 6);
	assert_string_equal(first_path(&s, 0), "model-1.safetensors");
	assert_string_equal(first_path(&s, 1), "model-2.safetensors");
	assert_string_equal(first_path(&s, 2), "README.md");
	assert_string_equal(first_path(&s, 3), "tokenizer.json");
	assert_string_equal(first_path(&s, 4), "config.json");
	assert_string_equal(first_path(&s, 5), "run.py");
}

static void every_file_is_in_exactly_one_layer(void **state)
{
	OCI_CLEANUP(clear) struct sample s = {0};
	oci_autofree bool *seen = NULL;

	add_many(&s, "data/%05zu.json", 3000, 1000);
	add_many(&s, "shards/model-%05zu.safetensors", 400, 4000000);
	add_many(&s, "docs/%zu/README.md", 500, 10);
	assert_int_equal(make(&s, 119, false, NULL), 0);
	assert_true(s.plan.count <= 119);
	seen = calloc(s.dir.count, sizeof *seen);
	for (size_t i = 0; i < s.plan.count; i++)
		for (size_t f = 0; f < s.plan.layers[i].shape.count; f++) {
			size_t file = s.plan.layers[i].files[f];

			assert_false(seen[file]);
			seen[file] = true;
			if (f > 0)
				assert_true(strcmp(s.plan.layers[i].shape.files[f - 1].path,
						    s.plan.layers[i].shape.files[f].path) < 0);
		}
	for (size_t i = 0; i < s.dir.count; i++)
		assert_true(seen[i]);
}

static bool has_layer_like(const struct oci_plan *plan, const struct oci_plan_layer *layer)
{
	for (size_t i = 0; i < plan->count; i++) {
		bool same = plan->layers[i].shape.count == layer->shape.count;

		for (size_t f = 0; same && f < layer->shape.count; f++)
			same = strcmp(plan->layers[i].shape.files[f].path, layer->shape.files[f].path) == 0;
		if (same)
			return true;
	}
	return false;
}

static void one_more_small_file_changes_one_layer(void **state)
{
	OCI_CLEANUP(clear) struct sample before = {0};
	OCI_CLEANUP(clear) struct sample after = {0};
	size_t changed = 0;

	add_many(&before, "data/%05zu.json", 300, 1000);
	add_many(&after, "data/%05zu.json", 301, 1000);
	assert_int_equal(make(&before, 119, false, NULL), 0);
	assert_int_equal(make(&after, 119, false, NULL), 0);
	assert_true(before.plan.count > 2);
	for (size_t i = 0; i < before.plan.count; i++)
		changed += !has_layer_like(&after.plan, &before.plan.layers[i]);
	assert_int_equal(changed, 1);
}

static void raw_files_stand_alone_until_the_cap(void **state)
{
	OCI_CLEANUP(clear) struct sample few = {0};
	OCI_CLEANUP(clear) struct sample many = {0};

	add_many(&few, "c%03zu.json", 100, 10);
	assert_int_equal(make(&few, 120, true, NULL), 0);
	assert_int_equal(few.plan.count, 100);
	assert_true(few.plan.layers[0].shape.raw);
	assert_int_equal(few.plan.layers[0].size_bytes, 10);
	add_many(&many, "c%03zu.json", 500, 10);
	assert_int_equal(make(&many, 120, true, NULL), 0);
	assert_true(many.plan.count <= 120);
	assert_false(many.plan.layers[0].shape.raw);
}

static void a_base_that_leaves_no_room_is_refused(void **state)
{
	OCI_CLEANUP(clear) struct sample s = {0};
	struct oci_error err = {0};

	add(&s, "README.md", 1);
	add(&s, "model.onnx", 1);
	assert_int_equal(make(&s, 1, false, &err), -1);
	assert_int_equal(err.code, OCI_E_UNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layers_stand_in_the_order_of_the_format),
		cmocka_unit_test(every_file_is_in_exactly_one_layer),
		cmocka_unit_test(one_more_small_file_changes_one_layer),
		cmocka_unit_test(raw_files_stand_alone_until_the_cap),
		cmocka_unit_test(a_base_that_leaves_no_room_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
