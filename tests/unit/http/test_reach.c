#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "http/reach.h"

static enum oci_reach reach(const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
		return oci_reach_of((const struct sockaddr *)&in);
	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	return oci_reach_of((const struct sockaddr *)&in6);
}

static void assert_all(const char *const *addresses, enum oci_reach want)
{
	for (; *addresses; addresses++)
		if (reach(*addresses) != want)
			fail_msg("%s is %d, not %d", *addresses, reach(*addresses), want);
}

static void reach_knows_public_addresses(void **state)
{
	static const char *const public[] = {"8.8.8.8", "172.15.0.1", "172.32.0.1", "192.167.1.1", "100.63.0.1",
		"100.128.0.1", "169.253.1.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808", NULL};
	assert_all(public, OCI_REACH_PUBLIC);
}

static void reach_knows_private_addresses(void **state)
{
	static const char *const private[] = {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1",
		"100.64.0.1", "100.127.255.255", "fc00::1", "fd12::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", NULL};
	assert_all(private, OCI_REACH_PRIVATE);
}

static void reach_knows_this_machine(void **state)
{
	static const char *const loopback[] = {"127.0.0.1", "127.255.0.1", "0.0.0.0", "0.1.2.3", "::1", "::",
		"::ffff:127.0.0.1", "::127.0.0.1", NULL};
	assert_all(loopback, OCI_REACH_LOOPBACK);
}

static void reach_knows_the_link(void **state)
{
	static const char *const link[] = {"169.254.169.254", "169.254.0.1", "fe80::1", "::ffff:169.254.169.254", NULL};
	struct sockaddr other = {.sa_family = AF_UNIX};

	assert_all(link, OCI_REACH_LINK_LOCAL);
	assert_int_equal(oci_reach_of(&other), OCI_REACH_LINK_LOCAL);
}

static void reach_of_a_host_is_that_of_the_address_in_it(void **state)
{
	assert_int_equal(oci_reach_of_host("10.0.0.1"), OCI_REACH_PRIVATE);
	assert_int_equal(oci_reach_of_host("[::1]"), OCI_REACH_LOOPBACK);
	assert_int_equal(oci_reach_of_host("[fe80::1]"), OCI_REACH_LINK_LOCAL);
	assert_int_equal(oci_reach_of_host("169.254.169.254"), OCI_REACH_LINK_LOCAL);
	assert_int_equal(oci_reach_of_host("reg.example"), OCI_REACH_PUBLIC);
	assert_int_equal(oci_reach_of_host("["), OCI_REACH_PUBLIC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reach_knows_public_addresses),
		cmocka_unit_test(reach_knows_private_addresses),
		cmocka_unit_test(reach_knows_this_machine),
		cmocka_unit_test(reach_knows_the_link),
		cmocka_unit_test(reach_of_a_host_is_that_of_the_address_in_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
