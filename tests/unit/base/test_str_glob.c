#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/str.h"

struct pair {
	const char *pattern;
	const char *path;
};

static void expect(const struct pair *pairs, size_t count, bool matches)
{
	for (size_t i = 0; i < count; i++) {
		if (oci_str_glob(pairs[i].pattern, pairs[i].path) != matches)
			fail_msg("'%s' and '%s'", pairs[i].pattern, pairs[i].path);
	}
}

#define MATCH(pairs) expect(pairs, sizeof pairs / sizeof pairs[0], true)
#define NO_MATCH(pairs) expect(pairs, sizeof pairs / sizeof pairs[0], false)

static void a_pattern_without_slash_is_tried_on_the_last_component(void **state)
{
	static const struct pair yes[] = {
		{"*.bin", "a.bin"}, {"*.bin", "x/y/a.bin"}, {"a", "x/a"}, {"*", "x/y"},
		{"**", "x/y"}, {"", ""},
	};
	static const struct pair no[] = {
		{"*.bin", "a.bin/x"}, {"a", "a/x"}, {"a", "xa"}, {"a", "ax"}, {"a", ""},
	};

	MATCH(yes);
	NO_MATCH(no);
}

static void a_pattern_with_slash_is_tied_to_the_top(void **state)
{
	static const struct pair yes[] = {
		{"/a", "a"}, {"x/*.bin", "x/a.bin"}, {"x/y", "x/y"}, {"/*/b", "a/b"},
	};
	static const struct pair no[] = {
		{"/a", "x/a"}, {"x/*.bin", "y/x/a.bin"}, {"x/*.bin", "x/y/a.bin"},
		{"x/y", "x/y/z"},
	};

	MATCH(yes);
	NO_MATCH(no);
}

static void one_star_and_question_mark_stop_at_a_slash(void **state)
{
	static const struct pair yes[] = {
		{"/a*c", "abbc"}, {"/a*c", "ac"}, {"a?c", "abc"}, {"a/*", "a/"},
		{"*a*b*c*", "xxaxxbxxc"}, {"/*a/*b*", "aa/bb"}, {"*ab", "aab"}, {"*aab", "aaaab"},
		{"a*b?d", "abxbbcd"},
	};
	static const struct pair no[] = {
		{"/a*c", "a/c"}, {"/a?c", "a/c"}, {"a?c", "ac"}, {"a*b?d", "abxbbc"},
		{"/*", "a/b"}, {"/*/*", "a/b/c"},
	};

	MATCH(yes);
	NO_MATCH(no);
}

static void two_stars_pass_slashes(void **state)
{
	static const struct pair yes[] = {
		{"a/**", "a/b/c"}, {"a/**/z", "a/z"}, {"a/**/z", "a/b/z"}, {"a/**/z", "a/b/c/z"},
		{"**/z", "z"}, {"**/z", "a/b/z"}, {"**/a/*.bin", "x/a/y/a/b.bin"},
		{"/a**z", "ab/cz"}, {"a/**/b/**/c", "a/b/c"}, {"a/**/b/**/c", "a/x/b/y/b/z/c"},
		{"**/*a*/b", "x/ya/za/b"}, {"/**", "a/b"}, {"**/**/a", "a"}, {"/*x**a*", "xbaxb"},
		{"x/**/*.json", "x/a/b.json"}, {"/**a", "b/c/da"},
	};
	static const struct pair no[] = {
		{"a/**", "a"}, {"a/**", "b/a/c"}, {"a/**/z", "az"}, {"a/**/z", "a/bz"},
		{"**/z", "az"}, {"**/z", "z/a"}, {"a/**/b/**/c", "a/b/x"},
		{"**/a/*.bin", "x/a/y/b.bin"},
	};

	MATCH(yes);
	NO_MATCH(no);
}

