/* copy.h - one blob from one place to another
 *
 * Present at the destination: nothing moves. Else it is mounted where the
 * destination can, else streamed and verified on the way (oci_store_put).
 */
#pragma once

#include "store/store.h"

enum oci_copy_how { OCI_COPY_EXISTS, OCI_COPY_MOUNTED, OCI_COPY_SENT };

int oci_copy_blob(struct oci_store *from, struct oci_store *to, const struct oci_descriptor *d,
	const struct oci_observer *observer, const atomic_int *cancel, enum oci_copy_how *ret,
	struct oci_error *err);
