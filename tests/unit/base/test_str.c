#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

static void starts_and_ends_compare_whole_bytes(void **state)
{
	assert_true(oci_str_starts("abc", "ab"));
	assert_true(oci_str_starts("abc", ""));
	assert_true(oci_str_starts("abc", "abc"));
	assert_false(oci_str_starts("ab", "abc"));
	assert_false(oci_str_starts("abc", "b"));
	assert_true(oci_str_ends("abc", "bc"));
	assert_true(oci_str_ends("abc", ""));
	assert_true(oci_str_ends("abc", "abc"));
	assert_false(oci_str_ends("bc", "abc"));
	assert_false(oci_str_ends("abc", "b"));
}

static void printf_returns_an_owned_copy(void **state)
{
	oci_autofree char *text = oci_str_printf("%s-%03d", "a", 7);

	assert_string_equal(text, "a-007");
}

static void set_replaces_the_old_text(void **state)
{
	oci_autofree char *text = NULL;

	assert_int_equal(oci_str_set(&text, "one", NULL), 0);
	assert_int_equal(oci_str_set(&text, "two", NULL), 0);
	assert_string_equal(text, "two");
	assert_int_equal(oci_str_set(&text, text, NULL), 0);
	assert_string_equal(text, "two");
	assert_int_equal(oci_str_set(&text, text + 1, NULL), 0);
	assert_string_equal(text, "wo");
	assert_int_equal(oci_str_set(&text, NULL, NULL), 0);
	assert_null(text);
}

static void u64_takes_all_of_its_range(void **state)
{
	uint64_t value = 5;

	assert_true(oci_str_u64("0", &value));
	assert_int_equal(value, 0);
	assert_true(oci_str_u64("00042", &value));
	assert_int_equal(value, 42);
	assert_true(oci_str_u64("18446744073709551615", &value));
	assert_true(value == UINT64_MAX);
}

static void u64_refuses_everything_else(void **state)
{
	static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "0x10", "1.0", "1e3", "a",
		"18446744073709551616", "99999999999999999999999", "\xd9\xa1"};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		uint64_t value = 5;

		assert_false(oci_str_u64(bad[i], &value));
		assert_int_equal(value, 5);
	}
}

static void quantity_reads_kubernetes_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{"0", 0},
		{"128", 128},
		{"1k", 1000},
		{"4M", 4000000},
		{"4G", 4000000000},
		{"2T", 2000000000000},
		{"3P", 3000000000000000},
		{"1E", 1000000000000000000},
		{"1Ki", 1024},
		{"4Mi", 4ULL << 20},
		{"4Gi", 4ULL << 30},
		{"4Ti", 4ULL << 40},
		{"4Pi", 4ULL << 50},
		{"15Ei", 15ULL << 60},
		{"1.5Gi", 3ULL << 29},
		{"0.5k", 500},
		{"1.0001k", 1001},
		{"0.1", 1},
		{"0.000000000000000001E", 1},
		{"15.999999999999999999Ei", UINT64_MAX},
		{"18446744073709551615", UINT64_MAX},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint64_t bytes = 5;

		assert_true(oci_str_quantity(cases[i].text, &bytes));
		assert_true(bytes == cases[i].bytes);
	}
}

static void quantity_refuses_other_words(void **state)
{
	static const char *const bad[] = {"", "G", "4g", "4K", "4ki", "4GB", "4 G", "-4G", ".5G", "5.G",
		"1..5G",
		"16Ei", "19E", "4Gi ", "1.5.5k", "1e3", "1.0000000000000000001k", "18446744073709551615.1",
		"99999999999999999999"};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		uint64_t bytes = 5;

		assert_false(oci_str_quantity(bad[i], &bytes));
		assert_int_equal(bytes, 5);
	}
}

static void size_is_cut_to_two_decimals(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{512, "512 B"},
		{1023, "1023 B"},
		{1024, "1.00 KiB"},
		{1536, "1.50 KiB"},
		{1024 * 1024 - 1, "1023.99 KiB"},
		{1024 * 1024, "1.00 MiB"},
		{3ULL << 29, "1.50 GiB"},
		{1ULL << 40, "1.00 TiB"},
		{1ULL << 50, "1.00 PiB"},
		{UINT64_MAX, "15.99 EiB"},
	};
	char out[OCI_STR_SIZE_MAX];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_string_equal(oci_str_size(cases[i].bytes, out), cases[i].text);
}

static void hex_goes_there_and_back(void **state)
{
	static const unsigned char bytes[] = {0x00, 0x09, 0xa0, 0xff};
	unsigned char again[4];
	char text[9];

	oci_str_hex(bytes, sizeof bytes, text);
	assert_string_equal(text, "0009a0ff");
	assert_true(oci_str_unhex(text, again, sizeof again));
	assert_memory_equal(again, bytes, sizeof bytes);
	oci_str_hex(bytes, 0, text);
	assert_string_equal(text, "");
	assert_true(oci_str_unhex("", again, 0));
}

