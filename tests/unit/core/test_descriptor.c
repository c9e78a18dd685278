#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/descriptor.h"

static void annotations_set_adds_and_replaces(void **state)
{
	OCI_CLEANUP(oci_annotations_clear) struct oci_annotations a = {0};
	assert_null(oci_annotations_get(&a, "x"));
	assert_int_equal(oci_annotations_set(&a, "x", "1", NULL), 0);
	assert_int_equal(oci_annotations_set(&a, "y", "2", NULL), 0);
	assert_int_equal(oci_annotations_set(&a, "x", "3", NULL), 0);
	assert_int_equal(a.count, 2);
	assert_string_equal(oci_annotations_get(&a, "x"), "3");
	assert_string_equal(oci_annotations_get(&a, "y"), "2");
	assert_null(oci_annotations_get(&a, "z"));
}

static void annotations_set_may_take_its_own_value(void **state)
{
	OCI_CLEANUP(oci_annotations_clear) struct oci_annotations a = {0};
	assert_int_equal(oci_annotations_set(&a, "x", "long enough to live on the heap", NULL), 0);
	assert_int_equal(oci_annotations_set(&a, "x", oci_annotations_get(&a, "x"), NULL), 0);
	assert_string_equal(oci_annotations_get(&a, "x"), "long enough to live on the heap");
}

static void annotations_survive_many_additions_and_removals(void **state)
{
	OCI_CLEANUP(oci_annotations_clear) struct oci_annotations a = {0};
	char key[16];
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(oci_annotations_set(&a, key, key, NULL), 0);
		if (i % 3 == 0)
			oci_annotations_remove(&a, key);
		if (i % 7 == 0)
			oci_annotations_remove(&a, a.count ? a.items[0].key : "none");
	}
	assert_int_equal(a.count, 100 - 34 - 14); /* the first of the 15 sevenths finds it empty */
	for (size_t i = 0; i < a.count; i++)
		assert_string_equal(a.items[i].key, a.items[i].value);
}

static void annotations_remove_keeps_the_order_of_the_rest(void **state)
{
	OCI_CLEANUP(oci_annotations_clear) struct oci_annotations a = {0};
	for (const char *key = "abcd"; *key; key++)
		assert_int_equal(oci_annotations_set(&a, (char[]){*key, 0}, "v", NULL), 0);
	oci_annotations_remove(&a, "b");
	oci_annotations_remove(&a, "absent");
	assert_int_equal(a.count, 3);
	assert_string_equal(a.items[0].key, "a");
	assert_string_equal(a.items[1].key, "c");
	assert_string_equal(a.items[2].key, "d");
}

static void annotations_copy_adds_and_replaces(void **state)
{
	OCI_CLEANUP(oci_annotations_clear) struct oci_annotations a = {0}, b = {0};
	assert_int_equal(oci_annotations_set(&a, "x", "old", NULL), 0);
	assert_int_equal(oci_annotations_set(&a, "keep", "1", NULL), 0);
	assert_int_equal(oci_annotations_set(&b, "x", "new", NULL), 0);
	assert_int_equal(oci_annotations_set(&b, "y", "2", NULL), 0);
	assert_int_equal(oci_annotations_copy(&a, &b, NULL), 0);
	assert_int_equal(a.count, 3);
	assert_string_equal(oci_annotations_get(&a, "x"), "new");
	assert_string_equal(oci_annotations_get(&a, "keep"), "1");
	assert_string_equal(oci_annotations_get(&a, "y"), "2");
}

static void annotations_sort_by_the_bytes_of_the_key(void **state)
{
	OCI_CLEANUP(oci_annotations_clear) struct oci_annotations a = {0};
	static const char *const keys[] = {"b", "a.b", "B", "a", "\xc3\xa9", "a-b"};
	static const char *const sorted[] = {"B", "a", "a-b", "a.b", "b", "\xc3\xa9"};
	oci_annotations_sort(&a);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(oci_annotations_set(&a, keys[i], keys[i], NULL), 0);
	oci_annotations_sort(&a);
	for (size_t i = 0; i < 6; i++) {
		assert_string_equal(a.items[i].key, sorted[i]);
		assert_string_equal(a.items[i].value, sorted[i]);
	}
}

static void platform_parse_takes_two_or_three_words(void **state)
{
	OCI_CLEANUP(oci_platform_clear) struct oci_platform p = {0};
	assert_int_equal(oci_platform_parse("linux/amd64", &p, NULL), 0);
	assert_string_equal(p.os, "linux");
	assert_string_equal(p.architecture, "amd64");
	assert_null(p.variant);
	oci_platform_clear(&p);
	assert_int_equal(oci_platform_parse("linux/arm64/v8", &p, NULL), 0);
	assert_string_equal(p.architecture, "arm64");
	assert_string_equal(p.variant, "v8");
}

