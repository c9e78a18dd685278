#include "http/url.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

static void handle_cleanup(CURLU **handle)
{
	curl_url_cleanup(*handle);
}

static void part_cleanup(char **part)
{
	curl_free(*part);
}

static bool text_ok(const char *text)
{
	size_t len = strnlen(text, OCI_URL_MAX + 1);
	if (len == 0 || len > OCI_URL_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
			return false;
	return true;
}

static void lower(char *text)
{
	for (; *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

static int fill(CURLU *handle, struct oci_url *ret, struct oci_error *err)
{
	OCI_CLEANUP(part_cleanup) char *scheme = NULL;
	OCI_CLEANUP(part_cleanup) char *host = NULL;
	OCI_CLEANUP(part_cleanup) char *port = NULL;
	OCI_CLEANUP(part_cleanup) char *text = NULL;
	OCI_CLEANUP(oci_url_clear) struct oci_url url = {0};

	curl_url_set(handle, CURLUPART_FRAGMENT, NULL, 0);
	if (curl_url_get(handle, CURLUPART_SCHEME, &scheme, 0) || curl_url_get(handle, CURLUPART_HOST, &host, 0) ||
	    curl_url_get(handle, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ||
	    curl_url_get(handle, CURLUPART_URL, &text, 0))
		return oci_fail(err, OCI_E_FORMAT, "not an http or https URL");
	lower(scheme);
	lower(host);
	url.tls = strcmp(scheme, "https") == 0;
	if (!url.tls && strcmp(scheme, "http") != 0)
		return oci_fail(err, OCI_E_FORMAT, "not an http or https URL");
	url.text = strdup(text);
	url.host = strdup(host);
	url.origin = oci_str_printf("%s://%s:%s", scheme, host, port);
	if (!url.text || !url.host || !url.origin)
		return oci_fail_nomem(err);
	oci_url_clear(ret);
	*ret = url;
	url = (struct oci_url){0};
	return 0;
}

static int set_url(CURLU *handle, const char *text, struct oci_error *err)
{
	if (!text_ok(text))
		return oci_fail(err, OCI_E_FORMAT, "a URL with spaces, control characters or over 16 KiB");
	CURLUcode rc = curl_url_set(handle, CURLUPART_URL, text, CURLU_DISALLOW_USER);
	if (rc == CURLUE_OUT_OF_MEMORY)
		return oci_fail_nomem(err);
	if (rc == CURLUE_USER_NOT_ALLOWED)
		return oci_fail(err, OCI_E_FORMAT, "a URL with a user name in it");
	if (rc != CURLUE_OK)
		return oci_fail(err, OCI_E_FORMAT, "not an http or https URL");
	return 0;
}

int oci_url_parse(const char *text, struct oci_url *ret, struct oci_error *err)
{
	OCI_CLEANUP(handle_cleanup) CURLU *handle = curl_url();
	if (!handle)
		return oci_fail_nomem(err);
	if (set_url(handle, text, err) < 0)
		return -1;
	return fill(handle, ret, err);
}

int oci_url_join(const struct oci_url *base, const char *location, struct oci_url *ret, struct oci_error *err)
{
	OCI_CLEANUP(handle_cleanup) CURLU *handle = curl_url();
	if (!handle)
		return oci_fail_nomem(err);
	if (set_url(handle, base->text, err) < 0 || set_url(handle, location, err) < 0)
		return -1;
	return fill(handle, ret, err);
}

bool oci_url_same_origin(const struct oci_url *a, const struct oci_url *b)
{
	return strcmp(a->origin, b->origin) == 0;
}

static bool all_ipv4(const char *host)
{
	return host[strspn(host, "0123456789.")] == '\0';
}

bool oci_url_is_loopback(const struct oci_url *url)
{
	if (strcmp(url->host, "localhost") == 0 || strcmp(url->host, "[::1]") == 0)
		return true;
	return oci_str_starts(url->host, "127.") && all_ipv4(url->host);
}

int oci_url_escape(const char *text, struct oci_buf *out, struct oci_error *err)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = (c < 0x80 && isalnum(c)) || strchr("-._~", c);
		int rc = plain ? oci_buf_append(out, text, 1, err) : oci_buf_printf(out, err, "%%%02X", c);
		if (rc < 0)
			return -1;
	}
	return 0;
}

int oci_url_add_query(struct oci_buf *url, const char *key, const char *value, struct oci_error *err)
{
	const char *glue = strchr(oci_buf_text(url), '?') ? "&" : "?";
	if (oci_buf_printf(url, err, "%s%s=", glue, key) < 0)
		return -1;
	return oci_url_escape(value, url, err);
}

void oci_url_clear(struct oci_url *url)
{
	free(url->text);
	free(url->host);
	free(url->origin);
	*url = (struct oci_url){0};
}
