#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "memory_tree.h"
#include "model/safetensors.h"

#define TWO_TENSORS                                                                                          \
	"{\"__metadata__\":{\"format\":\"pt\"},"                                                             \
	"\"a\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"                                \
	"\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[12,20]}}"

static int inspect(const char *header, size_t data_bytes, struct oci_safetensors *ret, struct oci_error *err)
{
	struct memory_tree m = {0};

	memory_safetensors(&m, "x.safetensors", header, data_bytes);
	int result = oci_safetensors_inspect(&m.tree, 0, ret, err);
	memory_clear(&m);
	return result;
}

static void assert_refused(const char *header, size_t data_bytes, const char *part)
{
	struct oci_safetensors info;
	struct oci_error err = {0};

	assert_int_equal(inspect(header, data_bytes, &info, &err), -1);
	if (err.code != OCI_E_FORMAT || !strstr(err.text, part))
		fail_msg("%d '%s' is not about '%s'", err.code, err.text, part);
}

static void safetensors_counts_parameters_and_bytes(void **state)
{
	struct oci_safetensors info = {0};

	assert_int_equal(inspect(TWO_TENSORS "    ", 20, &info, NULL), 0);
	assert_int_equal(info.tensors, 2);
	assert_int_equal(info.parameters, 8);
	assert_int_equal(info.header_bytes, strlen(TWO_TENSORS) + 4);
	assert_string_equal(oci_safetensors_precision(&info), "bf16");
}

static void safetensors_takes_tensors_in_any_order_and_scalars_and_empty_ones(void **state)
{
	struct oci_safetensors info = {0};

	assert_int_equal(
		inspect("{\"b\":{\"data_offsets\":[4,8],\"shape\":[],\"dtype\":\"F32\",\"new\":[{}]},"
			"\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[4,4]},"
			"\"a\":{\"dtype\":\"F4\",\"shape\":[8],\"data_offsets\":[0,4]}}",
			8, &info, NULL),
		0);
	assert_int_equal(info.parameters, 9);
	assert_int_equal(inspect("{}", 0, &info, NULL), 0);
	assert_null(oci_safetensors_precision(&info));
}

static void safetensors_takes_an_unknown_dtype_as_it_is(void **state)
{
	struct oci_safetensors info = {0};

	assert_int_equal(
		inspect("{\"a\":{\"dtype\":\"Q9\",\"shape\":[5],\"data_offsets\":[0,3]}}", 3, &info, NULL),
		0);
	assert_int_equal(info.parameters, 5);
}

static void safetensors_refuses_a_file_cut_short_or_too_long(void **state)
{
	assert_refused(TWO_TENSORS, 19, "1 bytes after the file");
	assert_refused(TWO_TENSORS, 21, "goes on 1 bytes");
	assert_refused("{}", 1, "goes on 1 bytes");
}

static void safetensors_refuses_a_header_longer_than_the_file(void **state)
{
	struct memory_tree m = {0};
	struct oci_safetensors info;
	struct oci_error cut = {0}, huge = {0}, small = {0}, none = {0};

	memory_add(&m, "0", "\x09\0\0\0\0\0\0\0{}      ", 16);
	memory_add(&m, "1", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
	memory_add(&m, "2", "\x02\0\0", 3);
	memory_add(&m, "3", "\0\0\0\0\0\0\0\0", 8);
	assert_int_equal(oci_safetensors_inspect(&m.tree, 0, &info, &cut), -1);
	assert_int_equal(cut.code, OCI_E_FORMAT);
	assert_non_null(strstr(cut.text, "cut short"));
	assert_int_equal(oci_safetensors_inspect(&m.tree, 1, &info, &huge), -1);
	assert_int_equal(huge.code, OCI_E_FORMAT);
	assert_int_equal(oci_safetensors_inspect(&m.tree, 2, &info, &small), -1);
	assert_int_equal(small.code, OCI_E_FORMAT);
	assert_int_equal(oci_safetensors_inspect(&m.tree, 3, &info, &none), -1);
	assert_int_equal(none.code, OCI_E_FORMAT);
	memory_clear(&m);
}

static void safetensors_refuses_ranges_that_lie(void **state)
{
	assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
		       "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
		6, "overlap");
	assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
		       "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[6,8]}}",
		8, "belong to no tensor");
	assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,0]}}", 4, "backwards");
	assert_refused(
		"{\"a\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "shape and dtype");
	assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4,8]}}", 4, "two numbers");
	assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4, "missing");
}

