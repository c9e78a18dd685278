/* certs.h - certificates that the user keeps for one registry
 *
 * spec: containers-certs.d(5), which docker follows too. The first of these
 * directories that exists is the one:
 *
 *     ${XDG_CONFIG_HOME:-~/.config}/containers/certs.d/HOST[:PORT]
 *     /etc/containers/certs.d/HOST[:PORT]
 *     /etc/docker/certs.d/HOST[:PORT]
 *
 * Each *.crt in it is an authority to trust besides the system's; the first
 * NAME.cert in the order of names, with NAME.key, is the client's certificate.
 */
#pragma once

#include "base/str.h"

struct oci_certs {
	struct oci_strings ca_files;
	char *cert_file, *key_file; /* NULL: none */
};

/* What the directories have for a host, added to *ret; a certificate that is
 * there already stays. OCI_E_TLS when one has no key beside it. */
int oci_certs_find(const char *host, struct oci_certs *ret, struct oci_error *err);
/* The same of one directory; *found says whether it exists. */
int oci_certs_read(const char *dir, struct oci_certs *ret, bool *found, struct oci_error *err);
void oci_certs_clear(struct oci_certs *certs);
