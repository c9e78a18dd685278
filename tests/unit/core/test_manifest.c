#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "assets.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "core/manifest.h"
#include "core/mediatype.h"

#define EMPTY_DIGEST "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define EMPTY_CONFIG \
	"\"config\":{\"mediaType\":\"" OCI_MT_CONFIG "\",\"digest\":\"" EMPTY_DIGEST "\",\"size\":2}"
#define BARE_MANIFEST "{\"schemaVersion\":2," EMPTY_CONFIG ",\"layers\":[]}"
#define BARE_INDEX "{\"schemaVersion\":2,\"manifests\":[]}"

static void check_ok(const char *name, const char *data, size_t len)
{
	struct oci_error err = {0};
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0}, again = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf once = {.max = OCI_MIB}, twice = {.max = OCI_MIB};
	if (oci_manifest_parse(data, len, NULL, &m, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	assert_int_equal(m.is_index, strstr(name, "index") || strstr(name, "list"));
	assert_non_null(m.media_type);

	assert_int_equal(oci_manifest_format(&m, &once, NULL), 0);
	assert_int_equal(oci_manifest_parse(once.data, once.len, m.media_type, &again, NULL), 0);
	assert_int_equal(again.layer_count, m.layer_count);
	assert_int_equal(again.manifest_count, m.manifest_count);
	assert_int_equal(oci_manifest_format(&again, &twice, NULL), 0);
	assert_string_equal(oci_buf_text(&once), oci_buf_text(&twice));
}

static void check_bad(const char *name, const char *data, size_t len)
{
	struct oci_error err = {0};
	struct oci_manifest m = {.layer_count = 77};
	enum oci_errc want = oci_str_starts(name, "bad-unsupported-") ? OCI_E_UNSUPPORTED : OCI_E_FORMAT;
	if (oci_manifest_parse(data, len, NULL, &m, &err) == 0)
		fail_msg("%s was taken", name);
	if (err.code != want)
		fail_msg("%s: code %d: %s", name, (int)err.code, err.text);
	assert_true(oci_str_starts(err.text, "manifest"));
	assert_true(oci_str_clean_utf8(err.text));
	assert_int_equal(m.layer_count, 77);
}

static void manifest_parse_takes_every_ok_asset(void **state)
{
	for_each_asset("manifest", "ok-", check_ok);
}

static void manifest_parse_rejects_every_bad_asset(void **state)
{
	for_each_asset("manifest", "bad-", check_bad);
}

static int parse_as(const char *text, const char *content_type, char **media_type)
{
	struct oci_error err = {0};
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};
	if (oci_manifest_parse(text, strlen(text), content_type, &m, &err) < 0)
		return (int)err.code;
	if (media_type)
		*media_type = oci_steal(&m.media_type);
	return 0;
}

static void manifest_type_follows_the_content_type(void **state)
{
	char *type = NULL;
	assert_int_equal(parse_as(BARE_MANIFEST, OCI_MT_DOCKER_MANIFEST, &type), 0);
	assert_string_equal(type, OCI_MT_DOCKER_MANIFEST);
	free(type);
	assert_int_equal(parse_as(BARE_INDEX, OCI_MT_DOCKER_LIST "; charset=utf-8", &type), 0);
	assert_string_equal(type, OCI_MT_DOCKER_LIST);
	free(type);
	assert_int_equal(parse_as(BARE_INDEX, "", &type), 0);
	assert_string_equal(type, OCI_MT_INDEX);
	free(type);
	assert_int_equal(parse_as(BARE_MANIFEST, NULL, &type), 0);
	assert_string_equal(type, OCI_MT_MANIFEST);
	free(type);
}

static void manifest_that_contradicts_its_content_type_is_refused(void **state)
{
	static const char typed[] = "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MT_MANIFEST "\"," EMPTY_CONFIG
				    ",\"layers\":[]}";
	assert_int_equal(parse_as(typed, OCI_MT_MANIFEST, NULL), 0);
	assert_int_equal(parse_as(typed, OCI_MT_MANIFEST ";q=1", NULL), 0);
	assert_int_equal(parse_as(typed, OCI_MT_DOCKER_MANIFEST, NULL), OCI_E_FORMAT);
	assert_int_equal(parse_as(typed, OCI_MT_INDEX, NULL), OCI_E_FORMAT);
	assert_int_equal(parse_as(typed, "application/vnd.oci.image", NULL), OCI_E_FORMAT);
	assert_int_equal(parse_as(BARE_MANIFEST, OCI_MT_INDEX, NULL), OCI_E_FORMAT);
	assert_int_equal(parse_as(BARE_INDEX, OCI_MT_MANIFEST, NULL), OCI_E_FORMAT);
	assert_int_equal(parse_as(BARE_MANIFEST, "text/html", NULL), OCI_E_UNSUPPORTED);
}