static void unhex_refuses_other_lengths_and_digits(void **state)
{
	static const char *const bad[] = {"", "0", "012", "01234", "01AB", "0g12", "-123", " 123", "0x12"};
	unsigned char bytes[2];

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(oci_str_unhex(bad[i], bytes, sizeof bytes));
}

static void clean_utf8_takes_printable_text(void **state)
{
	static const char *const good[] = {"", "abc ~", "h\xc3\xa9", "\xc2\xa0", "\xdf\xbf", "\xe0\xa0\x80",
		"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_true(oci_str_clean_utf8(good[i]));
}

static void clean_utf8_refuses_controls_and_malformed_bytes(void **state)
{
	static const char *const bad[] = {
		"\x01", "a\n", "\x1f", "\x7f", "\xc2\x80", "\xc2\x9f", /* controls */
		"\x80", "\xbf", "\xc3", "a\xc3(", "\xe2\x82", "\xf0\x90\x80", "\xe2(\xa1", /* cut or stray */
		"\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", /* overlong */
		"\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff",
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(oci_str_clean_utf8(bad[i]));
}

static void escape_leaves_clean_text_alone(void **state)
{
	char out[OCI_STR_ESCAPE_MAX];

	assert_string_equal(oci_str_escape("a b\xc3\xa9 '\\'", out), "a b\xc3\xa9 '\\'");
	assert_string_equal(oci_str_escape("", out), "");
}

static void escape_shows_controls_and_stray_bytes_as_hex(void **state)
{
	char out[OCI_STR_ESCAPE_MAX];

	assert_string_equal(oci_str_escape("a\nb\x1b[31m\x7f", out), "a\\x0ab\\x1b[31m\\x7f");
	assert_string_equal(oci_str_escape("\xff\xc3(\xc2\x85", out), "\\xff\\xc3(\\xc2\\x85");
}

static void escape_cuts_after_256_bytes(void **state)
{
	char text[400], out[OCI_STR_ESCAPE_MAX];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	oci_str_escape(text, out);
	assert_int_equal(strlen(out), 259);
	assert_string_equal(out + 255, "x...");
	text[256] = '\0';
	assert_string_equal(oci_str_escape(text, out), text);
	text[256] = 'x';
	text[257] = '\0';
	oci_str_escape(text, out);
	assert_string_equal(out + 255, "x...");
}

static void escape_never_cuts_inside_a_character(void **state)
{
	char text[300], out[OCI_STR_ESCAPE_MAX];

	memset(text, 'x', 255);
	memcpy(text + 255, "\xc3\xa9", 3);
	oci_str_escape(text, out);
	assert_int_equal(strlen(out), 258);
	assert_string_equal(out + 254, "x...");
	memcpy(text + 253, "\n", 2);
	oci_str_escape(text, out);
	assert_string_equal(out + 252, "x...");
	memcpy(text + 252, "\n", 2);
	assert_string_equal(oci_str_escape(text, out) + 252, "\\x0a");
}

static void strings_keep_their_own_copies(void **state)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings list = {0};
	char text[] = "one";

	assert_false(oci_strings_has(&list, "one"));
	assert_int_equal(oci_strings_add(&list, text, NULL), 0);
	text[0] = 'X';
	for (int i = 0; i < 100; i++)
		assert_int_equal(oci_strings_add(&list, "more", NULL), 0);
	assert_int_equal(list.count, 101);
	assert_true(oci_strings_has(&list, "one"));
	assert_true(oci_strings_has(&list, "more"));
	assert_false(oci_strings_has(&list, "mor"));
	oci_strings_clear(&list);
	assert_int_equal(list.count, 0);
	assert_null(list.items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_and_ends_compare_whole_bytes),
		cmocka_unit_test(printf_returns_an_owned_copy),
		cmocka_unit_test(set_replaces_the_old_text),
		cmocka_unit_test(u64_takes_all_of_its_range),
		cmocka_unit_test(u64_refuses_everything_else),
		cmocka_unit_test(quantity_reads_kubernetes_sizes),
		cmocka_unit_test(quantity_refuses_other_words),
		cmocka_unit_test(size_is_cut_to_two_decimals),
		cmocka_unit_test(hex_goes_there_and_back),
		cmocka_unit_test(unhex_refuses_other_lengths_and_digits),
		cmocka_unit_test(clean_utf8_takes_printable_text),
		cmocka_unit_test(clean_utf8_refuses_controls_and_malformed_bytes),
		cmocka_unit_test(escape_leaves_clean_text_alone),
		cmocka_unit_test(escape_shows_controls_and_stray_bytes_as_hex),
		cmocka_unit_test(escape_cuts_after_256_bytes),
		cmocka_unit_test(escape_never_cuts_inside_a_character),
		cmocka_unit_test(strings_keep_their_own_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
