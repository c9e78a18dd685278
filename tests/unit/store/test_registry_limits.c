#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "store/registry_limits.h"

static void count_warnings(void *ctx, const struct oci_event *event)
{
	*(int *)ctx += event->kind == OCI_EVENT_WARN;
}

static int check(const char *host, uint64_t largest_bytes, size_t layers, int *warnings, struct oci_error *err)
{
	const struct oci_observer observer = {count_warnings, warnings};
	const struct oci_store_load load = {largest_bytes, layers, &observer};

	return oci_registry_check_limits(host, &load, err);
}

static void a_published_limit_is_a_failure(void **state)
{
	const char *host = "1234.dkr.ecr.eu-west-1.amazonaws.com";
	struct oci_error err = {0};
	int warnings = 0;

	assert_int_equal(check(host, 52000 * (uint64_t)OCI_MIB, 3, &warnings, &err), 0);
	assert_int_equal(check(host, 52001 * (uint64_t)OCI_MIB, 3, &warnings, &err), -1);
	assert_int_equal(err.code, OCI_E_UNSUPPORTED);
	assert_non_null(strstr(err.text, host));
	assert_int_equal(warnings, 0);
}

static void hearsay_is_a_warning(void **state)
{
	int warnings = 0;

	assert_int_equal(check("ghcr.io", 11 * (uint64_t)OCI_GIB, 3, &warnings, NULL), 0);
	assert_int_equal(warnings, 1);
}

static void an_unknown_host_takes_all(void **state)
{
	int warnings = 0;

	assert_int_equal(check("reg.example:5000", UINT64_MAX, 127, &warnings, NULL), 0);
	assert_int_equal(warnings, 0);
}

static void more_layers_than_a_runtime_mounts_are_a_warning(void **state)
{
	int warnings = 0;

	assert_int_equal(check("reg.example", 1, 128, &warnings, NULL), 0);
	assert_int_equal(warnings, 1);
}

static void registries_that_take_one_put_are_known(void **state)
{
	assert_true(oci_registry_takes_no_pieces("europe-docker.pkg.dev"));
	assert_true(oci_registry_takes_no_pieces("ghcr.io"));
	assert_false(oci_registry_takes_no_pieces("quay.io"));
	assert_false(oci_registry_takes_no_pieces("reg.example"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_published_limit_is_a_failure),
		cmocka_unit_test(hearsay_is_a_warning),
		cmocka_unit_test(an_unknown_host_takes_all),
		cmocka_unit_test(more_layers_than_a_runtime_mounts_are_a_warning),
		cmocka_unit_test(registries_that_take_one_put_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
