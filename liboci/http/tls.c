#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stddef.h>

int oci_tls_add_ca(void *ssl_ctx, const char *ca_file)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ssl_ctx);
	if (!store || !X509_STORE_load_file(store, ca_file)) {
		ERR_clear_error();
		return -1;
	}
	return 0;
}

const char *oci_tls_reason_host(void)
{
	return "the certificate is for another host name; use a name that it holds";
}

const char *oci_tls_reason(long verify_result)
{
	switch (verify_result) {
	case X509_V_OK:
		return NULL;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return "the certificate has expired; have it renewed, or set this machine's clock right";
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "the certificate is not valid yet; set this machine's clock right";
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return "the certificate is from an authority that is not trusted here; name it with --ca-file";
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return oci_tls_reason_host();
	default:
		return X509_verify_cert_error_string(verify_result);
	}
}
