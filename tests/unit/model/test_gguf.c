#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "memory_tree.h"
#include "model/gguf.h"

enum { U32 = 4, STRING = 8, ARRAY = 9 };

static struct oci_buf file; /* what the helpers below append to */

static void put(uint64_t value, unsigned bytes)
{
	unsigned char raw[8];

	for (unsigned i = 0; i < bytes; i++)
		raw[i] = (unsigned char)(value >> (8 * i));
	assert_int_equal(oci_buf_append(&file, raw, bytes, NULL), 0);
}

static void put_text(const char *text)
{
	put(strlen(text), 8);
	assert_int_equal(oci_buf_puts(&file, text, NULL), 0);
}

static void begin(uint64_t version, uint64_t tensors, uint64_t pairs)
{
	oci_buf_clear(&file);
	oci_buf_init(&file, OCI_MIB);
	assert_int_equal(oci_buf_puts(&file, "GGUF", NULL), 0);
	put(version, 4);
	put(tensors, 8);
	put(pairs, 8);
}

static void put_text_pair(const char *key, const char *value)
{
	put_text(key);
	put(STRING, 4);
	put_text(value);
}

static void put_u32_pair(const char *key, uint64_t value)
{
	put_text(key);
	put(U32, 4);
	put(value, 4);
}

static void put_tensor(const char *name, uint64_t columns, uint64_t rows, uint64_t type, uint64_t offset)
{
	put_text(name);
	put(2, 4);
	put(columns, 8);
	put(rows, 8);
	put(type, 4);
	put(offset, 8);
}

/* Pad to the alignment, then as much data. */
static void put_data(size_t alignment, size_t bytes)
{
	size_t rest = file.len % alignment;
	assert_int_equal(oci_buf_append_zeros(&file, (rest ? alignment - rest : 0) + bytes, NULL), 0);
}

static int inspect(struct oci_gguf *ret, struct oci_error *err)
{
	struct memory_tree m = {0};

	memory_add(&m, "x.gguf", oci_buf_text(&file), file.len);
	int result = oci_gguf_inspect(&m.tree, 0, ret, err);
	memory_clear(&m);
	oci_buf_clear(&file);
	return result;
}

static void assert_refused(enum oci_errc code, const char *part)
{
	struct oci_gguf info;
	struct oci_error err = {0};

	assert_int_equal(inspect(&info, &err), -1);
	if (err.code != code || !strstr(err.text, part))
		fail_msg("%d '%s' is not about '%s'", err.code, err.text, part);
}

static void gguf_reads_metadata_and_counts_parameters(void **state)
{
	struct oci_gguf info = {0};

	begin(3, 2, 7);
	put_text_pair("general.architecture", "llama");
	put_text_pair("general.name", "Tiny");
	put_text_pair("general.license", "apache-2.0");
	put_text_pair("general.source.url", "https://example.test/tiny");
	put_u32_pair("general.file_type", 15);
	put_text("tokenizer.ggml.tokens");
	put(ARRAY, 4);
	put(STRING, 4);
	put(3, 8);
	put_text("a");
	put_text("");
	put_text("ccc");
	put_text("tokenizer.ggml.scores");
	put(ARRAY, 4);
	put(6, 4);
	put(3, 8);
	put(0, 8);
	put(0, 4);
	put_tensor("a", 256, 2, 12, 0);
	put_tensor("b", 4, 3, 0, 288);
	put_data(32, 288 + 48);

	assert_int_equal(inspect(&info, NULL), 0);
	assert_string_equal(info.architecture, "llama");
	assert_string_equal(info.name, "Tiny");
	assert_string_equal(info.license, "apache-2.0");
	assert_string_equal(info.source_url, "https://example.test/tiny");
	assert_string_equal(info.file_type, "Q4_K_M");
	assert_int_equal(info.tensors, 2);
	assert_int_equal(info.parameters, 512 + 12);
	assert_int_equal(info.data_offset % 32, 0);
	oci_gguf_clear(&info);
}

static void gguf_takes_a_vocabulary_without_data(void **state)
{
	struct oci_gguf info = {0};

	begin(2, 0, 1);
	put_text_pair("general.architecture", "llama");
	assert_int_equal(inspect(&info, NULL), 0);
	assert_int_equal(info.parameters, 0);
	oci_gguf_clear(&info);
}

static void gguf_keeps_to_the_alignment_that_is_given(void **state)
{
	struct oci_gguf info = {0};

	begin(3, 2, 1);
	put_u32_pair("general.alignment", 64);
	put_tensor("a", 4, 1, 0, 0);
	put_tensor("b", 4, 1, 0, 64);
	put_data(64, 64 + 64);
	assert_int_equal(inspect(&info, NULL), 0);
	assert_int_equal(info.data_offset % 64, 0);

	begin(3, 2, 1);
	put_u32_pair("general.alignment", 64);
	put_tensor("a", 4, 1, 0, 0);
	put_tensor("b", 4, 1, 0, 32);
	put_data(64, 64);
	assert_refused(OCI_E_FORMAT, "not aligned");

	begin(3, 0, 1);
	put_u32_pair("general.alignment", 0);
	assert_refused(OCI_E_FORMAT, "power of two");
	begin(3, 0, 1);
	put_u32_pair("general.alignment", 48);
	assert_refused(OCI_E_FORMAT, "power of two");
}

