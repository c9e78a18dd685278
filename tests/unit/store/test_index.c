#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/mediatype.h"
#include "store/index.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ENTRY(hex, rest) \
	"{\"mediaType\":\"" OCI_MT_MANIFEST "\",\"digest\":\"sha256:" hex "\",\"size\":7" rest "}"
#define NAMED(hex, name) \
	ENTRY(hex, ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" name "\"}")
#define INDEX(entries) "{\"schemaVersion\":2,\"manifests\":[" entries "]}"

static struct oci_buf text_of(const char *text)
{
	struct oci_buf buf;

	oci_buf_init(&buf, OCI_INDEX_MAX);
	assert_int_equal(oci_buf_puts(&buf, text, NULL), 0);
	return buf;
}

#define AUTO_TEXT OCI_CLEANUP(oci_buf_clear) struct oci_buf

/* The first hex digit of what the name stands for, '-' for nothing, '!' for an error. */
static char find(const char *index, const char *name)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
	AUTO_TEXT text = text_of(index);
	char hex[OCI_DIGEST_TEXT_MAX];
	struct oci_error err = {0};
	bool found = false;

	if (oci_index_find(&text, name, &d, &found, &err) < 0) {
		assert_int_equal(err.code, OCI_E_FORMAT);
		return '!';
	}
	if (!found)
		return '-';
	assert_string_equal(d.media_type, OCI_MT_MANIFEST);
	assert_int_equal(d.size_bytes, 7);
	return oci_digest_hex(&d.digest, hex)[0];
}

static void a_name_is_the_ref_name_annotation(void **state)
{
	const char *index = INDEX(NAMED(HEX_A, "v1") "," NAMED(HEX_B, "v2"));

	assert_int_equal(find(index, "v1"), 'a');
	assert_int_equal(find(index, "v2"), 'b');
	assert_int_equal(find(index, "v"), '-');
	assert_int_equal(find(index, "2"), '-');
}

static void a_full_name_counts_by_its_tag(void **state)
{
	const char *full = INDEX(NAMED(HEX_A, "localhost:5000/m:v1") "," NAMED(HEX_B, "x:v2"));
	const char *containerd = INDEX(NAMED(HEX_A, "other") ","
		ENTRY(HEX_B, ",\"annotations\":{\"io.containerd.image.name\":\"docker.io/m/m:v1\"}"));

	assert_int_equal(find(full, "v1"), 'a');
	assert_int_equal(find(full, "localhost:5000/m:v1"), 'a');
	assert_int_equal(find(containerd, "v1"), 'b');
	assert_int_equal(find(containerd, "docker.io/m/m:v1"), 'b');
}

#define HAUL(hex, kind) ENTRY(hex, ",\"annotations\":{\"kind\":\"" kind "\"," \
	"\"org.opencontainers.image.ref.name\":\"m:v1\",\"io.containerd.image.name\":\"r.io/m:v1\"}")

static void what_hauler_lists_beside_an_image_is_not_the_image(void **state)
{
	const char *haul = INDEX(HAUL(HEX_B, "dev.hauler/sigs") "," HAUL(HEX_A, "dev.hauler/image"));
	const char *old = INDEX(HAUL(HEX_A, "dev.cosignproject.cosign/imageIndex") ","
		HAUL(HEX_B, "dev.cosignproject.cosign/atts"));

	assert_int_equal(find(haul, "v1"), 'a');
	assert_int_equal(find(haul, "r.io/m:v1"), 'a');
	assert_int_equal(find(haul, "latest"), 'a');
	assert_int_equal(find(haul, "sha256-" HEX_A ".sig"), 'b');
	assert_int_equal(find(haul, "sha256-" HEX_A ".att"), '-');
	assert_int_equal(find(haul, "sha256-" HEX_B ".sig"), '-');
	assert_int_equal(find(haul, "sha256-zz.sig"), '-');
	assert_int_equal(find(old, "m:v1"), 'a');
	assert_int_equal(find(old, "sha256-" HEX_A ".att"), 'b');
}