static void classes_match_one_byte(void **state)
{
	static const struct pair yes[] = {
		{"[abc]", "b"}, {"[a-c]x", "bx"}, {"[!a-c]", "d"}, {"[^a-c]", "d"}, {"[]]", "]"},
		{"[!]]", "a"}, {"[a-]", "-"}, {"[-a]", "-"}, {"[a-cx-z]", "y"}, {"[", "["},
		{"[ab", "[ab"}, {"*[0-9]", "ab7"},
	};
	static const struct pair no[] = {
		{"[abc]", "d"}, {"[a-c]", "d"}, {"[!a-c]", "b"}, {"[a-c]", ""}, {"[]]", "a"},
		{"/a[!b]c", "a/c"}, {"/a[.-0]c", "a/c"}, {"[z-a]", "b"}, {"*[0-9]", "ab"},
	};

	MATCH(yes);
	NO_MATCH(no);
}

static void a_backslash_takes_the_next_byte_as_it_is(void **state)
{
	static const struct pair yes[] = {
		{"\\*", "*"}, {"a\\?", "a?"}, {"\\[a]", "[a]"}, {"\\\\", "\\"}, {"a\\", "a\\"},
	};
	static const struct pair no[] = {
		{"\\*", "a"}, {"a\\?", "ab"}, {"\\[a]", "a"},
	};

	MATCH(yes);
	NO_MATCH(no);
}

static void a_slash_at_the_end_means_a_directory_and_all_below(void **state)
{
	static const struct pair yes[] = {
		{"a/", "a/"}, {"a/", "a/b"}, {"a/", "a/b/c"}, {"a/", "x/a/b"}, {"*.d/", "x/y.d/z"},
		{"/a/", "a/b"}, {"x/a/", "x/a/b"}, {"**/a/", "x/a/b"}, {"x/*/", "x/y/z"},
	};
	static const struct pair no[] = {
		{"a/", "a"}, {"a/", "x/a"}, {"a/", "ab/c"}, {"/a/", "x/a/b"}, {"x/a/", "y/x/a/b"},
		{"*.d/", "y.d"},
	};

	MATCH(yes);
	NO_MATCH(no);
}

static void a_directory_that_matches_takes_all_below_it(void **state)
{
	static const struct pair yes[] = {
		{"onnx", "onnx/a"}, {"onnx", "x/onnx/y/a"}, {"a/*", "a/1/model"}, {"*/1", "a/1/x/y"}, {"/a", "a/b"},
		{"a", "a"}, {"a/", "a/b"}, {"*.d", "x.d/y"},
	};
	static const struct pair no[] = {{"/a", "x/a/b"}, {"a/1", "a/12/b"}, {"onnx", "onnx2/a"}, {"a/", "a"}};

	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
		if (!oci_str_glob_within(yes[i].pattern, yes[i].path))
			fail_msg("'%s' and '%s'", yes[i].pattern, yes[i].path);
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		if (oci_str_glob_within(no[i].pattern, no[i].path))
			fail_msg("'%s' and '%s'", no[i].pattern, no[i].path);
}

static void many_stars_do_not_blow_up(void **state)
{
	char pattern[121], path[4001];
	uint64_t start = oci_clock_ms();

	for (size_t i = 0; i < 120; i += 4)
		memcpy(pattern + i, "**a*", 4);
	pattern[119] = 'b';
	pattern[120] = '\0';
	memset(path, 'a', 4000);
	path[4000] = '\0';
	assert_false(oci_str_glob(pattern, path));
	for (size_t i = 100; i < 4000; i += 100)
		path[i] = '/';
	assert_false(oci_str_glob(pattern, path));
	assert_false(oci_str_glob("**/*a*a*a*a*a*a*a*b", path));
	assert_true(oci_clock_ms() - start < 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_without_slash_is_tried_on_the_last_component),
		cmocka_unit_test(a_pattern_with_slash_is_tied_to_the_top),
		cmocka_unit_test(one_star_and_question_mark_stop_at_a_slash),
		cmocka_unit_test(two_stars_pass_slashes),
		cmocka_unit_test(classes_match_one_byte),
		cmocka_unit_test(a_backslash_takes_the_next_byte_as_it_is),
		cmocka_unit_test(a_slash_at_the_end_means_a_directory_and_all_below),
		cmocka_unit_test(a_directory_that_matches_takes_all_below_it),
		cmocka_unit_test(many_stars_do_not_blow_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
