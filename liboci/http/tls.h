/* tls.h - what the transfer library leaves to OpenSSL; private to http/ */
#pragma once

#include "base/str.h"

/* The authorities that connections trust, read once for all of them: the
 * system's, or those of SSL_CERT_FILE and SSL_CERT_DIR in their stead, and those
 * of PEM files. */
struct oci_tls_trust;

/* NULL: *bad could not be read; itself NULL where it is the system's. */
struct oci_tls_trust *oci_tls_trust_new(const struct oci_strings *ca_files, const char **bad);
void oci_tls_trust_free(struct oci_tls_trust *trust);
/* A connection (an SSL_CTX) trusts them, and nobody else. */
void oci_tls_trust_use(const struct oci_tls_trust *trust, void *ssl_ctx);

/* Why a certificate was refused (an X509_V_ERR_ number) and what to do, or
 * NULL when the number says nothing. Static storage. */
const char *oci_tls_reason(long verify_result);
/* The same for a name that the certificate does not hold. */
const char *oci_tls_reason_host(void);