static void safetensors_refuses_shapes_whose_product_wraps(void **state)
{
	assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4194305,4194305,211106198978564],"
		       "\"data_offsets\":[0,4]}}",
		4, "too large");
	assert_refused("{\"a\":{\"dtype\":\"F64\",\"shape\":[576460752303423489],\"data_offsets\":[0,8]}}", 8,
		"too large");
	assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[18446744073709551616],\"data_offsets\":[0,4]}}",
		4, "too large");
}

static void safetensors_refuses_names_that_are_there_twice_or_not_clean(void **state)
{
	assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
		       "\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
		0, "twice");
	assert_refused("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0,
		"twice");
	assert_refused("{\"a\xff\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "UTF-8");
	assert_refused("{\"a\\n\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "UTF-8");
}

static void safetensors_refuses_what_is_not_json(void **state)
{
	assert_refused("[]", 0, "not JSON");
	assert_refused("{\"a\":1}", 0, "not JSON");
	assert_refused("{\"__metadata__\":{\"x\":\"y\"}", 0, "ends early");
	assert_refused("{} x", 0, "more text");
	assert_refused("{\"__metadata__\":{\"x\":\"\\ud800\"}}", 0, "surrogate");
	assert_refused("{\"__metadata__\":{\"\\ud800\\u0041\":\"\"}}", 0, "surrogate");
	assert_refused(
		"{\"a\":{\"dtype\":\"U8\",\"shape\":[1.5],\"data_offsets\":[0,0]}}", 0, "whole number");
	assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,0]}}", 0, "whole number");
	assert_refused("{\"__metadata__\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1", 0, "nested");
}

static void safetensors_passes_on_a_read_that_fails(void **state)
{
	struct memory_tree m = {.fail = true};
	struct oci_safetensors info;
	struct oci_error err = {0};

	memory_safetensors(&m, "x", "{}", 0);
	assert_int_equal(oci_safetensors_inspect(&m.tree, 0, &info, &err), -1);
	assert_int_equal(err.code, OCI_E_IO);
	memory_clear(&m);
}

static void safetensors_reads_a_header_of_100000_tensors(void **state)
{
	struct oci_buf header;
	struct memory_tree m = {0};
	struct oci_safetensors info = {0};
	char pad[201];

	memset(pad, 'x', sizeof pad);
	pad[sizeof pad - 1] = '\0';
	oci_buf_init(&header, 32 * OCI_MIB);
	assert_int_equal(oci_buf_puts(&header, "{\"__metadata__\":{}", NULL), 0);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(
			oci_buf_printf(&header, NULL,
				",\"%s.%u\":{\"dtype\":\"U8\",\"shape\":[1,1],\"data_offsets\":[%u,%u]}", pad,
				i, i, i + 1),
			0);
	assert_int_equal(oci_buf_puts(&header, "}", NULL), 0);
	assert_true(header.len > 22 * OCI_MIB);
	memory_safetensors(&m, "x", oci_buf_text(&header), 100000);
	oci_buf_clear(&header);

	assert_int_equal(oci_safetensors_inspect(&m.tree, 0, &info, NULL), 0);
	assert_int_equal(info.parameters, 100000);
	memory_clear(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(safetensors_counts_parameters_and_bytes),
		cmocka_unit_test(safetensors_takes_tensors_in_any_order_and_scalars_and_empty_ones),
		cmocka_unit_test(safetensors_takes_an_unknown_dtype_as_it_is),
		cmocka_unit_test(safetensors_refuses_a_file_cut_short_or_too_long),
		cmocka_unit_test(safetensors_refuses_a_header_longer_than_the_file),
		cmocka_unit_test(safetensors_refuses_ranges_that_lie),
		cmocka_unit_test(safetensors_refuses_shapes_whose_product_wraps),
		cmocka_unit_test(safetensors_refuses_names_that_are_there_twice_or_not_clean),
		cmocka_unit_test(safetensors_refuses_what_is_not_json),
		cmocka_unit_test(safetensors_passes_on_a_read_that_fails),
		cmocka_unit_test(safetensors_reads_a_header_of_100000_tensors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
