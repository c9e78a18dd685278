#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../core/assets.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "http/challenge.h"

/* Header lines up to an empty one, then what they must be understood as. */
static int parse_lines(char *text, struct oci_challenge *ret, const char **rest, struct oci_error *err)
{
	int rc = 0;
	char *end;

	for (; (end = strchr(text, '\n')) && end != text; text = end + 1) {
		*end = '\0';
		rc |= oci_challenge_parse(text, ret, err);
	}
	*rest = end ? end + 1 : text;
	return rc;
}

static void put_line(struct oci_buf *out, const char *name, const char *value)
{
	if (value)
		assert_int_equal(oci_buf_printf(out, NULL, "%s %s\n", name, value), 0);
}

static void check_ok(const char *name, const char *data, size_t len)
{
	OCI_CLEANUP(oci_challenge_clear) struct oci_challenge c = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf got;
	oci_autofree char *text = strndup(data, len);
	const char *want;

	print_message("%s\n", name);
	oci_buf_init(&got, ASSET_MAX);
	assert_int_equal(parse_lines(text, &c, &want, NULL), 0);
	assert_int_equal(oci_buf_puts(&got, c.basic ? "basic\n" : "", NULL), 0);
	assert_int_equal(oci_buf_puts(&got, c.bearer ? "bearer\n" : "", NULL), 0);
	put_line(&got, "realm", c.realm);
	put_line(&got, "service", c.service);
	put_line(&got, "scope", c.scope);
	assert_string_equal(oci_buf_text(&got), want);
}

static void check_bad(const char *name, const char *data, size_t len)
{
	OCI_CLEANUP(oci_challenge_clear) struct oci_challenge c = {0};
	oci_autofree char *text = strndup(data, len);
	struct oci_error err = {0};
	const char *rest;

	print_message("%s\n", name);
	assert_int_equal(parse_lines(text, &c, &rest, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
}

static void challenge_parse_understands_ok_assets(void **state)
{
	for_each_asset("challenge", "ok-", check_ok);
}

static void challenge_parse_refuses_bad_assets(void **state)
{
	for_each_asset("challenge", "bad-", check_bad);
}

static void challenge_parse_refuses_more_than_8_kib(void **state)
{
	OCI_CLEANUP(oci_challenge_clear) struct oci_challenge c = {0};
	char header[9000];

	memset(header, 'a', sizeof header - 1);
	header[sizeof header - 1] = '\0';
	memcpy(header, "Bearer realm=", 13);
	assert_int_equal(oci_challenge_parse(header, &c, NULL), -1);
	header[8000] = '\0';
	assert_int_equal(oci_challenge_parse(header, &c, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(challenge_parse_understands_ok_assets),
		cmocka_unit_test(challenge_parse_refuses_bad_assets),
		cmocka_unit_test(challenge_parse_refuses_more_than_8_kib),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
