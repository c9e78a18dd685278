#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../base/temp_dir.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "dest.h"

/* Where it leads, without the root; "" and the code where it is refused. */
static const char *resolve(void **state, const char *text, bool with_root, char out[256], enum oci_errc *code)
{
	const char *root = ((struct temp_dir *)*state)->path;
	struct dest_flags flags = {.pvc_root = with_root ? root : NULL};
	struct oci_error err = {0};
	oci_autofree char *path = dest_path(&flags, text, &err);

	*code = err.code;
	snprintf(out, 256, "%s", !path ? "" : oci_str_starts(path, root) ? path + strlen(root) : path);
	return out;
}

static int set_up(void **state)
{
	if (temp_dir_setup(state) < 0)
		return -1;
	put_dir(temp_dir_fd(state), "models");
	put_dir(temp_dir_fd(state), "models/there");
	put_dir(temp_dir_fd(state), "team");
	put_dir(temp_dir_fd(state), "team/models");
	put_link(temp_dir_fd(state), "models/current", "there");
	put_link(temp_dir_fd(state), "models/out", "/etc");
	put_link(temp_dir_fd(state), "linked", "models");
	put_file(temp_dir_fd(state), "models/file", "x");
	return 0;
}

static void a_claim_is_a_path_below_the_root(void **state)
{
	static const char *const cases[][2] = {
		{"pvc://models/there", "/models/there"},
		{"pvc://models/new/deep", "/models/new/deep"},
		{"pvc://models/there/", "/models/there"},
		{"pvc://models/current", "/models/current"},
		{"pvc://team:models/x", "/team/models/x"},
		{"/data/x", "/data/x"},
		{"../x", "../x"},
	};
	enum oci_errc code;
	char out[256];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_string_equal(resolve(state, cases[i][0], true, out, &code), cases[i][1]);
		assert_int_equal(code, OCI_OK);
	}
}

static void what_is_no_claim_or_leaves_it_is_refused(void **state)
{
	static const char *const bad[] = {"pvc://", "pvc://models", "pvc://models/", "pvc://models/../etc", "pvc:///x",
		"pvc://models//x", "pvc://models/./x", "pvc://Models/x", "pvc://a:b:c/x", "pvc://:models/x", "pvc://team:/x",
		"pvc://-a/x", "pvc://a_b/x", "pvc://te.am:models/x", "pvc://models/out/x", "pvc://models/out",
		"pvc://models/file/x", "pvc://linked/x"};
	enum oci_errc code;
	char out[256];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (*resolve(state, bad[i], true, out, &code))
			fail_msg("'%s' was taken for '%s'", bad[i], out);
		if (code != OCI_E_USAGE)
			fail_msg("'%s' is code %d", bad[i], (int)code);
	}
}

static void a_claim_that_is_not_mounted_is_not_found(void **state)
{
	enum oci_errc code;
	char out[256];

	assert_string_equal(resolve(state, "pvc://others/x", true, out, &code), "");
	assert_int_equal(code, OCI_E_NOT_FOUND);
}

static void without_a_root_there_is_no_claim(void **state)
{
	enum oci_errc code;
	char out[256];

	assert_string_equal(resolve(state, "pvc://models/there", false, out, &code), "");
	assert_int_equal(code, OCI_E_USAGE);
}

static void parents_are_made_through_links_and_only_they(void **state)
{
	oci_autofree char *path = oci_str_printf("%s/linked/a/b/c", ((struct temp_dir *)*state)->path);

	assert_int_equal(dest_make_parents(path, NULL), 0);
	assert_true(is_there(temp_dir_fd(state), "models/a/b"));
	assert_false(is_there(temp_dir_fd(state), "models/a/b/c"));
	assert_int_equal(dest_make_parents(path, NULL), 0);
	assert_int_equal(dest_make_parents("plain", NULL), 0);
	assert_int_equal(dest_make_parents("/", NULL), 0);
}

static void a_file_in_the_way_of_parents_is_an_error(void **state)
{
	oci_autofree char *path = oci_str_printf("%s/models/file/a/b", ((struct temp_dir *)*state)->path);

	assert_int_equal(dest_make_parents(path, NULL), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, temp_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_claim_is_a_path_below_the_root),
		TEST(what_is_no_claim_or_leaves_it_is_refused),
		TEST(a_claim_that_is_not_mounted_is_not_found),
		TEST(without_a_root_there_is_no_claim),
		TEST(parents_are_made_through_links_and_only_they),
		TEST(a_file_in_the_way_of_parents_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
