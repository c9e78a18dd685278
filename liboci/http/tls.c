#include "http/tls.h"

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stddef.h>
#include <stdlib.h>

struct oci_tls_trust {
	X509_STORE *store;
};

/* As other programs understand these variables: instead of the system's file or directory. */
static const char *choose(const char *variable, const char *system)
{
	const char *named = getenv(variable);

	return named && *named ? named : system;
}

/* What is not there is missed where it was asked for by name, or where nothing else is trusted. */
static bool load_system(X509_STORE *store, bool others)
{
	const curl_version_info_data *library = curl_version_info(CURLVERSION_NOW);
	const char *file = choose("SSL_CERT_FILE", library->cainfo);
	const char *dir = choose("SSL_CERT_DIR", library->capath);
	bool has_dir = dir && X509_STORE_load_path(store, dir);
	bool has_file = file && X509_STORE_load_file(store, file);

	return has_file || (file == library->cainfo && (has_dir || others));
}

struct oci_tls_trust *oci_tls_trust_new(const struct oci_strings *ca_files, const char **bad)
{
	struct oci_tls_trust *trust = calloc(1, sizeof *trust);
	bool good;

	*bad = NULL;
	if (!trust)
		return NULL;
	trust->store = X509_STORE_new();
	good = trust->store && load_system(trust->store, ca_files->count > 0);
	for (size_t i = 0; good && i < ca_files->count; i++) {
		good = X509_STORE_load_file(trust->store, ca_files->items[i]);
		if (!good)
			*bad = ca_files->items[i];
	}
	ERR_clear_error();
	if (good) /* as the transfer library does: an authority need not be a root */
		good = X509_STORE_set_flags(trust->store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
	if (good)
		return trust;
	oci_tls_trust_free(trust);
	return NULL;
}

void oci_tls_trust_free(struct oci_tls_trust *trust)
{
	if (trust)
		X509_STORE_free(trust->store);
	free(trust);
}

void oci_tls_trust_use(const struct oci_tls_trust *trust, void *ssl_ctx)
{
	SSL_CTX_set1_cert_store(ssl_ctx, trust->store);
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
