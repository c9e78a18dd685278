#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "suggest.h"

static void distance_counts_edits_and_swaps(void **state)
{
	assert_int_equal(suggest_distance("pull", "pull"), 0);
	assert_int_equal(suggest_distance("pul", "pull"), 1);
	assert_int_equal(suggest_distance("chekc", "check"), 1);
	assert_int_equal(suggest_distance("pull", "pack"), 3);
	assert_int_equal(suggest_distance("", "abc"), 3);
}

static void long_words_are_far_from_everything(void **state)
{
	const char *word = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	assert_true(suggest_distance(word, "pull") == SIZE_MAX);
	struct suggestion s = suggest_begin(word);
	suggest_try(&s, "pull");
	assert_string_equal(s.nearest, "");
}

static void the_nearest_candidate_is_kept(void **state)
{
	struct suggestion s = suggest_begin("inspct");
	suggest_try(&s, "pull");
	suggest_try(&s, "inspect");
	suggest_try(&s, "ls");
	assert_string_equal(s.nearest, "inspect");
}

static void a_far_word_suggests_nothing(void **state)
{
	struct suggestion s = suggest_begin("frobnicate");
	suggest_try(&s, "pull");
	suggest_try(&s, "ls");
	assert_string_equal(s.nearest, "");
	s = suggest_begin("xy");
	suggest_try(&s, "ls");
	assert_string_equal(s.nearest, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distance_counts_edits_and_swaps),
		cmocka_unit_test(long_words_are_far_from_everything),
		cmocka_unit_test(the_nearest_candidate_is_kept),
		cmocka_unit_test(a_far_word_suggests_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
