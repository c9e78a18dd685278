#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/cleanup.h"
#include "http/proxy.h"

static bool excepts(const char *list, const char *text)
{
	OCI_CLEANUP(oci_url_clear) struct oci_url url = {0};
	assert_int_equal(oci_url_parse(text, &url, NULL), 0);
	return oci_proxy_excepts(list, &url);
}

static void no_proxy_takes_names_and_all_below_them(void **state)
{
	assert_true(excepts("example.com", "https://example.com/v2/"));
	assert_true(excepts("other, .Example.com", "https://reg.example.com/v2/"));
	assert_true(excepts("*.example.com", "https://a.b.example.com"));
	assert_true(excepts("*", "https://anything.example"));
	assert_false(excepts("example.com", "https://badexample.com"));
	assert_false(excepts("reg.example.com", "https://example.com"));
	assert_false(excepts("", "https://example.com"));
	assert_false(excepts(" , ,", "https://example.com"));
}

static void no_proxy_takes_addresses_and_networks(void **state)
{
	assert_true(excepts("10.1.2.3", "http://10.1.2.3:5000/"));
	assert_true(excepts("10.0.0.0/8", "http://10.1.2.3:5000/"));
	assert_true(excepts("192.168.4.0/22", "http://192.168.7.255"));
	assert_false(excepts("192.168.4.0/22", "http://192.168.8.0"));
	assert_true(excepts("fd00::/8", "http://[fd12::1]:5000"));
	assert_true(excepts("[fd12::1]:5000", "http://[fd12:0:0::1]:5000"));
	assert_true(excepts("fd12::1", "http://[fd12::1]"));
	assert_false(excepts("fd00::/8", "http://10.1.2.3"));
	assert_false(excepts("10.0.0.0/33", "http://10.0.0.0"));
	assert_false(excepts("10.0.0.0/x", "http://10.0.0.0"));
	assert_true(excepts("0.0.0.0/0", "http://10.1.2.3"));
}

static void no_proxy_ties_an_entry_to_its_port(void **state)
{
	assert_true(excepts("reg.example:5000", "http://reg.example:5000"));
	assert_false(excepts("reg.example:5000", "http://reg.example"));
	assert_true(excepts("reg.example:443", "https://reg.example"));
}

static const char *proxy_for(const char *text)
{
	OCI_CLEANUP(oci_url_clear) struct oci_url url = {0};
	assert_int_equal(oci_url_parse(text, &url, NULL), 0);
	return oci_proxy_for(&url);
}

static void proxy_follows_scheme_case_and_exceptions(void **state)
{
	static const char *const names[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy",
		"ALL_PROXY", "no_proxy", "NO_PROXY", "REQUEST_METHOD"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unsetenv(names[i]);
	assert_null(proxy_for("https://reg.example"));
	setenv("ALL_PROXY", "http://all:1", 1);
	setenv("HTTP_PROXY", "http://upper:1", 1);
	setenv("https_proxy", "http://lower:1", 1);
	setenv("HTTPS_PROXY", "http://unused:1", 1);
	setenv("NO_PROXY", ".direct.example", 1);
	assert_string_equal(proxy_for("http://reg.example"), "http://upper:1");
	assert_string_equal(proxy_for("https://reg.example"), "http://lower:1");
	assert_null(proxy_for("https://reg.direct.example"));
	assert_null(proxy_for("http://localhost:5000"));
	assert_null(proxy_for("http://[::1]:5000"));
	setenv("REQUEST_METHOD", "GET", 1);
	assert_string_equal(proxy_for("http://reg.example"), "http://all:1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_proxy_takes_names_and_all_below_them),
		cmocka_unit_test(no_proxy_takes_addresses_and_networks),
		cmocka_unit_test(no_proxy_ties_an_entry_to_its_port),
		cmocka_unit_test(proxy_follows_scheme_case_and_exceptions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