static void manifest_parse_reads_every_member(void **state)
{
	static const char text[] =
		"{\"schemaVersion\":2,\"mediaType\":\"" OCI_MT_INDEX "\",\"artifactType\":\"a/t\",\"manifests\":["
		"{\"mediaType\":\"m/1\",\"artifactType\":\"a/1\",\"digest\":\"" EMPTY_DIGEST "\",\"size\":7,"
		"\"annotations\":{\"b\":\"1\",\"a\":\"2\"},"
		"\"platform\":{\"architecture\":\"arm64\",\"os\":\"linux\",\"variant\":\"v8\"}}],"
		"\"subject\":{\"mediaType\":\"s/1\",\"digest\":\"" EMPTY_DIGEST "\",\"size\":9},"
		"\"annotations\":{\"k\":\"v\"}}";
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf out = {.max = 10000};
	char digest[OCI_DIGEST_TEXT_MAX];
	assert_int_equal(oci_manifest_parse(text, strlen(text), NULL, &m, NULL), 0);
	assert_true(m.is_index);
	assert_string_equal(m.artifact_type, "a/t");
	assert_int_equal(m.manifest_count, 1);
	assert_int_equal(m.layer_count, 0);
	const struct oci_descriptor *d = &m.manifests[0];
	assert_string_equal(d->media_type, "m/1");
	assert_string_equal(d->artifact_type, "a/1");
	assert_string_equal(oci_digest_format(&d->digest, digest), EMPTY_DIGEST);
	assert_int_equal(d->size_bytes, 7);
	assert_string_equal(d->annotations.items[0].key, "b");
	assert_string_equal(d->annotations.items[1].value, "2");
	assert_string_equal(d->platform.architecture, "arm64");
	assert_string_equal(d->platform.os, "linux");
	assert_string_equal(d->platform.variant, "v8");
	assert_string_equal(m.subject.media_type, "s/1");
	assert_int_equal(m.subject.size_bytes, 9);
	assert_string_equal(oci_annotations_get(&m.annotations, "k"), "v");

	/* The text above is in the order that is written. */
	assert_int_equal(oci_manifest_format(&m, &out, NULL), 0);
	assert_string_equal(oci_buf_text(&out), text);
}

static void set_descriptor(struct oci_descriptor *d, const char *media_type)
{
	assert_non_null(d);
	assert_int_equal(oci_descriptor_of(media_type, "{}", 2, d, NULL), 0);
}

static void manifest_format_writes_the_fixed_order(void **state)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf out = {.max = 10000};
	set_descriptor(&m.config, OCI_MT_CONFIG);
	set_descriptor(oci_manifest_add_layer(&m, NULL), OCI_MT_LAYER_TAR);
	set_descriptor(oci_manifest_add_layer(&m, NULL), OCI_MT_LAYER_GZIP);
	assert_int_equal(oci_annotations_set(&m.layers[0].annotations, "t", "x\"y", NULL), 0);
	assert_int_equal(oci_annotations_set(&m.annotations, "z", "1", NULL), 0);
	assert_int_equal(oci_annotations_set(&m.annotations, "a", "2", NULL), 0);
	assert_int_equal(oci_manifest_format(&m, &out, NULL), 0);
	assert_string_equal(oci_buf_text(&out),
		"{\"schemaVersion\":2,\"mediaType\":\"" OCI_MT_MANIFEST "\"," EMPTY_CONFIG ",\"layers\":["
		"{\"mediaType\":\"" OCI_MT_LAYER_TAR "\",\"digest\":\"" EMPTY_DIGEST "\",\"size\":2,"
		"\"annotations\":{\"t\":\"x\\\"y\"}},"
		"{\"mediaType\":\"" OCI_MT_LAYER_GZIP "\",\"digest\":\"" EMPTY_DIGEST "\",\"size\":2}],"
		"\"annotations\":{\"z\":\"1\",\"a\":\"2\"}}");
}

static void manifest_format_refuses_a_descriptor_without_digest(void **state)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf out = {.max = 10000};
	struct oci_error err = {0};
	set_descriptor(&m.config, OCI_MT_CONFIG);
	assert_non_null(oci_manifest_add_layer(&m, NULL));
	assert_int_equal(oci_manifest_format(&m, &out, &err), -1);
	assert_int_equal(err.code, OCI_E_BUG);
}

