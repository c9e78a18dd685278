#include "http/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

void oci_trace_show(const struct oci_http_exchange *x)
{
	char url[OCI_STR_ESCAPE_MAX], shown[600], status[32] = "no answer", attempt[32] = "";

	if (!x->http->observer || !x->url.text)
		return;
	snprintf(shown, sizeof shown, "%.*s", (int)strcspn(x->url.text, "?#"), x->url.text);
	if (x->attempt > 0)
		snprintf(attempt, sizeof attempt, "try %u, ", x->attempt + 1);
	if (x->headers_in)
		snprintf(status, sizeof status, "status %d", x->status);
	oci_event_trace(x->http->observer, "%s %s: %s%s, %" PRIu64 " bytes in %" PRIu64 " ms", x->request->method,
		oci_str_escape(shown, url), attempt, status, oci_http_exchange_moved(x), oci_clock_ms() - x->begun_ms);
}
