#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/version.h"

static void versions_may_have_a_v_and_fewer_numbers(void **state)
{
	static const char *const good[] = {"1", "v1", "1.2", "v1.2.3", "1.2.3-rc.1", "1.2.3+build.5", "1.2-rc1", "0.0.0"};
	static const char *const bad[] = {"", "v", "latest", "1.", "1..2", "1.2.3.4", "1.2.x", "1.2.3-", "1.2.3+", "x", "1 ",
		"-1", "1.2.3-a_b", "12345678901234567890"};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(oci_version_is(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(oci_version_is(bad[i]));
}

/* Each is below the next, names that are no versions first. */
static void versions_have_the_order_of_semantic_versioning(void **state)
{
	static const char *const rising[] = {"latest", "main-9", "main-10", "0.0.1-alpha", "0.9", "1.0.0-alpha",
		"1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0",
		"1.2.9", "1.2.10", "1.10", "v2", "10.0.0"};
	size_t count = sizeof rising / sizeof *rising;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count; j++) {
			int order = oci_version_compare(rising[i], rising[j]);

			if (i < j)
				assert_true(order < 0);
			else if (i > j)
				assert_true(order > 0);
			else
				assert_int_equal(order, 0);
		}
}

static void equal_versions_that_are_written_differently_still_have_an_order(void **state)
{
	assert_true(oci_version_compare("v1.2", "1.2.0") != 0);
	assert_int_equal(oci_version_compare("v1.2", "1.2.0") < 0, oci_version_compare("1.2.0", "v1.2") > 0);
	assert_true(oci_version_compare("1.0.0+a", "1.0.0+b") != 0);
}

static void a_range_takes_what_it_says(void **state)
{
	static const struct {
		const char *range, *version;
		bool fits;
	} cases[] = {
		{"1.2.3", "1.2.3", true}, {"1.2.3", "v1.2.3", true}, {"=1.2.3", "1.2.4", false},
		{"1.2", "1.2.9", true}, {"1.2", "1.3.0", false}, {"1.x", "1.9.9", true}, {"1.2.*", "1.2.0", true},
		{"1.x", "2.0.0", false}, {"*", "7.8.9", true}, {"*", "latest", false},
		{">=1.2 <2", "1.2.0", true}, {">=1.2 <2", "2.0.0", false}, {">=1.2, <2", "1.99", true},
		{">=1.2 <2", "1.1.9", false}, {">1.2", "1.2.5", false}, {">1.2", "1.3.0", true}, {">1.2.3", "1.2.4", true},
		{"<=1.2", "1.2.9", true}, {"<=1.2", "1.3", false}, {"<=1.2.3", "1.2.4", false},
		{"^1.2.3", "1.9.0", true}, {"^1.2.3", "1.2.2", false}, {"^1.2.3", "2.0.0", false},
		{"^0.2.3", "0.2.9", true}, {"^0.2.3", "0.3.0", false}, {"^0.0.3", "0.0.4", false}, {"^0", "0.9.9", true},
		{"~1.2.3", "1.2.9", true}, {"~1.2.3", "1.3.0", false}, {"~1", "1.9", true}, {"~1", "2", false},
		{"^1.4 || ~2.1.3", "2.1.4", true}, {"^1.4 || ~2.1.3", "2.2", false}, {"^1.4||~2.1.3", "1.5", true},
		{">=1.0.0", "1.1.0-rc.1", false}, {">=1.0.0-0", "1.1.0-rc.1", true}, {"<2.0.0", "2.0.0-rc.1", false},
		{">=2.0.0-rc.1 <3", "2.0.0-rc.2", true}, {"^2.0.0-rc.1", "2.0.0-beta", false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bool fits = !cases[i].fits;

		assert_int_equal(oci_version_match(cases[i].range, cases[i].version, &fits, NULL), 0);
		if (fits != cases[i].fits)
			fail_msg("%s in %s", cases[i].version, cases[i].range);
	}
}

static void what_is_no_range_is_refused_whatever_the_version(void **state)
{
	static const char *const bad[] = {"", " ", "||", "1 ||", "|| 1", "1 | 2", "abc", ">=", "1.2.3.4", ">=1 &&", "1.x.3",
		"1||", "><1", "1.2.3-"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct oci_error err = {0};
		bool fits;

		if (oci_version_match(bad[i], "latest", &fits, &err) == 0)
			fail_msg("'%s' was taken for a range", bad[i]);
		assert_int_equal(err.code, OCI_E_USAGE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_may_have_a_v_and_fewer_numbers),
		cmocka_unit_test(versions_have_the_order_of_semantic_versioning),
		cmocka_unit_test(equal_versions_that_are_written_differently_still_have_an_order),
		cmocka_unit_test(a_range_takes_what_it_says),
		cmocka_unit_test(what_is_no_range_is_refused_whatever_the_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