static void gguf_refuses_a_file_cut_short_or_too_long(void **state)
{
	begin(3, 1, 0);
	put_tensor("a", 4, 4, 0, 0);
	put_data(32, 63);
	assert_refused(OCI_E_FORMAT, "cut short");

	begin(3, 1, 0);
	put_tensor("a", 4, 4, 0, 0);
	put_data(32, 64 + 32);
	assert_refused(OCI_E_FORMAT, "goes on 32 bytes");

	begin(3, 1, 0);
	put_tensor("a", 4, 4, 0, 0);
	assert_refused(OCI_E_FORMAT, "cut short");

	begin(3, 1, 1);
	put_text("general.architecture");
	assert_refused(OCI_E_FORMAT, "ends early");
}

static void gguf_checks_only_the_offset_of_an_unknown_type(void **state)
{
	struct oci_gguf info = {0};

	begin(3, 1, 0);
	put_tensor("a", 5, 1, 999, 0);
	put_data(32, 1000);
	assert_int_equal(inspect(&info, NULL), 0);

	begin(3, 1, 0);
	put_tensor("a", 5, 1, 999, 1024);
	put_data(32, 1000);
	assert_refused(OCI_E_FORMAT, "cut short");
}

static void gguf_refuses_counts_and_lengths_that_lie(void **state)
{
	begin(3, 0, UINT64_C(1) << 63);
	assert_refused(OCI_E_FORMAT, "pairs");
	begin(3, UINT64_C(1) << 63, 0);
	assert_refused(OCI_E_FORMAT, "ends early");
	begin(3, 0, 1);
	put(UINT64_MAX, 8);
	assert_refused(OCI_E_FORMAT, "name of");
	begin(3, 0, 1);
	put_text("k");
	put(STRING, 4);
	put(UINT64_MAX, 8);
	assert_refused(OCI_E_FORMAT, "ends early");
	begin(3, 0, 1);
	put_text("k");
	put(ARRAY, 4);
	put(12, 4);
	put(UINT64_MAX, 8);
	assert_refused(OCI_E_FORMAT, "too long");
	begin(3, 0, 1);
	put_text("k");
	put(77, 4);
	assert_refused(OCI_E_FORMAT, "unknown type");
}

static void gguf_refuses_arrays_nested_without_end(void **state)
{
	begin(3, 0, 1);
	put_text("k");
	for (int i = 0; i < 100; i++) {
		put(ARRAY, 4);
		if (i)
			put(1, 8);
	}
	assert_refused(OCI_E_FORMAT, "nested");
}

static void gguf_refuses_keys_and_tensors_that_are_there_twice_or_overlap(void **state)
{
	begin(3, 0, 2);
	put_u32_pair("k", 1);
	put_u32_pair("k", 2);
	assert_refused(OCI_E_FORMAT, "key twice");

	begin(3, 2, 0);
	put_tensor("a", 8, 1, 0, 0);
	put_tensor("a", 8, 1, 0, 32);
	put_data(32, 64);
	assert_refused(OCI_E_FORMAT, "twice");

	begin(3, 2, 0);
	put_tensor("a", 16, 1, 0, 0);
	put_tensor("b", 8, 1, 0, 32);
	put_data(32, 64);
	assert_refused(OCI_E_FORMAT, "overlap");
}

static void gguf_refuses_dimensions_whose_product_wraps(void **state)
{
	begin(3, 1, 0);
	put_tensor("a", UINT64_C(1) << 32, UINT64_C(1) << 32, 0, 0);
	put_data(32, 64);
	assert_refused(OCI_E_FORMAT, "too large");
	begin(3, 1, 0);
	put_tensor("a", UINT64_C(1) << 31, UINT64_C(1) << 31, 24, 0);
	put_data(32, 64);
	assert_refused(OCI_E_FORMAT, "cut short");
	begin(3, 1, 0);
	put_tensor("a", 100, 1, 12, 0);
	put_data(32, 64);
	assert_refused(OCI_E_FORMAT, "blocks");
}

static void gguf_tells_other_versions_from_other_files(void **state)
{
	begin(1, 0, 0);
	assert_refused(OCI_E_UNSUPPORTED, "version 1");
	begin(0x03000000, 0, 0);
	assert_refused(OCI_E_UNSUPPORTED, "big endian");
	begin(3, 0, 0);
	file.data[0] = 'g';
	assert_refused(OCI_E_FORMAT, "no GGUF");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gguf_reads_metadata_and_counts_parameters),
		cmocka_unit_test(gguf_takes_a_vocabulary_without_data),
		cmocka_unit_test(gguf_keeps_to_the_alignment_that_is_given),
		cmocka_unit_test(gguf_refuses_a_file_cut_short_or_too_long),
		cmocka_unit_test(gguf_checks_only_the_offset_of_an_unknown_type),
		cmocka_unit_test(gguf_refuses_counts_and_lengths_that_lie),
		cmocka_unit_test(gguf_refuses_arrays_nested_without_end),
		cmocka_unit_test(gguf_refuses_keys_and_tensors_that_are_there_twice_or_overlap),
		cmocka_unit_test(gguf_refuses_dimensions_whose_product_wraps),
		cmocka_unit_test(gguf_tells_other_versions_from_other_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
