#include "base/cleanup.h"
#include "http/credentials_file.h"
#include "login.h"

struct logout_flags {
	struct registry_flags registry;
};

static int find_files(const char *authfile, struct oci_strings *ret, struct oci_error *err)
{
	const char *named = authfile ? authfile : getenv("REGISTRY_AUTH_FILE");

	if (named && *named)
		return oci_strings_add(ret, named, err);
	return oci_credentials_search(ret, err);
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct logout_flags *flags = inv->flags;
	OCI_CLEANUP(oci_strings_clear) struct oci_strings files = {0};
	oci_autofree char *registry = NULL;
	const char *authfile = NULL;
	size_t count = 0;

	if (login_registry(inv->operands[0], &registry, err) < 0 ||
		login_authfile(inv, &flags->registry, &authfile, err) < 0 || find_files(authfile, &files, err) < 0)
		return -1;
	for (size_t i = 0; i < files.count; i++) {
		bool found = false;
		if (oci_credentials_erase(files.items[i], registry, &found, err) < 0)
			return -1;
		if (found)
			oci_event_note(inv->observer, "logged out of '%s' in '%s'", registry, files.items[i]);
		count += found;
	}
	if (count == 0)
		return oci_fail(err, OCI_E_NOT_FOUND, "no credentials for '%s' are kept", registry);
	return 0;
}

static const struct opt_operand operands[] = {
	{.name = "HOST", .help = "the registry, or HOST/NAMESPACE as it was given to login", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	LOGIN_GROUP(struct logout_flags, registry),
	{0},
};

static const struct example examples[] = {
	{"forget a password", "logout reg.example"},
	{0},
};

const struct command cmd_logout = {
	.name = "logout",
	.summary = "forget the credentials for a registry",
	.about = "They are taken out of the file of --authfile or REGISTRY_AUTH_FILE, or else out of every file that "
		 "is searched for credentials, and out of the helpers that these name.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(OCI_E_NOT_FOUND, OCI_E_AUTH, OCI_E_FORMAT, OCI_E_PERM, OCI_E_IO),
	.flags_size = sizeof(struct logout_flags),
	.run = run,
};
