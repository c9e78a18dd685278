/* config.h - an image config
 *
 * spec: OCI image-spec config.md. Only what we read or write: Entrypoint, Cmd
 * and the rest of a base image's runtime settings are dropped on purpose.
 * Refused: not JSON, above its limits (4 MiB, 100,000 values), members of the
 * wrong type, no rootfs, digests that are none (OCI_E_FORMAT); a rootfs that
 * is not of type "layers" (OCI_E_UNSUPPORTED). null counts as absent.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "core/descriptor.h"

struct oci_history {
	char *created, *created_by, *comment; /* NULL: absent */
	bool empty_layer;
};

struct oci_config {
	char *created; /* RFC 3339 */
	struct oci_platform platform;
	char *user;
	struct oci_strings env;
	struct oci_annotations labels;
	struct oci_digest *diff_ids;
	size_t diff_id_count;
	struct oci_history *history;
	size_t history_count;
};

#define OCI_CONFIG_MAX (4 * OCI_MIB)

/* What *ret held is not freed; it stays untouched on failure. */
int oci_config_parse(const char *data, size_t len, struct oci_config *ret, struct oci_error *err);
/* Compact JSON: created, architecture, os, variant, config {User, Env, Labels},
 * rootfs, history; labels in their own order. */
int oci_config_format(const struct oci_config *config, struct oci_buf *out, struct oci_error *err);
int oci_config_add_diff_id(struct oci_config *config, const struct oci_digest *diff_id,
	struct oci_error *err);
/* `created` is the config's; `created_by` is copied. */
int oci_config_add_history(struct oci_config *config, const char *created_by, struct oci_error *err);
void oci_config_clear(struct oci_config *config);