static void parts_without_a_name_do_not_stand_beside_the_only_image(void **state)
{
	assert_int_equal(find(INDEX(ENTRY(HEX_B, "") "," NAMED(HEX_A, "v1")), "latest"), 'a');
	assert_int_equal(find(INDEX(ENTRY(HEX_B, "") "," ENTRY(HEX_A, "")), "latest"), '-');
}

static void a_manifest_is_listed_once_and_its_tag_takes_the_place(void **state)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
	AUTO_TEXT text = text_of(INDEX(NAMED(HEX_B, "v2"))), listed, again, tagged;
	bool there = true;

	oci_buf_init(&listed, OCI_INDEX_MAX), oci_buf_init(&again, OCI_INDEX_MAX), oci_buf_init(&tagged, OCI_INDEX_MAX);
	assert_int_equal(oci_descriptor_of(OCI_MT_MANIFEST, "x", 1, &d, NULL), 0);
	assert_int_equal(oci_index_lists(&text, &d.digest, &there, NULL), 0);
	assert_false(there);
	assert_int_equal(oci_index_list(&text, &d, &listed, NULL), 0);
	assert_int_equal(oci_index_lists(&listed, &d.digest, &there, NULL), 0);
	assert_true(there);
	assert_int_equal(oci_index_list(&listed, &d, &again, NULL), 0);
	assert_string_equal(oci_buf_text(&again), oci_buf_text(&listed));
	assert_int_equal(oci_index_set(&again, &d, "v1", &tagged, NULL), 0);
	assert_null(strstr(strstr(oci_buf_text(&tagged), "2d711642b726b044") + 1, "2d711642b726b044"));
	assert_non_null(strstr(oci_buf_text(&tagged), "\"v1\""));
	assert_non_null(strstr(oci_buf_text(&tagged), "\"v2\""));
}

static void an_exact_name_wins_over_a_full_name(void **state)
{
	assert_int_equal(find(INDEX(NAMED(HEX_A, "m:v1") "," NAMED(HEX_B, "v1")), "v1"), 'b');
	assert_int_equal(find(INDEX(NAMED(HEX_B, "v1") "," NAMED(HEX_A, "m:v1")), "v1"), 'b');
}

static void two_images_of_one_name_are_refused(void **state)
{
	assert_int_equal(find(INDEX(NAMED(HEX_A, "v1") "," NAMED(HEX_B, "v1")), "v1"), '!');
	assert_int_equal(find(INDEX(NAMED(HEX_A, "m:v1") "," NAMED(HEX_B, "n:v1")), "v1"), '!');
	assert_int_equal(find(INDEX(NAMED(HEX_A, "v1") "," NAMED(HEX_B, "v1") "," NAMED(HEX_A, "v1")), "v1"),
		'!');
}

static void one_image_named_twice_is_that_image(void **state)
{
	assert_int_equal(find(INDEX(NAMED(HEX_A, "v1") "," NAMED(HEX_A, "v1")), "v1"), 'a');
}

static void the_only_image_is_the_latest(void **state)
{
	assert_int_equal(find(INDEX(ENTRY(HEX_A, "")), "latest"), 'a');
	assert_int_equal(find(INDEX(NAMED(HEX_A, "v1")), "latest"), 'a');
	assert_int_equal(find(INDEX(NAMED(HEX_A, "v1") "," NAMED(HEX_B, "v2")), "latest"), '-');
	assert_int_equal(find(INDEX(NAMED(HEX_A, "v1") "," NAMED(HEX_B, "latest")), "latest"), 'b');
	assert_int_equal(find(INDEX(""), "latest"), '-');
}

static void what_is_no_index_is_refused(void **state)
{
	assert_int_equal(find("", "v1"), '!');
	assert_int_equal(find("[]", "v1"), '!');
	assert_int_equal(find("{\"manifests\":[{}]}", "v1"), '!');
}

static char *set(const char *index, char hex, const char *tag)
{
	AUTO_TEXT text = text_of(index);
	AUTO_TEXT out;
	struct oci_descriptor d = {.media_type = (char *)OCI_MT_MANIFEST, .size_bytes = 7};
	char digest[7 + 64 + 1] = "sha256:";

	oci_buf_init(&out, OCI_INDEX_MAX);
	memset(digest + 7, hex, 64);
	assert_int_equal(oci_digest_parse(digest, &d.digest, NULL), 0);
	assert_int_equal(oci_index_set(&text, &d, tag, &out, NULL), 0);
	return oci_steal(&out.data);
}

