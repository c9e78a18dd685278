#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "engine/cover.h"

struct layer {
	struct oci_unpacked unpacked;
	struct oci_cover cover;
};

static void add_link(struct oci_unpacked *u, const char *path)
{
	u->links = reallocarray(u->links, u->link_count + 1, sizeof *u->links);
	assert_non_null(u->links);
	u->links[u->link_count++] = (struct oci_unpack_link){strdup(path), strdup("target"), .symbolic = true};
}

/* A layer with a file, a whiteout, an opaque directory and two links, the later name first. */
static int set_up(void **state)
{
	struct layer *layer = calloc(1, sizeof *layer);
	struct oci_unpacked *u = &layer->unpacked;

	assert_non_null(layer);
	assert_non_null(oci_listing_add(&u->files, "file", NULL));
	assert_int_equal(oci_strings_add(&u->whiteouts, "dir/gone", NULL), 0);
	assert_int_equal(oci_strings_add(&u->opaques, "opaque", NULL), 0);
	assert_int_equal(oci_strings_add(&u->dirs, "empty", NULL), 0);
	add_link(u, "z/link");
	add_link(u, "link");
	*state = layer;
	return oci_cover_init(&layer->cover, u, NULL);
}

static int tear_down(void **state)
{
	struct layer *layer = *state;

	oci_cover_clear(&layer->cover);
	oci_unpacked_clear(&layer->unpacked);
	free(layer);
	return 0;
}

static bool hides(void **state, const char *path)
{
	return oci_cover_hides(&((struct layer *)*state)->cover, path);
}

static void a_layer_hides_the_paths_that_it_names(void **state)
{
	assert_true(hides(state, "file"));
	assert_true(hides(state, "link"));
	assert_true(hides(state, "z/link"));
	assert_true(hides(state, "dir/gone"));
}

static void a_layer_hides_what_lies_below_them(void **state)
{
	assert_true(hides(state, "file/below"));
	assert_true(hides(state, "opaque/a/b"));
	assert_true(hides(state, "dir/gone/a"));
	assert_true(hides(state, "z/link/a"));
}

static void a_layer_leaves_alone_what_only_looks_alike(void **state)
{
	assert_false(hides(state, "files"));
	assert_false(hides(state, "fil"));
	assert_false(hides(state, "dir"));
	assert_false(hides(state, "dir/gone2"));
	assert_false(hides(state, "z/lin"));
	assert_false(hides(state, "opaque2/a"));
}

/* A directory of that name needs the place of a file, not that of a directory. */
static void a_layer_hides_files_where_it_needs_directories(void **state)
{
	const struct oci_cover *cover = &((struct layer *)*state)->cover;

	assert_true(hides(state, "z"));
	assert_false(oci_cover_hides_dir(cover, "z"));
	assert_true(hides(state, "empty"));
	assert_false(oci_cover_hides_dir(cover, "empty"));
	assert_true(oci_cover_hides_dir(cover, "file"));
	assert_true(oci_cover_hides_dir(cover, "dir/gone"));
}

static void an_opaque_root_hides_everything(void **state)
{
	struct oci_unpacked layer = {0};
	struct oci_cover cover = {0};

	assert_int_equal(oci_strings_add(&layer.opaques, "", NULL), 0);
	assert_int_equal(oci_cover_init(&cover, &layer, NULL), 0);
	assert_true(oci_cover_hides(&cover, "any/thing"));
	oci_cover_clear(&cover);
	oci_unpacked_clear(&layer);
}

static void links_are_found_by_path(void **state)
{
	const struct layer *layer = *state;

	assert_string_equal(oci_cover_link(&layer->cover, "link")->path, "link");
	assert_string_equal(oci_cover_link(&layer->cover, "z/link")->path, "z/link");
	assert_null(oci_cover_link(&layer->cover, "file"));
}

#define ON_LAYER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LAYER(a_layer_hides_the_paths_that_it_names),
		ON_LAYER(a_layer_hides_what_lies_below_them),
		ON_LAYER(a_layer_leaves_alone_what_only_looks_alike),
		ON_LAYER(a_layer_hides_files_where_it_needs_directories),
		cmocka_unit_test(an_opaque_root_hides_everything),
		ON_LAYER(links_are_found_by_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
