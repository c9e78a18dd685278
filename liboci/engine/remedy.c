#include "engine/remedy.h"

#include <errno.h>
#include <stddef.h>

const char *oci_remedy_of(int sys)
{
	switch (sys) {
	case EROFS:
		return "remove readOnly from the volume and its mount; a ReadWriteOnce claim that another node has is attached "
		       "read-only or not at all";
	case ENOSPC:
		return "make room, enlarge the claim, or choose another volume";
	case EDQUOT:
		return "the quota of this user, group or project is used up: raise it or remove files";
	case ESTALE:
	case ENOTCONN:
	case ETIMEDOUT:
	case EHOSTDOWN:
		return "the server of this volume does not answer: see to it, then start the pod again";
	case EACCES:
	case EPERM:
		return "set securityContext.fsGroup, or run as a user who may";
	case EIO:
		return "the volume itself is at fault: see the kernel's log of this node";
	default:
		return NULL;
	}
}

int oci_remedy_append(struct oci_error *err)
{
	const char *next = err && err->side == OCI_SIDE_DEST ? oci_remedy_of(err->sys) : NULL;

	return next ? oci_append(err, "; %s", next) : -1;
}
