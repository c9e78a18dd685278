#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

static void an_empty_buffer_is_an_empty_text(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, 10);
	assert_null(buf.data);
	assert_string_equal(oci_buf_text(&buf), "");
}

static void append_keeps_a_zero_byte_behind_the_text(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, 1000);
	for (size_t i = 0; i < 1000; i++) {
		assert_int_equal(oci_buf_append(&buf, "x", 1, NULL), 0);
		assert_int_equal(buf.len, i + 1);
		assert_int_equal(buf.data[i + 1], '\0');
	}
	assert_true(buf.cap <= 1001);
}

static void append_of_nothing_makes_a_text(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, 0);
	assert_int_equal(oci_buf_append(&buf, NULL, 0, NULL), 0);
	assert_non_null(buf.data);
	assert_int_equal(buf.data[0], '\0');
}

static void append_takes_zero_bytes(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, 10);
	assert_int_equal(oci_buf_append(&buf, "a\0b", 3, NULL), 0);
	assert_int_equal(buf.len, 3);
	assert_memory_equal(buf.data, "a\0b", 4);
}

static void the_maximum_may_be_reached_and_not_passed(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_error err = {0};

	oci_buf_init(&buf, 4);
	assert_int_equal(oci_buf_puts(&buf, "abcd", &err), 0);
	assert_int_equal(oci_buf_puts(&buf, "e", &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
	assert_string_equal(err.text, "more than the 4 bytes that are allowed here");
	assert_string_equal(oci_buf_text(&buf), "abcd");
}

static void every_way_to_grow_respects_the_maximum(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, 4);
	assert_int_equal(oci_buf_puts(&buf, "ab", NULL), 0);
	assert_int_equal(oci_buf_append(&buf, "abc", 3, NULL), -1);
	assert_int_equal(oci_buf_append_zeros(&buf, 3, NULL), -1);
	assert_int_equal(oci_buf_printf(&buf, NULL, "%d", 123), -1);
	assert_int_equal(oci_buf_append_zeros(&buf, SIZE_MAX, NULL), -1);
	assert_string_equal(oci_buf_text(&buf), "ab");
	assert_int_equal(buf.len, 2);
}

static void an_absurd_size_is_out_of_memory(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_error err = {0};

	oci_buf_init(&buf, SIZE_MAX);
	assert_int_equal(oci_buf_append_zeros(&buf, SIZE_MAX, &err), -1);
	assert_int_equal(err.code, OCI_E_NOMEM);
	assert_int_equal(oci_buf_puts(&buf, "still usable", NULL), 0);
	assert_string_equal(oci_buf_text(&buf), "still usable");
}

static void zeros_are_zeros_after_a_reset(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	static const char zeros[8];

	oci_buf_init(&buf, 100);
	assert_int_equal(oci_buf_puts(&buf, "dirtdirt", NULL), 0);
	oci_buf_reset(&buf);
	assert_int_equal(oci_buf_append_zeros(&buf, 8, NULL), 0);
	assert_int_equal(buf.len, 8);
	assert_memory_equal(buf.data, zeros, 8);
}

static void printf_appends_texts_of_any_length(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, 1000);
	assert_int_equal(oci_buf_printf(&buf, NULL, "%s=%d;", "a", 1), 0);
	assert_int_equal(oci_buf_printf(&buf, NULL, "%200d", 7), 0);
	assert_int_equal(buf.len, 204);
	assert_memory_equal(buf.data, "a=1;    ", 8);
	assert_string_equal(buf.data + 203, "7");
}

static void reset_keeps_the_memory_and_clear_frees_it(void **state)
{
	struct oci_buf buf;
	char *memory;

	oci_buf_init(&buf, 100);
	assert_int_equal(oci_buf_puts(&buf, "abc", NULL), 0);
	memory = buf.data;
	oci_buf_reset(&buf);
	assert_ptr_equal(buf.data, memory);
	assert_string_equal(oci_buf_text(&buf), "");
	oci_buf_clear(&buf);
	assert_null(buf.data);
	assert_int_equal(buf.cap, 0);
	assert_int_equal(buf.max, 100);
	oci_buf_reset(&buf);
	oci_buf_clear(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_buffer_is_an_empty_text),
		cmocka_unit_test(append_keeps_a_zero_byte_behind_the_text),
		cmocka_unit_test(append_of_nothing_makes_a_text),
		cmocka_unit_test(append_takes_zero_bytes),
		cmocka_unit_test(the_maximum_may_be_reached_and_not_passed),
		cmocka_unit_test(every_way_to_grow_respects_the_maximum),
		cmocka_unit_test(an_absurd_size_is_out_of_memory),
		cmocka_unit_test(zeros_are_zeros_after_a_reset),
		cmocka_unit_test(printf_appends_texts_of_any_length),
		cmocka_unit_test(reset_keeps_the_memory_and_clear_frees_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
