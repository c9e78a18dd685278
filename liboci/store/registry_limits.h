/* registry_limits.h - what registries are known to refuse, by host
 *
 * Limits that a provider publishes are failures, those that users ran into are
 * warnings: they differ between plans and change without notice.
 */
#pragma once

#include "store/store.h"

/* Registries that take a blob in one PUT only. */
bool oci_registry_takes_no_pieces(const char *host);
int oci_registry_check_limits(const char *host, const struct oci_store_load *load, struct oci_error *err);
