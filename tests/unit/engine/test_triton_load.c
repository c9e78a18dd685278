#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "engine/triton_load.h"

/* The models of a tree of these files at /models/enc, with blanks between. */
static const char *models(const char *const *paths, size_t count, char out[128])
{
	OCI_CLEANUP(oci_listing_clear) struct oci_listing files = {0};
	OCI_CLEANUP(oci_strings_clear) struct oci_strings found = {0};
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		assert_non_null(oci_listing_add(&files, paths[i], NULL));
	oci_listing_sort(&files);
	assert_int_equal(oci_triton_models("/tmp/enc", &files, &found, NULL), 0);
	out[0] = '\0';
	for (size_t i = 0; i < found.count; i++)
		n += (size_t)snprintf(out + n, 128 - n, "%s%s", i ? " " : "", found.items[i]);
	return out;
}
#define MODELS(...) models((const char *const[]){__VA_ARGS__}, sizeof (const char *const[]){__VA_ARGS__} / sizeof(char *), out)

static void one_model_is_called_as_its_directory(void **state)
{
	char out[128];

	assert_string_equal(MODELS("config.pbtxt", "1/model.onnx"), "enc");
	assert_string_equal(MODELS("1/model.onnx"), "enc");
}

static void the_models_of_a_repository_are_its_directories(void **state)
{
	char out[128];

	assert_string_equal(MODELS("b/config.pbtxt", "b/1/model.onnx", "a/3/model.plan", "docs/README.md", "README.md"), "a b");
}

static void what_is_no_model_has_no_name(void **state)
{
	char out[128];

	assert_string_equal(MODELS("config.json", "model.safetensors"), "");
	assert_string_equal(MODELS("a/01/model.onnx", "a/x/model.onnx"), "");
}

static void an_endpoint_has_a_scheme_and_an_escaped_name(void **state)
{
	oci_autofree char *bare = oci_triton_endpoint("triton:8000", "enc");
	oci_autofree char *prefixed = oci_triton_endpoint("https://gw.example/t/", "a b");

	assert_string_equal(bare, "http://triton:8000/v2/models/enc/infer");
	assert_string_equal(prefixed, "https://gw.example/t/v2/models/a%20b/infer");
}

static void a_server_that_is_not_there_is_a_timeout(void **state)
{
	char name[] = "enc", *names[] = {name};
	struct oci_strings list = {.items = names, .count = 1};
	struct oci_triton_load_options options = {.url = "http://127.0.0.1:1", .models = &list, .timeout_ms = 1};
	struct oci_error err = {0};

	assert_int_equal(oci_triton_load(&options, &err), -1);
	assert_int_equal(err.code, OCI_E_TIMEOUT);
}

static void what_is_no_url_is_refused(void **state)
{
	char name[] = "enc", *names[] = {name};
	struct oci_strings list = {.items = names, .count = 1};
	struct oci_triton_load_options options = {.url = "ftp://x", .models = &list, .timeout_ms = 1};
	struct oci_error err = {0};

	assert_int_equal(oci_triton_load(&options, &err), -1);
	assert_int_equal(err.code, OCI_E_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_model_is_called_as_its_directory),
		cmocka_unit_test(the_models_of_a_repository_are_its_directories),
		cmocka_unit_test(what_is_no_model_has_no_name),
		cmocka_unit_test(an_endpoint_has_a_scheme_and_an_escaped_name),
		cmocka_unit_test(a_server_that_is_not_there_is_a_timeout),
		cmocka_unit_test(what_is_no_url_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
