#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "engine/merge.h"

/* A layer that a test writes down: the first letter says what a name is. */
static struct oci_unpacked layer_of(const char *const *names)
{
	struct oci_unpacked u = {0};

	for (uint32_t n = 0; *names; names++, n++) {
		const char *name = *names + 1, *target = strchr(name, '>');
		oci_autofree char *path = strndup(name, target ? (size_t)(target - name) : strlen(name));
		struct oci_listing_file *file;

		if (**names == 'd')
			assert_int_equal(oci_strings_add(&u.dirs, path, NULL), 0);
		else if (**names == 'w')
			assert_int_equal(oci_strings_add(&u.whiteouts, path, NULL), 0);
		else if (**names == 'o')
			assert_int_equal(oci_strings_add(&u.opaques, path, NULL), 0);
		else if (**names == 's' || **names == 'h')
			assert_int_equal(oci_unpacked_add_link(&u, path, target + 1, **names == 's', NULL), 0);
		else {
			file = oci_listing_add(&u.files, path, NULL);
			assert_non_null(file);
			file->part.number = n;
		}
	}
	oci_listing_sort(&u.files);
	return u;
}

#define LAYERS_MAX 3

struct merged {
	struct oci_unpacked unpacked[LAYERS_MAX];
	struct oci_listing files;
	struct oci_strings dirs;
	enum oci_errc code;
};

static void clear(struct merged *m)
{
	for (size_t i = 0; i < LAYERS_MAX; i++)
		oci_unpacked_clear(&m->unpacked[i]);
	oci_listing_clear(&m->files);
	oci_strings_clear(&m->dirs);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct merged merge_all(bool exclusive, const char *const *a, const char *const *b, const char *const *c)
{
	const char *const *lists[] = {a, b, c};
	struct oci_merge_layer layers[LAYERS_MAX];
	struct merged m = {0};
	struct oci_error err = {0};

	for (uint32_t i = 0; i < LAYERS_MAX; i++) {
		if (lists[i])
			m.unpacked[i] = layer_of(lists[i]);
		for (size_t f = 0; f < m.unpacked[i].files.count; f++)
			m.unpacked[i].files.files[f].part.layer = i;
		layers[i] = (struct oci_merge_layer){&m.unpacked[i], exclusive};
	}
	(void)oci_merge(layers, LAYERS_MAX, "models/", &m.files, &m.dirs, &err);
	m.code = err.code;
	return m;
}

/* The tree: "path=layer.part", or "path>target", with blanks between. */
static void assert_tree(struct merged m, const char *want)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf got;

	oci_buf_init(&got, OCI_MIB);
	assert_int_equal(oci_buf_puts(&got, "", NULL), 0);
	for (size_t i = 0; i < m.files.count; i++) {
		const struct oci_listing_file *f = &m.files.files[i];

		if (f->link)
			oci_buf_printf(&got, NULL, "%s%s>%s", i ? " " : "", f->path, f->link);
		else
			oci_buf_printf(&got, NULL, "%s%s=%u.%u", i ? " " : "", f->path, f->part.layer, f->part.number);
	}
	assert_int_equal(m.code, OCI_OK);
	assert_string_equal(oci_buf_text(&got), want);
	clear(&m);
}

static void assert_code(struct merged m, enum oci_errc code)
{
	assert_int_equal(m.code, code);
	clear(&m);
}

static struct merged merge_link(const char *text)
{
	return merge_all(false, NAMES(text), NULL, NULL);
}

static void links_that_stay_in_the_tree_are_made(void **state)
{
	assert_tree(merge_link("sl>a"), "l>a");
	assert_tree(merge_link("sl>./a/./b"), "l>./a/./b");
	assert_tree(merge_link("sa/b/l>../../c/d"), "a/b/l>../../c/d");
	assert_tree(merge_link("sa/b/l>/models/c"), "a/b/l>../../c");
}

static void links_that_climb_out_are_refused(void **state)
{
	assert_code(merge_link("sl>../a"), OCI_E_FORMAT);
	assert_code(merge_link("sa/b/l>../../../c"), OCI_E_FORMAT);
	assert_code(merge_link("sl>/etc/passwd"), OCI_E_FORMAT);
	assert_code(merge_all(false, NAMES("sl>/etc"), NAMES("fl/evil"), NULL), OCI_E_FORMAT);
}

/* "a" may be a link to "x/y/z/..": what ".." leads to then is not to be seen from here. */
static void links_that_go_up_behind_a_name_are_refused(void **state)
{
	assert_code(merge_link("sl>a/.."), OCI_E_FORMAT);
	assert_code(merge_link("sd/l>../a/b/../c"), OCI_E_FORMAT);
	assert_code(merge_link("sl>/models/a/b/../c"), OCI_E_FORMAT);
}

static struct merged merge_files(const char *lower, const char *upper, bool exclusive)
{
	return merge_all(exclusive, NAMES(lower), NAMES(upper), NULL);
}

