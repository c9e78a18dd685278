/* registry_list.h - lists that a registry keeps; private to the registry store
 *
 * spec: OCI distribution-spec, listing tags and referrers. Pages are followed
 * as the Link header says, on the registry's own origin, and up to a bound.
 */
#pragma once

#include "store/store.h"

int oci_registry_tags(struct oci_store *s, struct oci_strings *ret, struct oci_error *err);
int oci_registry_referrers(struct oci_store *s, const struct oci_digest *subject, const char *artifact_type,
	struct oci_manifest *ret, bool *known, struct oci_error *err);
