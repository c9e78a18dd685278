#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/tag_filter.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *const all[] = {"v1.0.0", "v1.10.0", "v1.2.0", "v2.0.0-rc.1", "latest", "main-12", "sha256-" HEX,
	"sha256-" HEX ".sig"};

/* What is chosen of `all`, with blanks between. */
static void assert_chosen(const struct oci_tag_filter *filter, const char *expected)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0}, chosen = {0};
	char text[256] = "";

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		assert_int_equal(oci_strings_add(&tags, all[i], NULL), 0);
	assert_int_equal(oci_tag_filter_apply(filter, &tags, &chosen, NULL), 0);
	for (size_t i = 0; i < chosen.count; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", chosen.items[i]);
	assert_string_equal(text, expected);
}

static struct oci_strings list_of(const char *a)
{
	struct oci_strings list = {0};

	assert_int_equal(oci_strings_add(&list, a, NULL), 0);
	return list;
}

static void without_conditions_all_are_chosen_but_those_of_referrers(void **state)
{
	const struct oci_tag_filter filter = {0};

	assert_chosen(&filter, "v2.0.0-rc.1 v1.10.0 v1.2.0 v1.0.0 main-12 latest");
}

static void globs_choose_and_leave_out(void **state)
{
	struct oci_tag_filter filter = {.include = list_of("v*"), .exclude = list_of("*-rc*")};

	assert_chosen(&filter, "v1.10.0 v1.2.0 v1.0.0");
	oci_strings_clear(&filter.include);
	oci_strings_clear(&filter.exclude);
}

static void a_regular_expression_matches_the_whole_tag(void **state)
{
	struct oci_tag_filter filter = {.regex = list_of("v1\\.[0-9]|latest")};

	assert_chosen(&filter, "latest");
	oci_strings_clear(&filter.regex);
}

static void the_newest_are_the_highest_versions(void **state)
{
	const struct oci_tag_filter filter = {.semver = ">=1", .newest = 2};

	assert_chosen(&filter, "v1.10.0 v1.2.0");
}

static void more_than_there_are_is_all(void **state)
{
	const struct oci_tag_filter filter = {.semver = "^1.2", .newest = 100};

	assert_chosen(&filter, "v1.10.0 v1.2.0");
}

static void what_is_no_pattern_is_refused(void **state)
{
	struct oci_tag_filter filter = {.regex = list_of("v(")};
	struct oci_error err = {0};

	assert_int_equal(oci_tag_filter_check(&filter, &err), -1);
	assert_int_equal(err.code, OCI_E_USAGE);
	oci_strings_clear(&filter.regex);
	filter.semver = ">=";
	err = (struct oci_error){0};
	assert_int_equal(oci_tag_filter_check(&filter, &err), -1);
	assert_int_equal(err.code, OCI_E_USAGE);
}

static void a_tag_made_of_a_digest_says_which(void **state)
{
	char subject[OCI_TAG_SUBJECT_MAX];

	assert_true(oci_tag_filter_subject("sha256-" HEX ".att", subject));
	assert_string_equal(subject, "sha256:" HEX);
	assert_false(oci_tag_filter_subject("sha256-" HEX "0", subject));
	assert_false(oci_tag_filter_subject("sha256-abc", subject));
	assert_false(oci_tag_filter_subject("v1", subject));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_conditions_all_are_chosen_but_those_of_referrers),
		cmocka_unit_test(globs_choose_and_leave_out),
		cmocka_unit_test(a_regular_expression_matches_the_whole_tag),
		cmocka_unit_test(the_newest_are_the_highest_versions),
		cmocka_unit_test(more_than_there_are_is_all),
		cmocka_unit_test(what_is_no_pattern_is_refused),
		cmocka_unit_test(a_tag_made_of_a_digest_says_which),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