static void platform_parse_rejects_other_text(void **state)
{
	static const char *const bad[] = {
		"", "linux", "linux/", "/amd64", "linux//v8", "linux/arm64/", "linux/arm64/v8/x", "linux/arm 64",
		"linux/arm64/v8/", " linux/amd64", "linux/amd64\n",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct oci_error err = {0};
		struct oci_platform p = {0};
		assert_int_equal(oci_platform_parse(bad[i], &p, &err), -1);
		assert_int_equal(err.code, OCI_E_USAGE);
		assert_non_null(strstr(err.text, "linux/amd64"));
		assert_null(p.os);
	}
}

static bool match(const char *want, const char *have)
{
	OCI_CLEANUP(oci_platform_clear) struct oci_platform w = {0}, h = {0};
	assert_int_equal(oci_platform_parse(want, &w, NULL), 0);
	assert_int_equal(oci_platform_parse(have, &h, NULL), 0);
	return oci_platform_match(&w, &h);
}

static void platform_match_compares_a_variant_only_when_both_name_one(void **state)
{
	struct oci_platform none = {0};
	assert_true(match("linux/arm64", "linux/arm64"));
	assert_true(match("linux/arm64", "linux/arm64/v8"));
	assert_true(match("linux/arm64/v8", "linux/arm64"));
	assert_true(match("linux/arm/v7", "linux/arm/v7"));
	assert_false(match("linux/arm/v7", "linux/arm/v6"));
	assert_false(match("linux/arm64", "linux/amd64"));
	assert_false(match("linux/amd64", "windows/amd64"));
	assert_false(oci_platform_match(oci_platform_host(), &none));
	assert_false(oci_platform_match(&none, &none));
}

static void platform_of_the_host_matches_itself(void **state)
{
	const struct oci_platform *host = oci_platform_host();
	assert_string_equal(host->os, "linux");
	assert_true(oci_platform_match(host, host));
}

static void platform_copy_replaces_what_was_there(void **state)
{
	OCI_CLEANUP(oci_platform_clear) struct oci_platform p = {0};
	assert_int_equal(oci_platform_parse("windows/arm/v7", &p, NULL), 0);
	assert_int_equal(oci_platform_copy(&p, oci_platform_host(), NULL), 0);
	assert_string_equal(p.os, "linux");
	assert_null(p.variant);
}

static void descriptor_copy_is_deep_and_replaces(void **state)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor from = {0}, to = {0};
	assert_int_equal(oci_descriptor_of("a/b", "abc", 3, &from, NULL), 0);
	assert_int_equal(oci_annotations_set(&from.annotations, "k", "v", NULL), 0);
	assert_int_equal(oci_platform_copy(&from.platform, oci_platform_host(), NULL), 0);
	assert_int_equal(oci_descriptor_of("c/d", "x", 1, &to, NULL), 0);
	assert_int_equal(oci_annotations_set(&to.annotations, "gone", "v", NULL), 0);

	assert_int_equal(oci_descriptor_copy(&to, &from, NULL), 0);
	assert_string_equal(to.media_type, "a/b");
	assert_ptr_not_equal(to.media_type, from.media_type);
	assert_true(oci_digest_equal(&to.digest, &from.digest));
	assert_int_equal(to.size_bytes, 3);
	assert_null(to.artifact_type);
	assert_string_equal(to.platform.os, "linux");
	assert_int_equal(to.annotations.count, 1);
	assert_string_equal(oci_annotations_get(&to.annotations, "k"), "v");
}

static void descriptor_of_bytes_has_their_digest_and_size(void **state)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
	char text[OCI_DIGEST_TEXT_MAX];
	assert_int_equal(oci_descriptor_of("application/vnd.oci.empty.v1+json", "{}", 2, &d, NULL), 0);
	assert_int_equal(d.size_bytes, 2);
	assert_string_equal(d.media_type, "application/vnd.oci.empty.v1+json");
	assert_string_equal(oci_digest_format(&d.digest, text),
		"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

static void descriptor_clear_takes_an_empty_value(void **state)
{
	struct oci_descriptor d = {0};
	oci_descriptor_clear(&d);
	oci_descriptor_clear(&d);
	assert_null(d.media_type);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(annotations_set_adds_and_replaces),
		cmocka_unit_test(annotations_set_may_take_its_own_value),
		cmocka_unit_test(annotations_survive_many_additions_and_removals),
		cmocka_unit_test(annotations_remove_keeps_the_order_of_the_rest),
		cmocka_unit_test(annotations_copy_adds_and_replaces),
		cmocka_unit_test(annotations_sort_by_the_bytes_of_the_key),
		cmocka_unit_test(platform_parse_takes_two_or_three_words),
		cmocka_unit_test(platform_parse_rejects_other_text),
		cmocka_unit_test(platform_match_compares_a_variant_only_when_both_name_one),
		cmocka_unit_test(platform_of_the_host_matches_itself),
		cmocka_unit_test(platform_copy_replaces_what_was_there),
		cmocka_unit_test(descriptor_copy_is_deep_and_replaces),
		cmocka_unit_test(descriptor_of_bytes_has_their_digest_and_size),
		cmocka_unit_test(descriptor_clear_takes_an_empty_value),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
