#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "http/url.h"

#define AUTO_URL OCI_CLEANUP(oci_url_clear) struct oci_url

static void url_parse_knows_host_and_origin(void **state)
{
	AUTO_URL url = {0};

	assert_int_equal(oci_url_parse("HTTPS://Reg.Example/v2/a?b=C#d", &url, NULL), 0);
	assert_string_equal(url.host, "reg.example");
	assert_string_equal(url.origin, "https://reg.example:443");
	assert_non_null(strstr(url.text, "/v2/a?b=C"));
	assert_null(strchr(url.text, '#'));
	assert_true(url.tls);
	assert_int_equal(oci_url_parse("http://[::1]:5000/", &url, NULL), 0);
	assert_string_equal(url.origin, "http://[::1]:5000");
	assert_false(url.tls);
}

static void url_parse_refuses_what_is_no_http_url(void **state)
{
	static const char *const bad[] = {"", "/v2/", "file:///etc/passwd", "ftp://h/x", "http://", "https://u:p@h/",
		"https://u@h/", "https://h/a b", "https://h/a\r\nX: y", "https://h:99999/", "gopher://h/"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		AUTO_URL url = {0};
		struct oci_error err = {0};
		assert_int_equal(oci_url_parse(bad[i], &url, &err), -1);
		assert_int_equal(err.code, OCI_E_FORMAT);
		assert_null(url.text);
	}
}

static void url_join_resolves_as_a_browser_would(void **state)
{
	static const char *const cases[][2] = {
		{"/v2/up/1?s=%2F&t=", "https://h:8443/v2/up/1?s=%2F&t="},
		{"up/2", "https://h:8443/v2/a/up/2"},
		{"../up", "https://h:8443/v2/up"},
		{"?n=2", "https://h:8443/v2/a/b?n=2"},
		{"//cdn.example/x", "https://cdn.example/x"},
		{"http://other:1/x?sig=1", "http://other:1/x?sig=1"},
	};
	AUTO_URL base = {0};

	assert_int_equal(oci_url_parse("https://h:8443/v2/a/b?n=1", &base, NULL), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		AUTO_URL url = {0};
		assert_int_equal(oci_url_join(&base, cases[i][0], &url, NULL), 0);
		assert_string_equal(url.text, cases[i][1]);
	}
}

static void url_join_refuses_other_schemes(void **state)
{
	AUTO_URL base = {0}, url = {0};

	assert_int_equal(oci_url_parse("https://h/", &base, NULL), 0);
	assert_int_equal(oci_url_join(&base, "file:///etc/passwd", &url, NULL), -1);
	assert_int_equal(oci_url_join(&base, "https://u:p@h/", &url, NULL), -1);
	assert_int_equal(oci_url_join(&base, "/a\nb", &url, NULL), -1);
}

static bool same(const char *a, const char *b)
{
	AUTO_URL x = {0}, y = {0};
	assert_int_equal(oci_url_parse(a, &x, NULL), 0);
	assert_int_equal(oci_url_parse(b, &y, NULL), 0);
	return oci_url_same_origin(&x, &y);
}

static void url_origin_is_scheme_host_and_port(void **state)
{
	assert_true(same("https://h/a", "https://H:443/b"));
	assert_true(same("http://h", "http://h:80/"));
	assert_false(same("https://h/", "http://h/"));
	assert_false(same("https://h/", "https://h:444/"));
	assert_false(same("https://h/", "https://h.evil/"));
	assert_false(same("http://h:443/", "https://h/"));
}

static bool loopback(const char *text)
{
	AUTO_URL url = {0};
	assert_int_equal(oci_url_parse(text, &url, NULL), 0);
	return oci_url_is_loopback(&url);
}

static void url_loopback_is_this_machine_only(void **state)
{
	assert_true(loopback("http://localhost:5000/"));
	assert_true(loopback("http://LOCALHOST/"));
	assert_true(loopback("http://127.0.0.1/"));
	assert_true(loopback("http://127.9.8.7:1/"));
	assert_true(loopback("http://[::1]/"));
	assert_false(loopback("http://127.evil.example/"));
	assert_false(loopback("http://localhost.evil.example/"));
	assert_false(loopback("http://10.0.0.1/"));
}

static void url_add_query_escapes_and_finds_its_glue(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, 256);
	assert_int_equal(oci_buf_puts(&buf, "http://h/x", NULL), 0);
	assert_int_equal(oci_url_add_query(&buf, "digest", "sha256:ab", NULL), 0);
	assert_int_equal(oci_url_add_query(&buf, "from", "a/b&c=\xc3\xa9", NULL), 0);
	assert_string_equal(buf.data, "http://h/x?digest=sha256%3Aab&from=a%2Fb%26c%3D%C3%A9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(url_parse_knows_host_and_origin),
		cmocka_unit_test(url_parse_refuses_what_is_no_http_url),
		cmocka_unit_test(url_join_resolves_as_a_browser_would),
		cmocka_unit_test(url_join_refuses_other_schemes),
		cmocka_unit_test(url_origin_is_scheme_host_and_port),
		cmocka_unit_test(url_loopback_is_this_machine_only),
		cmocka_unit_test(url_add_query_escapes_and_finds_its_glue),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
