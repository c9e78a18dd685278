#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "assets.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "core/json.h"

static struct oci_json *parse(const char *text)
{
	struct oci_json *doc = oci_json_parse(text, strlen(text), &OCI_JSON_SMALL, NULL);
	assert_non_null(doc);
	return doc;
}

static void check_ok(const char *name, const char *data, size_t len)
{
	struct oci_error err = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf once = {.max = OCI_MIB}, twice = {.max = OCI_MIB};
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = oci_json_parse(data, len, &OCI_JSON_SMALL, &err);
	if (!doc)
		fail_msg("%s: %s", name, err.text);
	assert_int_equal(oci_json_dump(doc, &once, NULL), 0);
	struct oci_json *again = oci_json_parse(once.data, once.len, &OCI_JSON_SMALL, NULL);
	assert_non_null(again);
	assert_int_equal(oci_json_dump(again, &twice, NULL), 0);
	assert_string_equal(oci_buf_text(&once), oci_buf_text(&twice));
	oci_json_free(again);
}

static void check_bad(const char *name, const char *data, size_t len)
{
	struct oci_error err = {0};
	if (oci_json_parse(data, len, &OCI_JSON_SMALL, &err))
		fail_msg("%s was taken", name);
	assert_int_equal(err.code, OCI_E_FORMAT);
	assert_true(oci_str_starts(err.text, "document "));
	assert_true(oci_str_clean_utf8(err.text));
}

static void json_parse_takes_every_ok_asset(void **state)
{
	for_each_asset("json", "ok-", check_ok);
}

static void json_parse_rejects_every_bad_asset(void **state)
{
	for_each_asset("json", "bad-", check_bad);
}

static int parse_code(const char *text, size_t len, const struct oci_json_limits *limits)
{
	struct oci_error err = {0};
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = oci_json_parse(text, len, limits, &err);
	assert_int_equal(doc == NULL, err.code != 0);
	return (int)err.code;
}

static void json_parse_rejects_a_nul_byte(void **state)
{
	assert_int_equal(parse_code("[]\0", 3, &OCI_JSON_SMALL), OCI_E_FORMAT);
	assert_int_equal(parse_code("[\"a\0b\"]", 7, &OCI_JSON_SMALL), OCI_E_FORMAT);
	assert_int_equal(parse_code("\0", 1, &OCI_JSON_SMALL), OCI_E_FORMAT);
}

static void json_parse_reads_no_byte_behind_the_length(void **state)
{
	assert_int_equal(parse_code("[1]garbage", 3, &OCI_JSON_SMALL), OCI_OK);
	assert_int_equal(parse_code(NULL, 0, &OCI_JSON_SMALL), OCI_E_FORMAT);
}

static void json_parse_holds_the_byte_limit_exactly(void **state)
{
	const struct oci_json_limits limits = {"thing", 10, 100};
	assert_int_equal(parse_code("[12345678]", 10, &limits), OCI_OK);
	assert_int_equal(parse_code("[123456789]", 11, &limits), OCI_E_FORMAT);
	assert_int_equal(parse_code("          []", 12, &limits), OCI_E_FORMAT);
}

static void json_parse_counts_values_but_not_keys(void **state)
{
	static const struct {
		const char *text;
		size_t values;
	} cases[] = {
		{"1", 1}, {"\"a:b,c\"", 1}, {"[]", 1}, {"[1,2]", 3}, {"[[],[]]", 3}, {"{\"a\":1}", 2},
		{"{\"a\":{\"b\":[true,null,-1.5e3]}}", 6}, {"[\"x\\\"\",\"y\\\\\"]", 3},
		{"{ \"a\" : \"b\" , \"c\" : [ ] }", 3},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct oci_json_limits limits = {"thing", 1000, cases[i].values};
		assert_int_equal(parse_code(cases[i].text, strlen(cases[i].text), &limits), OCI_OK);
		limits.values--;
		assert_int_equal(parse_code(cases[i].text, strlen(cases[i].text), &limits), OCI_E_FORMAT);
	}
}

static char *repeat(const char *text, size_t count, size_t *len)
{
	size_t piece = strlen(text);
	char *all = malloc(piece * count + 1);
	assert_non_null(all);
	for (size_t i = 0; i < count; i++)
		memcpy(all + i * piece, text, piece);
	all[*len = piece * count] = '\0';
	return all;
}

static void json_parse_refuses_depth_and_numbers_of_values_that_would_exhaust(void **state)
{
	static const char *const bombs[] = {"[", "{\"a\":", "[],", "{},", "\"\",", "0,", ":", "\"a\":[", "[:"};
	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
		size_t len;
		char *text = repeat(bombs[i], OCI_MIB / strlen(bombs[i]) - 1, &len);
		text[0] = i < 2 ? text[0] : '[';
		assert_int_equal(parse_code(text, len, &OCI_JSON_SMALL), OCI_E_FORMAT);
		free(text);
	}
}

