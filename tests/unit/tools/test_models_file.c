#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "models_file.h"

static int parse(const char *text, struct models_file *ret, struct oci_error *err)
{
	return models_file_parse(text, strlen(text), ret, err);
}

static void an_entry_is_a_mapping_or_a_name_alone(void **state)
{
	OCI_CLEANUP(models_file_clear) struct models_file file = {0};

	assert_int_equal(parse("models:\n"
			       "- reg.example/team/qwen2:0.5b\n"
			       "- {ref: 'oci:store:v1', path: a/b, publish: version, platform: linux/arm64, root: /,\n"
			       "   include: ['*.json', x], exclude: y}\n", &file, NULL), 0);
	assert_int_equal(file.count, 2);
	assert_string_equal(file.items[0].path, "qwen2");
	assert_string_equal(file.items[1].ref, "oci:store:v1");
	assert_string_equal(file.items[1].path, "a/b");
	assert_string_equal(file.items[1].publish, "version");
	assert_string_equal(file.items[1].platform, "linux/arm64");
	assert_string_equal(file.items[1].root, "/");
	assert_int_equal(file.items[1].include.count, 2);
	assert_string_equal(file.items[1].exclude.items[0], "y");
}

static void what_lies_in_the_list_is_known_by_its_path(void **state)
{
	OCI_CLEANUP(models_file_clear) struct models_file file = {0};

	assert_int_equal(parse("models: [{ref: 'r.example/m', path: a/b}]", &file, NULL), 0);
	assert_true(models_file_has(&file, "a/b"));
	assert_true(models_file_has(&file, "a/b/sha256-0123456789ab"));
	assert_false(models_file_has(&file, "a"));
	assert_false(models_file_has(&file, "a/bc"));
}

static void what_is_not_a_list_of_models_is_refused(void **state)
{
	static const char *const bad[] = {"", "models: []", "models: x", "[a]", "models: [{path: a}]",
		"models: [{ref: 'r.example/m', path: ../a}]", "models: [{ref: 'r.example/m', path: /a}]",
		"models: [{ref: 'r.example/m', path: .modelcar.x}]", "models: [{ref: 'r.example/m', paht: a}]",
		"models: [{ref: 'oci:store:v1'}]", "models: [{ref: 'r.example/m', path: [a]}]",
		"models: [{ref: 'r.example/m', include: {a: b}}]", "models: ['r.example/a/m', 'r.example/b/m']",
		"models: [{ref: 'r.example/m', path: a}, {ref: 'r.example/m', path: a/b}]", "models: ['NOT A REF']",
		"{models: ['r.example/m'], prune: yes}", "models: [{ref: 'r.example/m', publish: swapp}]",
		"models: [{ref: 'r.example/m', platform: linux}]"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		OCI_CLEANUP(models_file_clear) struct models_file file = {0};
		struct oci_error err = {0};

		if (parse(bad[i], &file, &err) == 0)
			fail_msg("'%s' was read", bad[i]);
		if (err.code != OCI_E_USAGE)
			fail_msg("'%s' is code %d: %s", bad[i], (int)err.code, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_is_a_mapping_or_a_name_alone),
		cmocka_unit_test(what_lies_in_the_list_is_known_by_its_path),
		cmocka_unit_test(what_is_not_a_list_of_models_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
