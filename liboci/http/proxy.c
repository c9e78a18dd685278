#include "http/proxy.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

#define ENTRY_MAX 256

struct address {
	unsigned char bytes[16];
	unsigned bits; /* 0: not an address */
};

static struct address parse_address(const char *text)
{
	struct address a = {0};

	if (inet_pton(AF_INET, text, a.bytes) == 1)
		a.bits = 32;
	else if (inet_pton(AF_INET6, text, a.bytes) == 1)
		a.bits = 128;
	return a;
}

static bool same_bits(const struct address *a, const struct address *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (a->bits != b->bits || memcmp(a->bytes, b->bytes, whole) != 0)
		return false;
	return rest == 0 || ((a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest)) == 0;
}

/* `entry` is an address or a network, and `host` an address in it. */
static bool holds_address(char *entry, const char *host)
{
	char *slash = strchr(entry, '/');
	struct address have = parse_address(host);
	uint64_t bits = have.bits;

	if (slash) {
		*slash = '\0';
		if (!oci_str_u64(slash + 1, &bits) || bits > have.bits)
			return false;
	}
	struct address want = parse_address(entry);
	return want.bits > 0 && same_bits(&want, &have, (unsigned)bits);
}

static bool holds_name(const char *entry, const char *host)
{
	size_t below, entry_len, host_len = strlen(host);

	entry += *entry == '*';
	entry += *entry == '.';
	entry_len = strlen(entry);
	if (entry_len == 0 || entry_len > host_len)
		return false;
	below = host_len - entry_len;
	return strcasecmp(host + below, entry) == 0 && (below == 0 || host[below - 1] == '.');
}

/* Cuts ":port" off an entry that has one, and the brackets of an address. */
static const char *split_port(char **entry)
{
	char *colon = strrchr(*entry, ':');
	bool bracketed = **entry == '[';
	char *end = bracketed ? strchr(*entry, ']') : NULL;

	if (bracketed && end) {
		*end = '\0';
		++*entry;
		return end[1] == ':' ? end + 2 : NULL;
	}
	if (!colon || strchr(*entry, ':') != colon)
		return NULL;
	*colon = '\0';
	return colon + 1;
}

static bool holds(char *entry, const char *host, const char *port)
{
	if (strcmp(entry, "*") == 0)
		return true;
	const char *wanted_port = split_port(&entry);
	if (wanted_port && strcmp(wanted_port, port) != 0)
		return false;
	bool network = strchr(entry, '/') != NULL;
	return holds_address(entry, host) || (!network && holds_name(entry, host));
}

bool oci_proxy_excepts(const char *no_proxy, const struct oci_url *url)
{
	char host[ENTRY_MAX], entry[ENTRY_MAX];
	size_t len = strlen(url->host);
	bool bracketed = url->host[0] == '[' && len > 2;

	if (len >= sizeof host)
		return false;
	memcpy(host, url->host + bracketed, len - 2 * bracketed);
	host[len - 2 * bracketed] = '\0';
	for (const char *at = no_proxy; *at; at += len) {
		at += strspn(at, ", \t");
		len = strcspn(at, ", \t");
		if (len == 0 || len >= sizeof entry)
			continue;
		memcpy(entry, at, len);
		entry[len] = '\0';
		if (holds(entry, host, strrchr(url->origin, ':') + 1))
			return true;
	}
	return false;
}

static const char *variable(const char *lower, const char *upper)
{
	const char *value = getenv(lower);
	if (!value || !*value)
		value = upper ? getenv(upper) : NULL;
	return value && *value ? value : NULL;
}

const char *oci_proxy_for(const struct oci_url *url)
{
	const char *proxy, *except = variable("no_proxy", "NO_PROXY");

	if (oci_url_is_loopback(url) || (except && oci_proxy_excepts(except, url)))
		return NULL;
	if (url->tls)
		proxy = variable("https_proxy", "HTTPS_PROXY");
	else
		proxy = variable("http_proxy", getenv("REQUEST_METHOD") ? NULL : "HTTP_PROXY");
	return proxy ? proxy : variable("all_proxy", "ALL_PROXY");
}