static void json_of_a_million_array_elements_is_refused_as_a_manifest(void **state)
{
	size_t len;
	oci_autofree char *text = repeat("[],", 1000000, &len);
	struct oci_error err = {0};
	text[0] = '[';
	text[1] = '0';
	text[len - 1] = ']';
	assert_null(oci_json_parse(text, len, &OCI_JSON_MANIFEST, &err));
	assert_non_null(strstr(err.text, "100000 values"));
}

static void json_members_are_typed(void **state)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc =
		parse("{\"t\":\"x\",\"n\":7,\"neg\":-1,\"r\":1.0,\"b\":true,\"f\":false,\"z\":null,"
		      "\"a\":[1,\"y\"],\"o\":{}}");
	uint64_t number = 99;
	bool flag = false;
	assert_string_equal(oci_json_text(doc, "t"), "x");
	assert_null(oci_json_text(doc, "n"));
	assert_null(oci_json_text(doc, "absent"));
	assert_false(oci_json_u64(doc, "neg", &number));
	assert_false(oci_json_u64(doc, "r", &number));
	assert_false(oci_json_u64(doc, "t", &number));
	assert_false(oci_json_u64(doc, "absent", &number));
	assert_int_equal(number, 99);
	assert_true(oci_json_u64(doc, "n", &number));
	assert_int_equal(number, 7);
	assert_true(oci_json_bool(doc, "b", &flag));
	assert_true(flag);
	assert_true(oci_json_bool(doc, "f", &flag));
	assert_false(flag);
	assert_false(oci_json_bool(doc, "z", &flag));
	assert_false(oci_json_bool(doc, "absent", &flag));
	assert_true(oci_json_is_null(oci_json_get(doc, "z")));
	assert_true(oci_json_is_array(oci_json_get(doc, "a")));
	assert_true(oci_json_is_object(oci_json_get(doc, "o")));
	assert_int_equal(oci_json_count(oci_json_get(doc, "a")), 2);
	assert_int_equal(oci_json_count(doc), 0);
	assert_string_equal(oci_json_value_text(oci_json_at(oci_json_get(doc, "a"), 1)), "y");
	assert_null(oci_json_at(oci_json_get(doc, "a"), 2));
}

static void json_readers_take_an_absent_value(void **state)
{
	uint64_t number;
	bool flag;
	assert_null(oci_json_get(NULL, "a"));
	assert_null(oci_json_text(NULL, "a"));
	assert_false(oci_json_u64(NULL, "a", &number));
	assert_false(oci_json_bool(NULL, "a", &flag));
	assert_false(oci_json_is_object(NULL));
	assert_false(oci_json_is_array(NULL));
	assert_false(oci_json_is_null(NULL));
	assert_int_equal(oci_json_count(NULL), 0);
	assert_null(oci_json_at(NULL, 0));
	assert_null(oci_json_first(NULL));
	oci_json_free(NULL);
}

static void json_integers_reach_the_largest_signed_one(void **state)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = parse("{\"n\":9223372036854775807}");
	uint64_t number;
	assert_true(oci_json_u64(doc, "n", &number));
	assert_true(number == INT64_MAX);
}

static void json_members_come_in_document_order(void **state)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = parse("{\"z\":1,\"b\":2,\"a\":3,\"y\":4}");
	char keys[8] = "";
	size_t n = 0;
	for (void *i = oci_json_first(doc); i; i = oci_json_next(doc, i)) {
		uint64_t value;
		assert_true(oci_json_value_u64(oci_json_value(i), &value));
		assert_int_equal(value, n + 1);
		keys[n++] = oci_json_key(i)[0];
	}
	assert_string_equal(keys, "zbay");
}

static void json_dump_is_compact_and_keeps_the_order(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf = {.max = 1000};
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc =
		parse(" { \"z\" : [ 1 , true , null ] , \"a\" : \"\\u00e9/\\n\" , \"m\" : { } } ");
	assert_int_equal(oci_json_dump(doc, &buf, NULL), 0);
	assert_string_equal(oci_buf_text(&buf), "{\"z\":[1,true,null],\"a\":\"\xc3\xa9/\\n\",\"m\":{}}");
}

