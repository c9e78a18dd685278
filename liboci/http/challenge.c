#include "http/challenge.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"

#define CHALLENGE_MAX (8 * OCI_KIB)

static const char *skip_blank(const char *at)
{
	return at + strspn(at, " \t");
}

static size_t token_length(const char *at)
{
	size_t len = 0;
	while (at[len] && (isalnum((unsigned char)at[len]) || strchr("!#$%&'*+-.^_`|~", at[len])))
		len++;
	return len;
}

/* A token or quoted string to `out`; returns what follows, NULL when it is neither. */
static const char *parse_value(const char *at, struct oci_buf *out, struct oci_error *err)
{
	if (*at != '"') {
		/* wider than a token: realms come without quotes, too */
		size_t len = strcspn(at, " \t,\"");
		return len > 0 && oci_buf_append(out, at, len, err) == 0 ? at + len : NULL;
	}
	for (at++; *at && *at != '"'; at++) {
		if (*at == '\\' && at[1])
			at++;
		if (oci_buf_append(out, at, 1, err) < 0)
			return NULL;
	}
	return *at == '"' ? at + 1 : NULL;
}

static int keep(struct oci_challenge *c, const char *name, size_t len, const char *value,
	struct oci_error *err)
{
	char **slot = NULL;

	if (len == 5 && strncasecmp(name, "realm", 5) == 0)
		slot = &c->realm;
	else if (len == 7 && strncasecmp(name, "service", 7) == 0)
		slot = &c->service;
	else if (len == 5 && strncasecmp(name, "scope", 5) == 0)
		slot = &c->scope;
	return slot && !*slot ? oci_str_set(slot, value, err) : 0;
}

/* name=value pairs up to the next scheme; `c` NULL: not ours. */
static const char *parse_parameters(const char *at, struct oci_challenge *c, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf value;

	oci_buf_init(&value, CHALLENGE_MAX);
	for (;;) {
		at += strspn(at, " \t,");
		size_t len = token_length(at);
		const char *equals = skip_blank(at + len);
		if (len == 0 || *equals != '=')
			return at;
		oci_buf_reset(&value);
		const char *end = parse_value(skip_blank(equals + 1), &value, err);
		if (!end)
			return NULL;
		if (c && keep(c, at, len, oci_buf_text(&value), err) < 0)
			return NULL;
		at = end;
	}
}

/* What some schemes have instead of parameters: base64 with its padding. */
static const char *skip_token68(const char *at)
{
	const char *end = skip_blank(at);
	while (isalnum((unsigned char)*end) || (*end && strchr("-._~+/", *end)))
		end++;
	end = skip_blank(end + strspn(end, "="));
	return *end == '\0' || *end == ',' ? end : at;
}

int oci_challenge_parse(const char *header, struct oci_challenge *ret, struct oci_error *err)
{
	const char *at = header;

	if (strnlen(header, CHALLENGE_MAX) == CHALLENGE_MAX)
		return oci_fail(err, OCI_E_FORMAT, "a WWW-Authenticate header over 8 KiB");
	for (at += strspn(at, " \t,"); at && *at;) {
		size_t len = token_length(at);
		if (len == 0)
			return oci_fail(err, OCI_E_FORMAT, "a WWW-Authenticate header that cannot be read");
		bool bearer = len == 6 && strncasecmp(at, "bearer", 6) == 0;
		bool basic = len == 5 && strncasecmp(at, "basic", 5) == 0;
		bool first = bearer && !ret->bearer;
		ret->basic |= basic;
		ret->bearer |= bearer;
		at += len;
		at = parse_parameters(bearer || basic ? at : skip_token68(at), first ? ret : NULL, err);
	}
	return at ? 0 : oci_fail(err, OCI_E_FORMAT, "a WWW-Authenticate header that cannot be read");
}

void oci_challenge_clear(struct oci_challenge *c)
{
	free(c->realm);
	free(c->service);
	free(c->scope);
	*c = (struct oci_challenge){0};
}
