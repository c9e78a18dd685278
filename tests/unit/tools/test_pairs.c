#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "pairs.h"

#define PAIRS_MAX 4

/* `dests` in the order and with the marks that came of it: "a/ a/b" is an outer one first. */
static void assert_order(const char *const *dests, const char *expected)
{
	static const struct dest_flags none;
	OCI_CLEANUP(pairs_clear) struct pairs pairs = {0};
	const char *operands[2 * PAIRS_MAX];
	char seen[256] = "";
	size_t count = 0;

	for (; dests[count / 2]; count += 2) {
		operands[count] = "oci://r.example/m";
		operands[count + 1] = dests[count / 2];
	}
	assert_int_equal(pairs_read(&none, operands, count, &pairs, NULL), 0);
	for (size_t i = 0; i < pairs.count; i++) {
		size_t len = strlen(seen);

		snprintf(seen + len, sizeof seen - len, "%s%s%s", i ? " " : "", pairs.items[i].dest,
			pairs.items[i].is_outer ? "+" : "");
	}
	assert_string_equal(seen, expected);
}

static void a_directory_comes_before_those_below_it(void **state)
{
	assert_order((const char *const[]){"/b", "/a", NULL}, "/b /a");
	assert_order((const char *const[]){"/a/b", "/c", "/a", NULL}, "/a+ /a/b /c");
	assert_order((const char *const[]){"/a/b/c", "/a/b", "//a/./", NULL}, "//a/./+ /a/b+ /a/b/c");
	assert_order((const char *const[]){"/ab", "/a", "a", NULL}, "/ab /a a");
}

static void two_do_not_fill_one_directory(void **state)
{
	static const struct dest_flags none;
	static const char *const operands[] = {"oci://r.example/one", "/m", "oci://r.example/two", "/m/"};
	static const char *const mixed[] = {"s3://b/one", "/m", "oci://r.example/two", "/m"};
	static const char *const others[] = {"s3://b/one", "/m", "hf://o/two", "/m"};
	OCI_CLEANUP(pairs_clear) struct pairs pairs = {0};
	struct oci_error err = {0};

	assert_int_equal(pairs_read(&none, operands, 4, &pairs, &err), -1);
	assert_int_equal(err.code, OCI_E_USAGE);
	assert_non_null(strstr(err.text, "oci://r.example/one"));
	assert_int_equal(pairs_read(&none, mixed, 4, &pairs, NULL), -1);
	assert_int_equal(pairs_read(&none, others, 4, &pairs, NULL), 0); /* not ours to judge */
	assert_int_equal(pairs.count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_directory_comes_before_those_below_it),
		cmocka_unit_test(two_do_not_fill_one_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
