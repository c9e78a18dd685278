#include "http/dial.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "http/proxy.h"

static void free_addresses(struct addrinfo **list)
{
	if (*list)
		freeaddrinfo(*list);
}

static void name_address(const struct addrinfo *a, char out[OCI_DIAL_ADDRESS_MAX])
{
	char host[48] = "?", port[8] = "?";

	(void)getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof host, port, sizeof port,
		NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(out, OCI_DIAL_ADDRESS_MAX, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/* 0, or the errno of what failed. */
static int connect_to(const struct addrinfo *a, uint64_t deadline_ms)
{
	oci_autoclose int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	int sys = 0;
	socklen_t len = sizeof sys;

	if (fd < 0)
		return errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	for (;;) {
		uint64_t now = oci_clock_ms();
		int n = now < deadline_ms ? poll(&ready, 1, (int)(deadline_ms - now)) : 0;

		if (n > 0)
			return getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &len) < 0 ? errno : sys;
		if (n == 0)
			return ETIMEDOUT;
		if (errno != EINTR)
			return errno;
	}
}

/* Its first address may be of a network that this machine has no way to. */
static int connect_any(const struct addrinfo *list, uint64_t timeout_ms, struct oci_dial *ret, struct oci_error *err)
{
	uint64_t begin = oci_clock_ms();
	int sys = ETIMEDOUT;

	for (const struct addrinfo *a = list; a; a = a->ai_next) {
		uint64_t now = oci_clock_ms(), share = timeout_ms / (a->ai_next ? 2 : 1);

		if (now - begin >= timeout_ms)
			break;
		name_address(a, ret->address);
		sys = connect_to(a, now + share);
		ret->connect_ms = oci_clock_ms() - now;
		if (sys == 0)
			return 0;
	}
	return oci_fail_sys(err, sys, OCI_E_NETWORK, "'%s' does not answer", ret->address);
}

int oci_dial(const char *origin, uint64_t timeout_ms, struct oci_dial *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_url_clear) struct oci_url url = {0};
	OCI_CLEANUP(free_addresses) struct addrinfo *list = NULL;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	oci_autofree char *host = NULL;
	size_t len;
	int rc;

	if (oci_url_parse(origin, &url, err) < 0)
		return -1;
	ret->proxied = oci_proxy_for(&url) != NULL;
	if (ret->proxied)
		return 0;
	len = strlen(url.host);
	host = url.host[0] == '[' && len > 2 ? strndup(url.host + 1, len - 2) : strdup(url.host);
	if (!host)
		return oci_fail_nomem(err);
	rc = getaddrinfo(host, strrchr(url.origin, ':') + 1, &hints, &list);
	if (rc == EAI_ADDRFAMILY || rc == EAI_NONAME) { /* with loopback alone there is no family that counts */
		hints.ai_flags = 0;
		rc = getaddrinfo(host, strrchr(url.origin, ':') + 1, &hints, &list);
	}
	if (rc != 0)
		return oci_fail(err, OCI_E_NETWORK, "the name '%s' has no address: %s", url.host, gai_strerror(rc));
	ret->found = true;
	return connect_any(list, timeout_ms, ret, err);
}
