/* kserve.h - what KServe tells its storage initializer by the environment
 *
 *     OCI_CLEANUP(kserve_clear) struct kserve kserve = {0};
 *     kserve_read(inv->observer, &kserve, err);
 *
 * As kserve-storage 0.21 reads it:
 * - KSERVE_OCI_DOCKER_CONFIG (else /mnt/oci-fetch-auth/config.json): credentials;
 *   one that is not there is none. DOCKER_CONFIG and REGISTRY_AUTH_FILE count, too.
 * - KSERVE_OCI_INSECURE_REGISTRY (1, true, yes): no certificate is checked, and
 *   a registry without TLS is spoken to as well.
 * - CA_BUNDLE_VOLUME_MOUNT_POINT, or CA_BUNDLE_CONFIGMAP_NAME with
 *   /etc/ssl/custom-certs: cabundle.crt in there is trusted besides the system's.
 * - STORAGE_ALLOW_PATTERNS, STORAGE_IGNORE_PATTERNS: a JSON array or a list with
 *   commas of patterns as fnmatch(3) without flags knows them, on the whole path.
 * - CONFIDENTIAL_RESOURCE_ID: a model that is encrypted, which we cannot read.
 *
 * Errors: OCI_E_USAGE (patterns that are no texts), OCI_E_UNSUPPORTED (encrypted).
 */
#pragma once

#include "base/event.h"
#include "base/str.h"

struct kserve {
	struct oci_strings authfiles;
	struct oci_strings allow, ignore; /* globs as oci_str_glob() takes them */
	char *ca_file;                    /* NULL: none */
	bool insecure;
};

int kserve_read(const struct oci_observer *observer, struct kserve *ret, struct oci_error *err);
void kserve_clear(struct kserve *kserve);

/* Is it an image's name, "oci://HOST/…", "oci+fetch://HOST/…" or "oci-artifact://HOST/…"? The Oracle object
 * store's "oci://n/<namespace>/b/<bucket>/o/<path>" is none. */
bool kserve_is_image(const char *uri);
/* As a reference is written: the caller frees. NULL when out of memory. */
char *kserve_reference(const char *uri);

/* An fnmatch(3) pattern on a whole path as a glob of ours, appended to the list. */
int kserve_add_pattern(struct oci_strings *list, const char *pattern, struct oci_error *err);
