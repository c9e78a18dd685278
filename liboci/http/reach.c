#include "http/reach.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static enum oci_reach reach_ipv4(uint32_t ip)
{
	if (ip >> 24 == 127 || ip >> 24 == 0)
		return OCI_REACH_LOOPBACK;
	if (ip >> 16 == 0xa9fe) /* 169.254 */
		return OCI_REACH_LINK_LOCAL;
	bool rfc1918 = ip >> 24 == 10 || ip >> 20 == 0xac1 || ip >> 16 == 0xc0a8;
	bool carrier = ip >> 22 == 0x191; /* 100.64.0.0/10 */
	return rfc1918 || carrier ? OCI_REACH_PRIVATE : OCI_REACH_PUBLIC;
}

static enum oci_reach reach_ipv6(const struct in6_addr *ip)
{
	static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	const unsigned char *b = ip->s6_addr;

	if (IN6_IS_ADDR_LOOPBACK(ip) || IN6_IS_ADDR_UNSPECIFIED(ip))
		return OCI_REACH_LOOPBACK;
	if (IN6_IS_ADDR_V4MAPPED(ip) || IN6_IS_ADDR_V4COMPAT(ip) || memcmp(b, nat64, sizeof nat64) == 0)
		return reach_ipv4((uint32_t)b[12] << 24 | (uint32_t)b[13] << 16 | (uint32_t)b[14] << 8 | b[15]);
	if (IN6_IS_ADDR_LINKLOCAL(ip))
		return OCI_REACH_LINK_LOCAL;
	return (b[0] & 0xfe) == 0xfc ? OCI_REACH_PRIVATE : OCI_REACH_PUBLIC;
}

enum oci_reach oci_reach_of(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, address, sizeof in);
		return reach_ipv4(ntohl(in.sin_addr.s_addr));
	}
	if (address->sa_family != AF_INET6)
		return OCI_REACH_LINK_LOCAL;
	struct sockaddr_in6 in6;
	memcpy(&in6, address, sizeof in6);
	return reach_ipv6(&in6.sin6_addr);
}

enum oci_reach oci_reach_of_host(const char *host)
{
	char text[INET6_ADDRSTRLEN];
	struct in_addr ip;
	struct in6_addr ip6;
	size_t len = strlen(host);

	if (inet_pton(AF_INET, host, &ip) == 1)
		return reach_ipv4(ntohl(ip.s_addr));
	if (host[0] != '[' || len < 3 || len - 2 >= sizeof text)
		return OCI_REACH_PUBLIC;
	memcpy(text, host + 1, len - 2);
	text[len - 2] = '\0';
	return inet_pton(AF_INET6, text, &ip6) == 1 ? reach_ipv6(&ip6) : OCI_REACH_PUBLIC;
}
