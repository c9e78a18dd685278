#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "core/yaml.h"

static const struct oci_json_limits limits = {"test", 4096, 100};

static void assert_reads(const char *yaml, const char *json)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = oci_yaml_parse(yaml, strlen(yaml), &limits, NULL);
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, OCI_MIB);
	assert_non_null(doc);
	assert_int_equal(oci_json_dump(doc, &text, NULL), 0);
	assert_string_equal(oci_buf_text(&text), json);
}

static void assert_refused(const char *yaml, size_t len, enum oci_errc code, const char *why)
{
	struct oci_error err = {0};

	assert_null(oci_yaml_parse(yaml, len, &limits, &err));
	assert_int_equal(err.code, code);
	assert_non_null(strstr(err.text, why));
}

static void every_scalar_is_a_text(void **state)
{
	assert_reads("a: 1.10\nb: 'x'\nc: true\nd: \"q\\\"\"\n", "{\"a\":\"1.10\",\"b\":\"x\",\"c\":\"true\",\"d\":\"q\\\"\"}");
}

static void what_is_empty_is_null_and_a_quoted_word_is_not(void **state)
{
	assert_reads("a:\nb: ~\nc: null\nd: 'null'\ne: ''\n",
		"{\"a\":null,\"b\":null,\"c\":null,\"d\":\"null\",\"e\":\"\"}");
}

static void both_styles_of_lists_and_mappings_are_read(void **state)
{
	assert_reads("a: [x, {b: y}]\nc:\n  - d: 1\n    e: 2\n  - f\n",
		"{\"a\":[\"x\",{\"b\":\"y\"}],\"c\":[{\"d\":\"1\",\"e\":\"2\"},\"f\"]}");
	assert_reads("- a\n- b\n", "[\"a\",\"b\"]");
}

static void an_empty_document_is_an_empty_object(void **state)
{
	assert_reads("", "{}");
	assert_reads("# only this\n", "{}");
}

static void what_is_not_yaml_is_refused_with_its_line(void **state)
{
	assert_refused("a: 1\nb: [\n", 9, OCI_E_FORMAT, "test, line 3");
	assert_refused("a: 1\n\tb: 2\n", 11, OCI_E_FORMAT, "test, line 2");
	assert_refused("a: \xff\xfe\n", 6, OCI_E_FORMAT, "test");
}

static void anchors_and_aliases_are_refused(void **state)
{
	assert_refused("a: &x [1]\nb: *x\n", 16, OCI_E_UNSUPPORTED, "line 1");
	assert_refused("a: &x 1\n", 8, OCI_E_UNSUPPORTED, "anchors");
	assert_refused("a: &x {b: 1}\n", 13, OCI_E_UNSUPPORTED, "anchors");
	assert_refused("a: *x\n", 6, OCI_E_UNSUPPORTED, "aliases");
}

static void keys_are_words_and_each_stands_there_once(void **state)
{
	assert_refused("? [a, b]\n: 1\n", 13, OCI_E_FORMAT, "a key is not a word");
	assert_refused("a: 1\na: 2\n", 10, OCI_E_FORMAT, "test");
}

static void a_second_document_is_refused(void **state)
{
	assert_refused("a: 1\n---\nb: 2\n", 14, OCI_E_FORMAT, "second document");
}

static void the_limits_hold(void **state)
{
	char text[5000];
	char deep[64];

	memset(text, ' ', sizeof text);
	assert_refused(text, sizeof text, OCI_E_FORMAT, "larger than 4096");
	memset(deep, '[', sizeof deep);
	assert_refused(deep, sizeof deep, OCI_E_FORMAT, "too deep");
	assert_refused("a: \"x\\0y\"\n", 10, OCI_E_FORMAT, "NUL");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_scalar_is_a_text),
		cmocka_unit_test(what_is_empty_is_null_and_a_quoted_word_is_not),
		cmocka_unit_test(both_styles_of_lists_and_mappings_are_read),
		cmocka_unit_test(an_empty_document_is_an_empty_object),
		cmocka_unit_test(what_is_not_yaml_is_refused_with_its_line),
		cmocka_unit_test(anchors_and_aliases_are_refused),
		cmocka_unit_test(keys_are_words_and_each_stands_there_once),
		cmocka_unit_test(a_second_document_is_refused),
		cmocka_unit_test(the_limits_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
