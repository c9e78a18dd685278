#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "memory_tree.h"
#include "model/triton.h"

static struct oci_model_info inspect(struct memory_tree *m)
{
	struct oci_model_info info = {0};
	struct oci_error err = {0};

	if (oci_model_inspect(&m->tree, &info, &err) < 0)
		fail_msg("%s", err.text);
	print_findings(&info);
	memory_clear(m);
	return info;
}

static void triton_config_keeps_the_fields_it_needs(void **state)
{
	struct oci_triton_config c = {0};
	struct oci_error err = {0};

	if (oci_triton_config_parse("# a comment with { and \"\n"
				    "name: \"net\" \"work\" ; platform: 'onnxruntime_onnx'\n"
				    "backend:\"python\", max_batch_size: 8\n"
				    "input [ { name: \"x\" data_type: TYPE_FP32 dims: [ -1, 3 ] },"
				    "        { name: \"y\" } ]\n"
				    "parameters { key: \"name\" value: { string_value: \"}\\\"{\" } }\n"
				    "instance_group < count: 1 >\n"
				    "version_policy: { specific: { versions: [1, 3] versions: 7 } }\n",
		    &c, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(c.name, "network");
	assert_string_equal(c.platform, "onnxruntime_onnx");
	assert_string_equal(c.backend, "python");
	assert_int_equal(c.max_batch_size, 8);
	assert_int_equal(c.policy, OCI_TRITON_SPECIFIC);
	assert_int_equal(c.version_count, 3);
	assert_int_equal(c.versions[0], 1);
	assert_int_equal(c.versions[2], 7);
	oci_triton_config_clear(&c);
}

static void triton_config_knows_the_other_policies(void **state)
{
	struct oci_triton_config all = {0}, latest = {0}, none = {0};

	assert_int_equal(oci_triton_config_parse("version_policy { all { } }", &all, NULL), 0);
	assert_int_equal(all.policy, OCI_TRITON_ALL);
	assert_int_equal(
		oci_triton_config_parse("version_policy: { latest: { num_versions: 2}}", &latest, NULL), 0);
	assert_int_equal(latest.policy, OCI_TRITON_LATEST);
	assert_int_equal(oci_triton_config_parse("", &none, NULL), 0);
	assert_int_equal(none.policy, OCI_TRITON_LATEST);
}

static void triton_config_refuses_what_does_not_match(void **state)
{
	static const char *const bad[] = {"input [ {", "name: \"x", "name: 'x\n'", "a { b: 1", "}", "name",
		"name 1", "a: [1, {]", ": 3", "version_policy { specific { versions: -1 } }", "a: }"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct oci_triton_config c = {0};
		struct oci_error err = {0};
		if (oci_triton_config_parse(bad[i], &c, &err) == 0)
			fail_msg("'%s' was taken", bad[i]);
		assert_int_equal(err.code, OCI_E_FORMAT);
	}
}

static void triton_config_refuses_endless_nesting(void **state)
{
	char deep[2001];
	struct oci_triton_config c = {0};
	struct oci_error err = {0};

	for (size_t i = 0; i < 1000; i++)
		memcpy(deep + 2 * i, "a{", 2);
	deep[2000] = '\0';
	assert_int_equal(oci_triton_config_parse(deep, &c, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
}

static void triton_model_is_whole(void **state)
{
	struct memory_tree m = {0};

	memory_text(&m, "config.pbtxt", "name: \"resnet\" platform: \"onnxruntime_onnx\"");
	memory_text(&m, "1/model.onnx", "x");
	memory_text(&m, "labels.txt", "cat");
	struct oci_model_info info = inspect(&m);
	assert_int_equal(info.layout, OCI_MODEL_TRITON_MODEL);
	assert_int_equal(info.finding_count, 0);
	assert_string_equal(info.name, "resnet");
	assert_string_equal(info.format, "onnx");
	oci_model_info_clear(&info);
}

static void triton_model_without_config_is_known_by_its_version(void **state)
{
	struct memory_tree m = {0}, numbers = {0};

	memory_text(&m, "3/model.savedmodel/saved_model.pb", "x");
	struct oci_model_info info = inspect(&m);
	assert_int_equal(info.layout, OCI_MODEL_TRITON_MODEL);
	oci_model_info_clear(&info);

	memory_text(&numbers, "2024/report.csv", "x");
	memory_text(&numbers, "01/model.onnx", "x");
	info = inspect(&numbers);
	assert_int_equal(info.layout, OCI_MODEL_PLAIN);
	oci_model_info_clear(&info);
}

static void triton_model_needs_a_version_directory(void **state)
{
	struct memory_tree m = {0}, zero = {0}, ensemble = {0};

	memory_text(&m, "config.pbtxt", "backend: \"python\"");
	memory_text(&m, "model.py", "x");
	struct oci_model_info info = inspect(&m);
	assert_true(has_finding(&info, OCI_FINDING_ERROR, ".", "without a version directory"));
	oci_model_info_clear(&info);

	memory_text(&zero, "config.pbtxt", "");
	memory_text(&zero, "01/model.py", "x");
	info = inspect(&zero);
	assert_true(has_finding(&info, OCI_FINDING_ERROR, ".", "without a version directory"));
	oci_model_info_clear(&info);

	memory_text(&ensemble, "config.pbtxt", "platform: \"ensemble\"");
	info = inspect(&ensemble);
	assert_true(has_finding(&info, OCI_FINDING_WARNING, ".", "ensemble without"));
	assert_int_equal(info.finding_count, 1);
	oci_model_info_clear(&info);
}

static void triton_model_needs_the_versions_its_policy_names(void **state)
{
	struct memory_tree m = {0};

	memory_text(&m, "config.pbtxt", "version_policy: { specific: { versions: [1, 2] } }");
	memory_text(&m, "1/model.onnx", "x");
	memory_text(&m, "20/model.onnx", "x");
	struct oci_model_info info = inspect(&m);
	assert_true(has_finding(&info, OCI_FINDING_ERROR, ".", "version 2,"));
	assert_int_equal(info.finding_count, 1);
	oci_model_info_clear(&info);
}

static void triton_repository_is_checked_model_by_model(void **state)
{
	struct memory_tree m = {0};

	memory_text(&m, "good/config.pbtxt", "name: \"good\"");
	memory_text(&m, "good/1/model.onnx", "x");
	memory_text(&m, "good.old/1/model.onnx", "x");
	memory_text(&m, "renamed/config.pbtxt", "name: \"other\"");
	memory_text(&m, "renamed/1/model.onnx", "x");
	memory_text(&m, "hollow/config.pbtxt", "name: \"hollow\"");
	memory_text(&m, "broken/config.pbtxt", "name: {");
	memory_text(&m, "broken/1/model.plan", "x");
	memory_text(&m, "docs/readme.md", "x");
	struct oci_model_info info = inspect(&m);
	assert_int_equal(info.layout, OCI_MODEL_TRITON_REPOSITORY);
	assert_null(info.name);
	assert_true(has_finding(&info, OCI_FINDING_ERROR, "renamed/config.pbtxt", "'other'"));
	assert_true(has_finding(&info, OCI_FINDING_ERROR, "hollow", "without a version"));
	assert_true(has_finding(&info, OCI_FINDING_ERROR, "broken/config.pbtxt", "line 1"));
	assert_true(has_finding(&info, OCI_FINDING_WARNING, "docs", "every directory"));
	assert_int_equal(info.finding_count, 4);
	oci_model_info_clear(&info);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(triton_config_keeps_the_fields_it_needs),
		cmocka_unit_test(triton_config_knows_the_other_policies),
		cmocka_unit_test(triton_config_refuses_what_does_not_match),
		cmocka_unit_test(triton_config_refuses_endless_nesting),
		cmocka_unit_test(triton_model_is_whole),
		cmocka_unit_test(triton_model_without_config_is_known_by_its_version),
		cmocka_unit_test(triton_model_needs_a_version_directory),
		cmocka_unit_test(triton_model_needs_the_versions_its_policy_names),
		cmocka_unit_test(triton_repository_is_checked_model_by_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