static void a_new_tag_comes_last(void **state)
{
	oci_autofree char *got = set(INDEX(NAMED(HEX_A, "v1")), 'b', "v2");

	assert_string_equal(got, INDEX(NAMED(HEX_A, "v1") "," NAMED(HEX_B, "v2")));
}

static void a_tag_is_replaced_in_its_place(void **state)
{
	oci_autofree char *got = set(INDEX(NAMED(HEX_A, "v1") "," NAMED(HEX_A, "v2") "," NAMED(HEX_A, "v1")),
		'b', "v1");

	assert_string_equal(got, INDEX(NAMED(HEX_B, "v1") "," NAMED(HEX_A, "v2")));
}

static void what_others_wrote_stays(void **state)
{
	oci_autofree char *got = set("{\"x\":[1,null,true,\"\\u00e9\"],\"manifests\":[" ENTRY(HEX_A,
		",\"urls\":[],\"y\":{\"b\":1,\"a\":2}") "],\"schemaVersion\":2,\"annotations\":{}}", 'b',
		"v1");

	assert_string_equal(got, "{\"x\":[1,null,true,\"\u00e9\"],\"manifests\":[" ENTRY(HEX_A,
		",\"urls\":[],\"y\":{\"b\":1,\"a\":2}") "," NAMED(HEX_B, "v1") "],"
		"\"schemaVersion\":2,\"annotations\":{}}");
}

static void an_entry_says_type_and_platform(void **state)
{
	AUTO_TEXT text = text_of(OCI_INDEX_EMPTY_TEXT);
	AUTO_TEXT out;
	char os[] = "linux", arch[] = "arm64", type[] = "application/x", media[] = OCI_MT_MANIFEST;
	struct oci_descriptor d = {
		.media_type = media,
		.size_bytes = 7,
		.artifact_type = type,
		.platform = {.os = os, .architecture = arch},
	};

	oci_buf_init(&out, OCI_INDEX_MAX);
	assert_int_equal(oci_digest_parse("sha256:" HEX_A, &d.digest, NULL), 0);
	assert_int_equal(oci_index_set(&text, &d, "v1", &out, NULL), 0);
	assert_non_null(strstr(out.data, "\"size\":7,\"artifactType\":\"application/x\",\"annotations\":{"));
	assert_non_null(strstr(out.data, "\"platform\":{\"architecture\":\"arm64\",\"os\":\"linux\"}}]"));
}

static void tags_are_the_names_in_order(void **state)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0};
	AUTO_TEXT text = text_of(INDEX(NAMED(HEX_A, "z") "," ENTRY(HEX_A, "") "," NAMED(HEX_B, "a") ","
		NAMED(HEX_B, "z")));

	assert_int_equal(oci_index_tags(&text, &tags, NULL), 0);
	assert_int_equal(tags.count, 2);
	assert_string_equal(tags.items[0], "z");
	assert_string_equal(tags.items[1], "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_the_ref_name_annotation),
		cmocka_unit_test(a_full_name_counts_by_its_tag),
		cmocka_unit_test(what_hauler_lists_beside_an_image_is_not_the_image),
		cmocka_unit_test(parts_without_a_name_do_not_stand_beside_the_only_image),
		cmocka_unit_test(a_manifest_is_listed_once_and_its_tag_takes_the_place),
		cmocka_unit_test(an_exact_name_wins_over_a_full_name),
		cmocka_unit_test(two_images_of_one_name_are_refused),
		cmocka_unit_test(one_image_named_twice_is_that_image),
		cmocka_unit_test(the_only_image_is_the_latest),
		cmocka_unit_test(what_is_no_index_is_refused),
		cmocka_unit_test(a_new_tag_comes_last),
		cmocka_unit_test(a_tag_is_replaced_in_its_place),
		cmocka_unit_test(what_others_wrote_stays),
		cmocka_unit_test(an_entry_says_type_and_platform),
		cmocka_unit_test(tags_are_the_names_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
