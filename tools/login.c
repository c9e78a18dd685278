#include "login.h"

#include <string.h>

#include "base/cleanup.h"
#include "http/client.h"

int login_registry(const char *text, char **ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	char shown[OCI_STR_ESCAPE_MAX];

	/* what stands in a reference before the last part of a repository's name */
	oci_autofree char *whole = oci_str_printf("%s/x", text);
	if (!whole)
		return oci_fail_nomem(err);
	if (oci_reference_parse(whole, &ref, NULL) < 0 || ref.transport != OCI_TRANSPORT_REGISTRY || strchr(text, '@'))
		return oci_fail(err, OCI_E_USAGE, "'%s' names no registry; write HOST, HOST:PORT or HOST/NAMESPACE",
			oci_str_escape(text, shown));
	const char *namespace = strchr(text, '/');
	free(*ret);
	*ret = oci_str_printf("%s%s", oci_http_known_as(ref.host), namespace ? namespace : "");
	return *ret ? 0 : oci_fail_nomem(err);
}

int login_authfile(const struct invocation *inv, const struct registry_flags *flags, const char **ret,
	struct oci_error *err)
{
	if (flags->authfiles.count > 1)
		return command_misused(inv->command, err, "option '--authfile' names the one file to change");
	*ret = flags->authfiles.count ? flags->authfiles.items[0] : NULL;
	return 0;
}
