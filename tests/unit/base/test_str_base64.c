#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

static void the_vectors_of_rfc_4648_go_there_and_back(void **state)
{
	static const char *const vectors[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
		{"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
		{"\xfb\xff\xbf", "+/+/"}};

	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf text, bytes;

		oci_buf_init(&text, 100);
		oci_buf_init(&bytes, 100);
		assert_int_equal(oci_str_base64(vectors[i][0], strlen(vectors[i][0]), &text, NULL), 0);
		assert_string_equal(oci_buf_text(&text), vectors[i][1]);
		assert_true(oci_str_unbase64(vectors[i][1], &bytes, NULL));
		assert_string_equal(oci_buf_text(&bytes), vectors[i][0]);
	}
}

static void every_byte_survives(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf again;
	unsigned char bytes[256];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)i;
	oci_buf_init(&text, 1000);
	oci_buf_init(&again, 1000);
	assert_int_equal(oci_str_base64(bytes, sizeof bytes, &text, NULL), 0);
	assert_int_equal(text.len, 344);
	assert_true(oci_str_unbase64(text.data, &again, NULL));
	assert_int_equal(again.len, sizeof bytes);
	assert_memory_equal(again.data, bytes, sizeof bytes);
}

static void malformed_text_is_refused(void **state)
{
	static const char *const bad[] = {"Z", "Zg", "Zg=", "Zm9vZ", "=", "====", "Z===", "Zg==Zg==",
		"Zm8=Zm8=",
		"Zm9v\n", "Zm 9", "Zm-_", "Zh==", "Zm9=", "Z=g=", "Zg=a", "Zm9v====", "\xc3\xa9\xc3\xa9"};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf out;
		struct oci_error err = {0};

		oci_buf_init(&out, 100);
		if (oci_str_unbase64(bad[i], &out, &err))
			fail_msg("'%s'", bad[i]);
		assert_int_equal(err.code, OCI_E_FORMAT);
	}
}

static void the_maximum_of_the_buffer_holds(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf out;
	struct oci_error err = {0};

	oci_buf_init(&out, 5);
	assert_int_equal(oci_str_base64("foob", 4, &out, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
	oci_buf_reset(&out);
	err = (struct oci_error){0};
	assert_false(oci_str_unbase64("Zm9vYmFy", &out, &err));
	assert_int_equal(err.code, OCI_E_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_rfc_4648_go_there_and_back),
		cmocka_unit_test(every_byte_survives),
		cmocka_unit_test(malformed_text_is_refused),
		cmocka_unit_test(the_maximum_of_the_buffer_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
