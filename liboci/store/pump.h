/* pump.h - oci_store_put() by begin, write, commit; private to store/ */
#pragma once

#include "store/store.h"

/* OCI_E_CANCELLED when the flag is up or the content is wanted no more. */
int oci_store_check_wanted(const struct oci_content *content, const atomic_int *cancel, struct oci_error *err);

/* The digest of content that hashes itself, which is that of `want` unless that is absent. */
int oci_content_prove(const struct oci_content *content, const struct oci_digest *want, struct oci_digest *ret,
	struct oci_error *err);

int oci_store_pump(struct oci_store *s, const struct oci_descriptor *d, const struct oci_content *content,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_error *err);
