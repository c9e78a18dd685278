#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assets.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "core/reference.h"

#define DIGEST "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static char *format(const struct oci_reference *ref)
{
	struct oci_buf buf;
	oci_buf_init(&buf, 4096);
	assert_int_equal(oci_reference_format(ref, &buf, NULL), 0);
	return buf.data;
}

/* A case is the reference in the first line and, below it, "name value" lines. */
struct asset_case {
	char text[1024];
	const char *lines;
};

static void split_case(const char *data, size_t len, struct asset_case *ret)
{
	const char *end = memchr(data, '\n', len);
	assert_non_null(end);
	assert_true((size_t)(end - data) < sizeof(ret->text));
	memcpy(ret->text, data, (size_t)(end - data));
	ret->text[end - data] = '\0';
	ret->lines = end + 1;
}

/* Value of a line, "" when there is none. */
static const char *expected(const char *lines, const char *end, const char *name, char out[1024])
{
	size_t name_len = strlen(name);
	out[0] = '\0';
	for (const char *line = lines; line < end;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		assert_non_null(stop);
		if (strncmp(line, name, name_len) == 0 && line[name_len] == ' ')
			snprintf(out, 1024, "%.*s", (int)(stop - line - name_len - 1), line + name_len + 1);
		line = stop + 1;
	}
	return out;
}

static void check_ok(const char *name, const char *data, size_t len)
{
	static const char *const transports[] = {"registry", "layout", "archive", "docker-archive", "bundle", "dir"};
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0}, again = {0};
	char want[1024], digest[OCI_DIGEST_TEXT_MAX];
	struct oci_error err = {0};
	struct asset_case c;
	split_case(data, len, &c);
	if (oci_reference_parse(c.text, &ref, &err) < 0)
		fail_msg("%s: %s", name, err.text);

	const char *end = data + len;
	assert_string_equal(transports[ref.transport], expected(c.lines, end, "transport", want));
	assert_string_equal(ref.host ? ref.host : "", expected(c.lines, end, "host", want));
	assert_string_equal(ref.path, expected(c.lines, end, "path", want));
	assert_string_equal(ref.tag ? ref.tag : "", expected(c.lines, end, "tag", want));
	assert_string_equal(oci_digest_format(&ref.digest, digest), expected(c.lines, end, "digest", want));

	oci_autofree char *canonical = format(&ref);
	expected(c.lines, end, "canonical", want);
	assert_string_equal(canonical, *want ? want : c.text);
	assert_int_equal(oci_reference_parse(canonical, &again, NULL), 0);
	oci_autofree char *canonical_again = format(&again);
	assert_string_equal(canonical_again, canonical);
}

static void check_bad(const char *name, const char *data, size_t len)
{
	struct oci_reference ref = {.tag = (char *)"untouched"};
	struct oci_error err = {0};
	struct asset_case c;
	split_case(data, len, &c);
	if (oci_reference_parse(c.text, &ref, &err) == 0)
		fail_msg("%s: '%s' was taken", name, c.text);
	assert_int_equal(err.code, OCI_E_USAGE);
	assert_string_equal(ref.tag, "untouched");

	oci_autofree char *form = strndup(c.lines, strcspn(c.lines, "\n"));
	assert_non_null(form);
	assert_int_not_equal(*form, '\0');
	if (!strstr(err.text, form))
		fail_msg("%s: '%s' does not show '%s'", name, err.text, form);
	assert_true(oci_str_clean_utf8(err.text));
}

static void reference_parse_takes_every_ok_asset(void **state)
{
	for_each_asset("reference", "ok-", check_ok);
}

static void reference_parse_rejects_every_bad_asset_and_shows_the_right_form(void **state)
{
	for_each_asset("reference", "bad-", check_bad);
}

