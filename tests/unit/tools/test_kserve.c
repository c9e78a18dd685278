#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/cleanup.h"
#include "engine/listing.h"
#include "kserve.h"

static bool matches(const char *pattern, const char *path)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings globs = {0};

	assert_int_equal(kserve_add_pattern(&globs, pattern, NULL), 0);
	return oci_str_glob(globs.items[0], path);
}

static void patterns_match_as_fnmatch_does(void **state)
{
	assert_true(matches("*.json", "config.json"));
	assert_true(matches("*.json", "a/b/config.json"));
	assert_true(matches("a/*", "a/b/c.bin"));
	assert_true(matches("a**c", "a/b/c"));
	assert_true(matches("model-0000[1-3].bin", "model-00002.bin"));
	assert_true(matches("a?c", "abc"));
	assert_true(matches("a\\b", "a\\b"));
	assert_false(matches("config.json", "a/config.json"));
	assert_false(matches("*.json", "config.json.bak"));
	assert_false(matches("b/*", "a/b/c"));
}

static void read_with(const char *allow, struct kserve *ret, enum oci_errc want)
{
	struct oci_error err = {0};

	setenv("STORAGE_ALLOW_PATTERNS", allow, 1);
	assert_int_equal(kserve_read(NULL, ret, &err), want == OCI_OK ? 0 : -1);
	assert_int_equal(err.code, want);
	unsetenv("STORAGE_ALLOW_PATTERNS");
}

static void patterns_are_an_array_or_have_commas(void **state)
{
	static const char *const same[] = {"*.json, a/b", "[\"*.json\",\" a/b \", \"\"]", " *.json,,a/b,"};

	for (size_t i = 0; i < 3; i++) {
		OCI_CLEANUP(kserve_clear) struct kserve k = {0};

		read_with(same[i], &k, OCI_OK);
		assert_int_equal(k.allow.count, 2);
		assert_string_equal(k.allow.items[0], "/**.json");
		assert_string_equal(k.allow.items[1], "/a/b");
	}
}

static void an_array_of_something_else_is_refused(void **state)
{
	OCI_CLEANUP(kserve_clear) struct kserve k = {0};

	read_with("[1]", &k, OCI_E_USAGE);
}

static void what_is_not_set_means_nothing(void **state)
{
	OCI_CLEANUP(kserve_clear) struct kserve k = {0};

	assert_int_equal(kserve_read(NULL, &k, NULL), 0);
	assert_false(k.insecure);
	assert_null(k.ca_file);
	assert_int_equal(k.authfiles.count + k.allow.count + k.ignore.count, 0);
}

static void an_encrypted_model_is_refused(void **state)
{
	OCI_CLEANUP(kserve_clear) struct kserve k = {0};
	struct oci_error err = {0};

	setenv("CONFIDENTIAL_RESOURCE_ID", "kbs:///x", 1);
	assert_int_equal(kserve_read(NULL, &k, &err), -1);
	assert_int_equal(err.code, OCI_E_UNSUPPORTED);
	unsetenv("CONFIDENTIAL_RESOURCE_ID");
}

static void an_image_is_told_from_an_object_store(void **state)
{
	oci_autofree char *plain = kserve_reference("oci://reg.example/a/b:1");
	oci_autofree char *fetched = kserve_reference("oci+fetch://reg.example/a/b:1");

	assert_true(kserve_is_image("oci://reg.example/a/b:1"));
	assert_true(kserve_is_image("oci+fetch://reg.example/a/b:1"));
	assert_false(kserve_is_image("oci://n/ns/b/bucket/o/models/x"));
	assert_false(kserve_is_image("s3://bucket/x"));
	assert_false(kserve_is_image("/mnt/pvc/x"));
	assert_string_equal(plain, "docker://reg.example/a/b:1");
	assert_string_equal(fetched, plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_as_fnmatch_does),
		cmocka_unit_test(patterns_are_an_array_or_have_commas),
		cmocka_unit_test(an_array_of_something_else_is_refused),
		cmocka_unit_test(what_is_not_set_means_nothing),
		cmocka_unit_test(an_encrypted_model_is_refused),
		cmocka_unit_test(an_image_is_told_from_an_object_store),
	};

	static const char *const names[] = {"KSERVE_OCI_DOCKER_CONFIG", "KSERVE_OCI_INSECURE_REGISTRY",
		"CA_BUNDLE_CONFIGMAP_NAME", "CA_BUNDLE_VOLUME_MOUNT_POINT", "STORAGE_ALLOW_PATTERNS",
		"STORAGE_IGNORE_PATTERNS", "CONFIDENTIAL_RESOURCE_ID", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unsetenv(names[i]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
