#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "core/config.h"

#define DIFF_ID "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" DIFF_ID "\"]}"

/* In the order that is written. */
static const char full[] =
	"{\"created\":\"1970-01-01T00:00:00Z\",\"architecture\":\"arm64\",\"os\":\"linux\",\"variant\":\"v8\","
	"\"config\":{\"User\":\"65534:0\",\"Env\":[\"PATH=/bin\",\"A=\"],"
	"\"Labels\":{\"z\":\"1\",\"a\":\"2\"}}," ROOTFS ",\"history\":[{\"created\":\"1970-01-01T00:00:00Z\","
	"\"created_by\":\"modelcar pack\",\"comment\":\"weights\"},"
	"{\"created_by\":\"ENV\",\"empty_layer\":true}]}";

static void config_parse_reads_every_member(void **state)
{
	OCI_CLEANUP(oci_config_clear) struct oci_config c = {0};
	char digest[OCI_DIGEST_TEXT_MAX];
	assert_int_equal(oci_config_parse(full, strlen(full), &c, NULL), 0);
	assert_string_equal(c.created, "1970-01-01T00:00:00Z");
	assert_string_equal(c.platform.architecture, "arm64");
	assert_string_equal(c.platform.os, "linux");
	assert_string_equal(c.platform.variant, "v8");
	assert_string_equal(c.user, "65534:0");
	assert_int_equal(c.env.count, 2);
	assert_string_equal(c.env.items[0], "PATH=/bin");
	assert_string_equal(oci_annotations_get(&c.labels, "a"), "2");
	assert_int_equal(c.diff_id_count, 1);
	assert_string_equal(oci_digest_format(&c.diff_ids[0], digest), DIFF_ID);
	assert_int_equal(c.history_count, 2);
	assert_string_equal(c.history[0].comment, "weights");
	assert_false(c.history[0].empty_layer);
	assert_null(c.history[1].created);
	assert_string_equal(c.history[1].created_by, "ENV");
	assert_true(c.history[1].empty_layer);
}

static void config_format_gives_back_what_was_read(void **state)
{
	OCI_CLEANUP(oci_config_clear) struct oci_config c = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf out = {.max = OCI_CONFIG_MAX};
	assert_int_equal(oci_config_parse(full, strlen(full), &c, NULL), 0);
	assert_int_equal(oci_config_format(&c, &out, NULL), 0);
	assert_string_equal(oci_buf_text(&out), full);
}

static void config_drops_runtime_settings_of_a_base_image(void **state)
{
	static const char text[] = "{\"author\":\"x\",\"config\":{\"Entrypoint\":[\"/bin/sh\"],\"Cmd\":null,"
				   "\"WorkingDir\":\"/\",\"Env\":null,\"Labels\":null,\"User\":null}," ROOTFS ",\"history\":null}";
	OCI_CLEANUP(oci_config_clear) struct oci_config c = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf out = {.max = OCI_CONFIG_MAX};
	assert_int_equal(oci_config_parse(text, strlen(text), &c, NULL), 0);
	assert_int_equal(oci_config_format(&c, &out, NULL), 0);
	assert_string_equal(oci_buf_text(&out), "{\"config\":{}," ROOTFS "}");
}

static void config_built_by_calls_has_one_history_entry_a_layer(void **state)
{
	OCI_CLEANUP(oci_config_clear) struct oci_config c = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf out = {.max = OCI_CONFIG_MAX};
	struct oci_digest diff_id;
	assert_int_equal(oci_str_set(&c.created, "2026-01-02T03:04:05Z", NULL), 0);
	assert_int_equal(oci_platform_parse("linux/amd64", &c.platform, NULL), 0);
	assert_int_equal(oci_digest_parse(DIFF_ID, &diff_id, NULL), 0);
	assert_int_equal(oci_config_add_diff_id(&c, &diff_id, NULL), 0);
	assert_int_equal(oci_config_add_history(&c, "modelcar pack model.safetensors", NULL), 0);
	assert_int_equal(oci_config_format(&c, &out, NULL), 0);
	assert_string_equal(oci_buf_text(&out),
		"{\"created\":\"2026-01-02T03:04:05Z\",\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{}," ROOTFS
		",\"history\":[{\"created\":\"2026-01-02T03:04:05Z\","
		"\"created_by\":\"modelcar pack model.safetensors\"}]}");
}

