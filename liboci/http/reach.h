/* reach.h - how private the network of an address is; private to http/
 *
 * A registry may name other servers (redirects, its token service). It must not
 * use us to reach what it cannot reach itself, so the address of such a server
 * is compared with the registry's own, at the socket, after DNS.
 */
#pragma once

#include <sys/socket.h>

/* The more private, the higher. */
enum oci_reach {
	OCI_REACH_PUBLIC,
	OCI_REACH_PRIVATE,    /* RFC 1918, 100.64.0.0/10, fc00::/7 */
	OCI_REACH_LOOPBACK,   /* and "this host", 0.0.0.0/8 and :: */
	OCI_REACH_LINK_LOCAL, /* metadata services live there */
};

/* An IPv6 address that holds an IPv4 one is that one. Other families are link-local. */
enum oci_reach oci_reach_of(const struct sockaddr *address);
/* The same of a URL's host; a name, which only DNS knows, counts as public. */
enum oci_reach oci_reach_of_host(const char *host);