static void manifest_of_many_layers_round_trips(void **state)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0}, again = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf out = {.max = OCI_MANIFEST_MAX};
	set_descriptor(&m.config, OCI_MT_CONFIG);
	for (int i = 0; i < 1000; i++)
		set_descriptor(oci_manifest_add_layer(&m, NULL), OCI_MT_LAYER_TAR);
	assert_int_equal(oci_manifest_format(&m, &out, NULL), 0);
	assert_int_equal(oci_manifest_parse(out.data, out.len, OCI_MT_MANIFEST, &again, NULL), 0);
	assert_int_equal(again.layer_count, 1000);
	assert_true(oci_digest_equal(&again.layers[999].digest, &m.config.digest));
}

/* A valid manifest, padded with white space to `len` bytes. */
static int parse_padded(size_t len)
{
	struct oci_error err = {0};
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};
	oci_autofree char *text = malloc(len);
	assert_non_null(text);
	memset(text, ' ', len);
	memcpy(text, BARE_MANIFEST, strlen(BARE_MANIFEST));
	oci_manifest_parse(text, len, NULL, &m, &err);
	return (int)err.code;
}

static void manifest_above_its_size_limit_is_refused(void **state)
{
	assert_int_equal(parse_padded(OCI_MANIFEST_MAX - 1), 0);
	assert_int_equal(parse_padded(OCI_MANIFEST_MAX), 0);
	assert_int_equal(parse_padded(OCI_MANIFEST_MAX + 1), OCI_E_FORMAT);
	assert_int_equal(parse_padded(4 * 1048 * 1048), OCI_E_FORMAT);
	assert_int_equal(parse_padded(2 * OCI_MANIFEST_MAX), OCI_E_FORMAT);
}

/* Annotations up to the limit of values must not cost a quadratic search. */
static void manifest_with_very_many_annotations_is_read_in_time(void **state)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text = {.max = OCI_MANIFEST_MAX};
	OCI_CLEANUP(oci_annotations_clear) struct oci_annotations copy = {0};
	const size_t count = 99000;
	static const char head[] = "{\"schemaVersion\":2,\"manifests\":[],\"annotations\":{\"k\":\"\"";
	assert_int_equal(oci_buf_puts(&text, head, NULL), 0);
	for (size_t i = 1; i < count; i++)
		assert_int_equal(oci_buf_printf(&text, NULL, ",\"key-of-many-%zu\":\"\"", i), 0);
	assert_int_equal(oci_buf_puts(&text, "}}", NULL), 0);
	assert_int_equal(oci_manifest_parse(text.data, text.len, NULL, &m, NULL), 0);
	assert_int_equal(m.annotations.count, count);
	assert_int_equal(oci_annotations_copy(&copy, &m.annotations, NULL), 0);
	assert_int_equal(copy.count, count);
}

/* Every text that is one byte off must be taken or refused, never crash. */
static void manifest_parse_survives_every_flipped_byte(void **state)
{
	char text[] = "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MT_MANIFEST "\"," EMPTY_CONFIG ",\"layers\":[{"
		      "\"mediaType\":\"a/b\",\"digest\":\"" EMPTY_DIGEST "\",\"size\":1,"
		      "\"annotations\":{\"k\":\"\\u00e9\"},\"platform\":{\"os\":\"linux\"}}],\"annotations\":null}";
	static const char replacements[] = "\"{}[]:,\\0-\x01\xff";
	size_t refused = 0;
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		char saved = text[i];
		for (size_t k = 0; k < sizeof(replacements); k++) {
			OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};
			text[i] = replacements[k];
			refused += oci_manifest_parse(text, sizeof(text) - 1, NULL, &m, NULL) < 0;
		}
		text[i] = saved;
	}
	assert_true(refused > sizeof(text));
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		struct oci_manifest m;
		assert_int_equal(oci_manifest_parse(text, len, NULL, &m, NULL), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manifest_parse_takes_every_ok_asset),
		cmocka_unit_test(manifest_parse_rejects_every_bad_asset),
		cmocka_unit_test(manifest_type_follows_the_content_type),
		cmocka_unit_test(manifest_that_contradicts_its_content_type_is_refused),
		cmocka_unit_test(manifest_parse_reads_every_member),
		cmocka_unit_test(manifest_format_writes_the_fixed_order),
		cmocka_unit_test(manifest_format_refuses_a_descriptor_without_digest),
		cmocka_unit_test(manifest_of_many_layers_round_trips),
		cmocka_unit_test(manifest_above_its_size_limit_is_refused),
		cmocka_unit_test(manifest_with_very_many_annotations_is_read_in_time),
		cmocka_unit_test(manifest_parse_survives_every_flipped_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