static void a_layer_of_an_image_replaces_what_lies_below(void **state)
{
	assert_tree(merge_files("fx", "fx", false), "x=1.0");
	assert_tree(merge_files("fx", "fx/y", false), "x/y=1.0");
	assert_tree(merge_files("fx/y", "fx", false), "x=1.0");
	assert_tree(merge_files("sx>y", "fx/y", false), "x/y=1.0");
	assert_tree(merge_files("fx", "dx", false), "");
	assert_tree(merge_files("fx", "sx>y", false), "x>y");
	assert_tree(merge_files("fx", "fx-y", false), "x=0.0 x-y=1.0");
}

static void what_is_whited_out_is_gone_and_what_comes_above_stays(void **state)
{
	assert_tree(merge_all(false, NAMES("fd/a", "fd/b", "fe"), NAMES("od", "fd/c", "we"), NAMES("fe")), "d/c=1.1 e=2.0");
	assert_tree(merge_all(false, NAMES("fa", "fb"), NAMES("o", "fc"), NULL), "c=1.1");
}

static void a_file_of_an_artifact_replaces_no_other(void **state)
{
	assert_tree(merge_files("fx", "fy", true), "x=0.0 y=1.0");
	assert_tree(merge_files("fd/x", "fd/y", true), "d/x=0.0 d/y=1.0");
	assert_code(merge_files("fx", "fx", true), OCI_E_FORMAT);
	assert_code(merge_files("fx", "fx/y", true), OCI_E_FORMAT);
	assert_code(merge_files("fx/y", "fx", true), OCI_E_FORMAT);
	assert_code(merge_files("dx", "fx", true), OCI_E_FORMAT);
}

static void a_layer_names_a_path_once(void **state)
{
	assert_code(merge_all(false, NAMES("fx", "fx"), NULL, NULL), OCI_E_FORMAT);
	assert_code(merge_all(false, NAMES("fx", "sx>y"), NULL, NULL), OCI_E_FORMAT);
	assert_code(merge_all(false, NAMES("sx>y", "hx>y"), NULL, NULL), OCI_E_FORMAT);
	assert_code(merge_all(false, NAMES("sx>y", "fx-a", "fx/z"), NULL, NULL), OCI_E_FORMAT);
	assert_code(merge_all(false, NAMES("fx", "dx"), NULL, NULL), OCI_E_FORMAT);
	assert_code(merge_all(false, NAMES("fx", "dx/y"), NULL, NULL), OCI_E_FORMAT);
	assert_code(merge_all(false, NAMES("dx", "dx", "fx/y"), NULL, NULL), OCI_OK);
}

static void a_hard_link_is_the_part_it_leads_to(void **state)
{
	assert_tree(merge_all(false, NAMES("fa", "hb>a"), NULL, NULL), "a=0.0 b=0.0");
	assert_tree(merge_all(false, NAMES("fa"), NAMES("hb>a"), NAMES("fa")), "a=2.0 b=0.0");
	assert_tree(merge_all(false, NAMES("fa"), NAMES("hb>a"), NAMES("hc>b", "wa")), "b=0.0 c=0.0");
	assert_tree(merge_all(false, NAMES("fa"), NAMES("fa"), NAMES("hb>a")), "a=1.0 b=1.0");
}

static void a_hard_link_to_no_file_is_refused(void **state)
{
	assert_code(merge_all(false, NAMES("hb>a"), NULL, NULL), OCI_E_FORMAT);
	assert_code(merge_all(false, NAMES("hb>a", "ha>b"), NULL, NULL), OCI_E_FORMAT);
	assert_code(merge_all(false, NAMES("fa"), NAMES("wa"), NAMES("hb>a")), OCI_E_FORMAT);
	assert_code(merge_all(false, NAMES("fa"), NAMES("wa", "hb>a"), NULL), OCI_E_FORMAT);
	assert_code(merge_all(false, NAMES("sa>c", "hb>a"), NULL, NULL), OCI_E_FORMAT);
}

static void directories_come_along_unless_they_are_replaced(void **state)
{
	struct merged m = merge_all(false, NAMES("da", "db", "dc", "fc/x"), NAMES("fa", "fc/y"), NAMES("wb"));

	assert_int_equal(m.dirs.count, 1);
	assert_string_equal(m.dirs.items[0], "c");
	clear(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_that_stay_in_the_tree_are_made),
		cmocka_unit_test(links_that_climb_out_are_refused),
		cmocka_unit_test(links_that_go_up_behind_a_name_are_refused),
		cmocka_unit_test(a_layer_of_an_image_replaces_what_lies_below),
		cmocka_unit_test(what_is_whited_out_is_gone_and_what_comes_above_stays),
		cmocka_unit_test(a_file_of_an_artifact_replaces_no_other),
		cmocka_unit_test(a_layer_names_a_path_once),
		cmocka_unit_test(a_hard_link_is_the_part_it_leads_to),
		cmocka_unit_test(a_hard_link_to_no_file_is_refused),
		cmocka_unit_test(directories_come_along_unless_they_are_replaced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
