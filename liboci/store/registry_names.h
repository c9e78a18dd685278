/* registry_names.h - tags and digests of a registry, without the bytes behind them:
 * asked for, and removed; private to the registry store
 *
 * spec: OCI distribution-spec, HEAD and DELETE of manifests. A registry may be
 * unable to remove a tag, or anything.
 */
#pragma once

#include "store/store.h"

int oci_registry_peek(struct oci_store *s, const char *name, struct oci_digest *ret, bool *known, struct oci_error *err);
int oci_registry_untag(struct oci_store *s, const struct oci_descriptor *d, const char *tag, struct oci_error *err);
