/* tls.h - what the transfer library leaves to OpenSSL; private to http/ */
#pragma once

/* Add the certificates of a PEM file to a connection's trusted ones (an
 * SSL_CTX); 0 or -1. The system's own stay trusted. */
int oci_tls_add_ca(void *ssl_ctx, const char *ca_file);

/* Why a certificate was refused (an X509_V_ERR_ number) and what to do, or
 * NULL when the number says nothing. Static storage. */
const char *oci_tls_reason(long verify_result);
/* The same for a name that the certificate does not hold. */
const char *oci_tls_reason_host(void);
