#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "http/warning.h"

static void assert_text(const char *header, const char *want)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, OCI_WARNING_MAX);
	assert_int_equal(oci_warning_parse(header, &text), want != NULL);
	if (want)
		assert_string_equal(oci_buf_text(&text), want);
}

static void warning_parse_takes_the_quoted_text(void **state)
{
	assert_text("299 - \"be warned\"", "be warned");
	assert_text("299 agent \"a \\\"word\\\" and \\\\\" \"Wed\"", "a \"word\" and \\");
}

static void warning_parse_refuses_everything_else(void **state)
{
	char longest[5000] = "299 - \"";

	assert_text("199 - \"other code\"", NULL);
	assert_text("2990 - \"other code\"", NULL);
	assert_text("299 - no quotes", NULL);
	assert_text("299 - \"open", NULL);
	assert_text("299 - \"\"", NULL);
	assert_text("", NULL);
	memset(longest + 7, 'a', sizeof longest - 9);
	longest[sizeof longest - 2] = '"';
	assert_text(longest, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(warning_parse_takes_the_quoted_text),
		cmocka_unit_test(warning_parse_refuses_everything_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
