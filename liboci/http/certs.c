#include "http/certs.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int take_pair(const char *cert, struct oci_certs *ret, struct oci_error *err)
{
	size_t stem = strlen(cert) - strlen(".cert");
	oci_autofree char *key = oci_str_printf("%.*s.key", (int)stem, cert);

	if (!key)
		return oci_fail_nomem(err);
	if (access(key, F_OK) < 0)
		return oci_fail(err, OCI_E_TLS, "client certificate '%s' has no key '%s' beside it", cert, key);
	if (oci_str_set(&ret->cert_file, cert, err) < 0)
		return -1;
	return oci_str_set(&ret->key_file, key, err);
}

static int take(const char *dir, const char *name, struct oci_certs *ret, struct oci_error *err)
{
	oci_autofree char *path = oci_str_printf("%s/%s", dir, name);

	if (!path)
		return oci_fail_nomem(err);
	if (oci_str_ends(name, ".crt"))
		return oci_strings_add(&ret->ca_files, path, err);
	if (oci_str_ends(name, ".cert") && !ret->cert_file)
		return take_pair(path, ret, err);
	return 0;
}

int oci_certs_read(const char *dir, struct oci_certs *ret, bool *found, struct oci_error *err)
{
	struct dirent **entries = NULL;
	int count = scandir(dir, &entries, NULL, by_name);
	int rc = 0;

	*found = count >= 0;
	if (count < 0 && errno != ENOENT && errno != ENOTDIR && errno != EACCES)
		return oci_fail_sys(err, errno, OCI_E_IO, "directory of certificates '%s'", dir);
	for (int i = 0; i < count; i++) {
		if (rc == 0)
			rc = take(dir, entries[i]->d_name, ret, err);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

static int try_dir(const char *before, const char *between, const char *host, struct oci_certs *ret, bool *found,
	struct oci_error *err)
{
	if (*found || !before)
		return 0;
	oci_autofree char *dir = oci_str_printf("%s%s/certs.d/%s", before, between, host);
	return dir ? oci_certs_read(dir, ret, found, err) : oci_fail_nomem(err);
}

int oci_certs_find(const char *host, struct oci_certs *ret, struct oci_error *err)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	bool own_config = config && *config;
	bool found = false;

	if (try_dir(own_config ? config : getenv("HOME"), own_config ? "/containers" : "/.config/containers", host,
		    ret, &found, err) < 0 ||
	    try_dir("/etc", "/containers", host, ret, &found, err) < 0)
		return -1;
	return try_dir("/etc", "/docker", host, ret, &found, err);
}

void oci_certs_clear(struct oci_certs *certs)
{
	oci_strings_clear(&certs->ca_files);
	free(certs->cert_file);
	free(certs->key_file);
	*certs = (struct oci_certs){0};
}
