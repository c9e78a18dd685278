#include "http/warning.h"

#include <string.h>

#include "base/cleanup.h"
#include "http/exchange.h"

#define HEADERS_MAX 8
#define TEXTS_MAX 64

bool oci_warning_parse(const char *header, struct oci_buf *out)
{
	const char *at = strchr(header, '"');

	if (!oci_str_starts(header, "299 ") || !at || strnlen(header, OCI_WARNING_MAX + 1) > OCI_WARNING_MAX)
		return false;
	for (at++; *at && *at != '"'; at++) {
		if (*at == '\\' && at[1])
			at++;
		if (oci_buf_append(out, at, 1, NULL) < 0)
			return false;
	}
	return *at == '"' && out->len > 0;
}

static bool is_new(struct oci_http *http, const char *text)
{
	pthread_mutex_lock(&http->lock);
	bool fresh = http->warnings.count < TEXTS_MAX && !oci_strings_has(&http->warnings, text) &&
		oci_strings_add(&http->warnings, text, NULL) == 0;
	pthread_mutex_unlock(&http->lock);
	return fresh;
}

void oci_warning_show(struct oci_http_exchange *x)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	char safe[OCI_STR_ESCAPE_MAX];
	const char *header;

	oci_buf_init(&text, OCI_WARNING_MAX);
	for (size_t i = 0; i < HEADERS_MAX && (header = oci_http_exchange_header(x, "Warning", i)); i++) {
		oci_buf_reset(&text);
		if (!oci_warning_parse(header, &text))
			continue;
		oci_str_escape(oci_buf_text(&text), safe);
		if (is_new(x->http, safe))
			oci_event_warn(x->http->observer, "%s says: %s", x->http->origin.host, safe);
	}
}