static void config_of_many_layers_keeps_their_order(void **state)
{
	OCI_CLEANUP(oci_config_clear) struct oci_config c = {0};
	for (unsigned i = 0; i < 120; i++) {
		struct oci_digest diff_id = {.alg = OCI_SHA256, .bytes = {(unsigned char)i}};
		assert_int_equal(oci_config_add_diff_id(&c, &diff_id, NULL), 0);
		assert_int_equal(oci_config_add_history(&c, NULL, NULL), 0);
	}
	assert_int_equal(c.diff_id_count, 120);
	assert_int_equal(c.history_count, 120);
	for (unsigned i = 0; i < 120; i++)
		assert_int_equal(c.diff_ids[i].bytes[0], i);
}

static void config_parse_refuses_what_is_no_image_config(void **state)
{
	static const struct {
		const char *text;
		enum oci_errc code;
	} bad[] = {
		{"", OCI_E_FORMAT},
		{"[]", OCI_E_FORMAT},
		{"{}", OCI_E_FORMAT},
		{"{\"rootfs\":null}", OCI_E_FORMAT},
		{"{\"rootfs\":{}}", OCI_E_UNSUPPORTED},
		{"{\"rootfs\":{\"type\":\"rootfs\",\"diff_ids\":[]}}", OCI_E_UNSUPPORTED},
		{"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":{}}}", OCI_E_FORMAT},
		{"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[1]}}", OCI_E_FORMAT},
		{"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:../..\"]}}", OCI_E_FORMAT},
		{"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"md5:00\"]}}", OCI_E_UNSUPPORTED},
		{"{\"created\":1," ROOTFS "}", OCI_E_FORMAT},
		{"{\"os\":[]," ROOTFS "}", OCI_E_FORMAT},
		{"{\"config\":[]," ROOTFS "}", OCI_E_FORMAT},
		{"{\"config\":{\"User\":0}," ROOTFS "}", OCI_E_FORMAT},
		{"{\"config\":{\"Env\":{}}," ROOTFS "}", OCI_E_FORMAT},
		{"{\"config\":{\"Env\":[null]}," ROOTFS "}", OCI_E_FORMAT},
		{"{\"config\":{\"Labels\":{\"a\":1}}," ROOTFS "}", OCI_E_FORMAT},
		{"{" ROOTFS ",\"history\":{}}", OCI_E_FORMAT},
		{"{" ROOTFS ",\"history\":[null]}", OCI_E_FORMAT},
		{"{" ROOTFS ",\"history\":[{\"created_by\":1}]}", OCI_E_FORMAT},
		{"{" ROOTFS "," ROOTFS "}", OCI_E_FORMAT},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct oci_error err = {0};
		struct oci_config c = {.diff_id_count = 77};
		assert_int_equal(oci_config_parse(bad[i].text, strlen(bad[i].text), &c, &err), -1);
		assert_int_equal(err.code, bad[i].code);
		assert_true(oci_str_starts(err.text, "image config"));
		assert_int_equal(c.diff_id_count, 77);
	}
}

static void config_without_layers_is_taken(void **state)
{
	static const char text[] = "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":null}}";
	OCI_CLEANUP(oci_config_clear) struct oci_config c = {0};
	assert_int_equal(oci_config_parse(text, strlen(text), &c, NULL), 0);
	assert_int_equal(c.diff_id_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_parse_reads_every_member),
		cmocka_unit_test(config_format_gives_back_what_was_read),
		cmocka_unit_test(config_drops_runtime_settings_of_a_base_image),
		cmocka_unit_test(config_built_by_calls_has_one_history_entry_a_layer),
		cmocka_unit_test(config_of_many_layers_keeps_their_order),
		cmocka_unit_test(config_parse_refuses_what_is_no_image_config),
		cmocka_unit_test(config_without_layers_is_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