static void reference_format_pinned_has_the_digest_in_place_of_the_tag(void **state)
{
	static const struct {
		const char *text, *pinned;
	} cases[] = {
		{"r.io:5000/a/b:tag", "r.io:5000/a/b@" DIGEST},
		{"docker://r.io/a@" DIGEST, "r.io/a@" DIGEST},
		{"docker.io/busybox", "docker.io/library/busybox@" DIGEST},
		{"oci:dir:tag", "oci:dir@" DIGEST},
		{"oci-archive:/x.tar", "oci-archive:/x.tar@" DIGEST},
		{"docker-archive:/x.tar:r.io:5000/a:b", "docker-archive:/x.tar@" DIGEST},
	};
	struct oci_digest digest;
	assert_int_equal(oci_digest_parse(DIGEST, &digest, NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
		OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
		oci_buf_init(&buf, 4096);
		assert_int_equal(oci_reference_parse(cases[i].text, &ref, NULL), 0);
		assert_int_equal(oci_reference_format_pinned(&ref, &digest, &buf, NULL), 0);
		assert_string_equal(oci_buf_text(&buf), cases[i].pinned);
	}
}

static void reference_docker_name_fills_in_what_docker_leaves_out(void **state)
{
	static const struct {
		const char *name, *full;
	} cases[] = {
		{"busybox", "docker.io/library/busybox"},
		{"busybox:v1", "docker.io/library/busybox:v1"},
		{"team/m:v1", "docker.io/team/m:v1"},
		{"docker.io/m:v1", "docker.io/library/m:v1"},
		{"docker.io/team/m", "docker.io/team/m"},
		{"localhost/m:v1", "localhost/m:v1"},
		{"localhosts/m:v1", "docker.io/localhosts/m:v1"},
		{"r:5000/m", "r:5000/m"},
		{"r.io/a/b:v1", "r.io/a/b:v1"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		oci_autofree char *full = oci_reference_docker_name(cases[i].name);
		assert_string_equal(full, cases[i].full);
	}
}

static void reference_tag_ok_follows_the_grammar(void **state)
{
	char long_tag[130];
	memset(long_tag, 'a', sizeof(long_tag));
	long_tag[128] = '\0';
	assert_true(oci_reference_tag_ok(long_tag));
	long_tag[128] = 'a';
	long_tag[129] = '\0';
	assert_false(oci_reference_tag_ok(long_tag));
	assert_true(oci_reference_tag_ok("v1.0-rc_2"));
	assert_true(oci_reference_tag_ok("_"));
	assert_false(oci_reference_tag_ok(""));
	assert_false(oci_reference_tag_ok("-a"));
	assert_false(oci_reference_tag_ok(".a"));
	assert_false(oci_reference_tag_ok("a/b"));
	assert_false(oci_reference_tag_ok("a:b"));
	assert_false(oci_reference_tag_ok("caf\xc3\xa9"));
}

static void reference_parse_survives_a_very_long_text(void **state)
{
	const size_t len = 100000;
	oci_autofree char *text = malloc(len + 1);
	struct oci_reference ref;
	struct oci_error err = {0};
	assert_non_null(text);
	memset(text, 'a', len);
	text[len] = '\0';
	memcpy(text, "r.io/", 5);
	assert_int_equal(oci_reference_parse(text, &ref, &err), -1);
	assert_int_equal(err.code, OCI_E_USAGE);
	memset(text, ':', len);
	assert_int_equal(oci_reference_parse(text, &ref, NULL), -1);
}

static void reference_error_does_not_show_a_password(void **state)
{
	static const char *const texts[] = {
		"https://me:hunter2@r.io/a:b", "me:hunter2@r.io/a", "docker://me:hunter2@r.io/a", "oci://me:hunter2@r.io/a",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct oci_reference ref;
		struct oci_error err = {0};
		assert_int_equal(oci_reference_parse(texts[i], &ref, &err), -1);
		assert_null(strstr(err.text, "hunter2"));
	}
}

/* Whatever is taken, its canonical text names the same thing again. */
static void reference_format_of_random_text_parses_back(void **state)
{
	static const char *const pieces[] = {
		"oci:", "oci://", "docker://", "oci-archive:", "docker-archive:", "a", "b.c", "localhost", "[::1]", "docker.io", "/", ":",
		"@", ("@" DIGEST), ":5000", "T", "-", "_", ".", "..",
	};
	uint64_t random = 42;
	size_t taken = 0;
	for (int round = 0; round < 20000; round++) {
		char text[1024] = "";
		for (size_t len = 0, n = 0; n < 7; n++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
				pieces[(random >> 33) % (sizeof(pieces) / sizeof(pieces[0]))]);
		}
		OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0}, again = {0};
		if (oci_reference_parse(text, &ref, NULL) < 0)
			continue;
		taken++;
		oci_autofree char *canonical = format(&ref);
		if (oci_reference_parse(canonical, &again, NULL) < 0)
			fail_msg("'%s' became '%s'", text, canonical);
		assert_int_equal(ref.transport, again.transport);
		assert_string_equal(ref.path, again.path);
		oci_autofree char *canonical_again = format(&again);
		assert_string_equal(canonical, canonical_again);
	}
	assert_true(taken > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reference_parse_takes_every_ok_asset),
		cmocka_unit_test(reference_parse_rejects_every_bad_asset_and_shows_the_right_form),
		cmocka_unit_test(reference_format_pinned_has_the_digest_in_place_of_the_tag),
		cmocka_unit_test(reference_docker_name_fills_in_what_docker_leaves_out),
		cmocka_unit_test(reference_tag_ok_follows_the_grammar),
		cmocka_unit_test(reference_parse_survives_a_very_long_text),
		cmocka_unit_test(reference_error_does_not_show_a_password),
		cmocka_unit_test(reference_format_of_random_text_parses_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
