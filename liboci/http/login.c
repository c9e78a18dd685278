#include "http/login.h"

#include "base/cleanup.h"

static void http_cleanup(struct oci_http **http)
{
	oci_http_free(*http);
}

static int ask(struct oci_http *http, const char *url, const char *scope, int *status, struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;
	struct oci_http_request ask = {.method = "GET", .url = url, .scope = scope, .retry = true};

	oci_http_response_init(&answer, OCI_MIB);
	if (oci_http_perform(http, &ask, &answer, err) < 0)
		return -1;
	bool bare_refusal = !scope && answer.status == 401;
	if (!bare_refusal && oci_http_expect(&ask, &answer, 200, err) < 0)
		return -1;
	*status = answer.status;
	return 0;
}

int oci_login_check(const struct oci_http_options *options, bool *ret, struct oci_error *err)
{
	OCI_CLEANUP(http_cleanup) struct oci_http *http = oci_http_new(options, err);
	int status = 0;

	if (!http)
		return -1;
	oci_autofree char *url = oci_str_printf("%s/v2/", oci_http_origin(http));
	if (!url)
		return oci_fail_nomem(err);
	if (ask(http, url, NULL, &status, err) < 0)
		return -1;
	*ret = status == 401;
	return *ret ? ask(http, url, "", &status, err) : 0;
}