static void json_dump_into_a_full_buffer_fails(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf = {.max = 5};
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = parse("[1,2,3,4]");
	struct oci_error err = {0};
	assert_int_equal(oci_json_dump(doc, &buf, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
}

static void json_writer_writes_in_the_order_of_the_calls(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf = {.max = 1000};
	struct oci_json_writer w;
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "z", "text");
	oci_json_put_text(&w, "nothing", NULL);
	oci_json_array(&w, "list");
	oci_json_put_u64(&w, NULL, 0);
	oci_json_put_u64(&w, NULL, UINT64_MAX);
	oci_json_object(&w, NULL);
	oci_json_close(&w);
	oci_json_array(&w, NULL);
	oci_json_close(&w);
	oci_json_close(&w);
	oci_json_put_bool(&w, "yes", true);
	oci_json_put_bool(&w, "no", false);
	oci_json_put_raw(&w, "raw", "{\"a\":1}");
	oci_json_close(&w);
	assert_int_equal(oci_json_end(&w, NULL), 0);
	assert_string_equal(oci_buf_text(&buf), "{\"z\":\"text\",\"list\":[0,18446744073709551615,{},[]],"
						"\"yes\":true,\"no\":false,\"raw\":{\"a\":1}}");
}

static int write_text(const char *text, struct oci_buf *buf, struct oci_error *err)
{
	struct oci_json_writer w;
	oci_json_begin(&w, buf);
	oci_json_put_text(&w, NULL, text);
	return oci_json_end(&w, err);
}

static void json_writer_escapes_what_it_must_and_no_more(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf = {.max = 1000};
	assert_int_equal(write_text("a\"b\\c/\b\f\n\r\t\x01\x1f\x7f\xc3\xa9\xf0\x9f\x98\x80", &buf, NULL), 0);
	assert_string_equal(oci_buf_text(&buf),
		"\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\xc3\xa9\xf0\x9f\x98\x80\"");
}

static void json_writer_text_reads_back_for_every_character(void **state)
{
	for (unsigned c = 1; c < 0x80; c++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf buf = {.max = 1000};
		char text[] = {'a', (char)c, 'b', 0};
		assert_int_equal(write_text(text, &buf, NULL), 0);
		struct oci_json *doc = parse(oci_buf_text(&buf));
		assert_string_equal(oci_json_value_text(doc), text);
		oci_json_free(doc);
	}
}

static void json_writer_refuses_text_that_is_not_utf8(void **state)
{
	static const char *const bad[] = {
		"\x80", "\xff", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xc3(", "\xe2\x82(",
	};
	static const char *const good[] = {
		"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
		"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
	};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf = {.max = 1000};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct oci_error err = {0};
		assert_int_equal(write_text(bad[i], &buf, &err), -1);
		assert_int_equal(err.code, OCI_E_FORMAT);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(write_text(good[i], &buf, NULL), 0);
}

static void json_writer_reports_a_full_buffer(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf = {.max = 8};
	struct oci_error err = {0};
	assert_int_equal(write_text("long text", &buf, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
}

static void json_writer_reports_misuse(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf = {.max = 1000};
	struct oci_json_writer w;
	struct oci_error open = {0}, closed = {0}, deep = {0}, keyless = {0}, keyed = {0};

	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	assert_int_equal(oci_json_end(&w, &open), -1);
	assert_int_equal(open.code, OCI_E_BUG);

	oci_json_begin(&w, &buf);
	oci_json_close(&w);
	assert_int_equal(oci_json_end(&w, &closed), -1);
	assert_int_equal(closed.code, OCI_E_BUG);

	oci_json_begin(&w, &buf);
	for (int i = 0; i <= OCI_JSON_DEPTH; i++)
		oci_json_array(&w, NULL);
	assert_int_equal(oci_json_end(&w, &deep), -1);
	assert_int_equal(deep.code, OCI_E_BUG);

	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_u64(&w, NULL, 1);
	oci_json_close(&w);
	assert_int_equal(oci_json_end(&w, &keyless), -1);
	assert_int_equal(keyless.code, OCI_E_BUG);

	oci_json_begin(&w, &buf);
	oci_json_put_bool(&w, "key", true);
	assert_int_equal(oci_json_end(&w, &keyed), -1);
	assert_int_equal(keyed.code, OCI_E_BUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_parse_takes_every_ok_asset),
		cmocka_unit_test(json_parse_rejects_every_bad_asset),
		cmocka_unit_test(json_parse_rejects_a_nul_byte),
		cmocka_unit_test(json_parse_reads_no_byte_behind_the_length),
		cmocka_unit_test(json_parse_holds_the_byte_limit_exactly),
		cmocka_unit_test(json_parse_counts_values_but_not_keys),
		cmocka_unit_test(json_parse_refuses_depth_and_numbers_of_values_that_would_exhaust),
		cmocka_unit_test(json_of_a_million_array_elements_is_refused_as_a_manifest),
		cmocka_unit_test(json_members_are_typed),
		cmocka_unit_test(json_readers_take_an_absent_value),
		cmocka_unit_test(json_integers_reach_the_largest_signed_one),
		cmocka_unit_test(json_members_come_in_document_order),
		cmocka_unit_test(json_dump_is_compact_and_keeps_the_order),
		cmocka_unit_test(json_dump_into_a_full_buffer_fails),
		cmocka_unit_test(json_writer_writes_in_the_order_of_the_calls),
		cmocka_unit_test(json_writer_escapes_what_it_must_and_no_more),
		cmocka_unit_test(json_writer_text_reads_back_for_every_character),
		cmocka_unit_test(json_writer_refuses_text_that_is_not_utf8),
		cmocka_unit_test(json_writer_reports_a_full_buffer),
		cmocka_unit_test(json_writer_reports_misuse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
