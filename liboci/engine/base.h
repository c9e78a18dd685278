/* base.h - the image that `--onto` puts at the bottom
 *
 * Its layers stay where they are and are only referred to (mounted or copied
 * when the destination lacks them). Docker layer types become their OCI
 * twins, the same bytes. Of its config only Env is kept. When it is in our
 * format its index layer is dropped and its entries go into the new one.
 */
#pragma once

#include "engine/compose.h"
#include "engine/image.h"

struct oci_base_platform {
	struct oci_platform platform;
	struct oci_compose_layer *layers;
	size_t count;
	struct oci_strings env;
	struct oci_config config; /* the layers' history borrows from it */
};

struct oci_base {
	struct oci_base_platform *platforms;
	size_t count;
	bool has_index;
	struct oci_block_index index;
	struct oci_annotations annotations; /* of the first manifest, in our format */
	struct oci_descriptor root;
};

/* The base for each of `platforms`. Those it does not have are left out when
 * `optional`, else OCI_E_NOT_FOUND; none at all is OCI_E_NOT_FOUND. */
int oci_base_load(struct oci_store *store, const char *name, const struct oci_platform *platforms, size_t count,
	bool optional, struct oci_base *ret, struct oci_error *err);
void oci_base_clear(struct oci_base *base);
