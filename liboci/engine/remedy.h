/* remedy.h - what to do about a volume that fails: the next step, by errno
 *
 *     err.sys == EROFS: oci_remedy_of(EROFS) -> "remove readOnly from the volume and its mount; ..."
 */
#pragma once

#include "base/error.h"

/* Half a sentence for whoever wrote the pod; NULL: the number tells nothing about the volume. */
const char *oci_remedy_of(int sys);
/* Add it to a failure of the destination; returns -1. */
int oci_remedy_append(struct oci_error *err);
