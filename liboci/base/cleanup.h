/* cleanup.h - ownership by scope
 *
 *     oci_autofree char *name = strdup("x");   freed at the end of the scope
 *     oci_autoclose int fd = open(...);        closed likewise, -1 is nothing
 *     OCI_CLEANUP(oci_buf_clear) struct oci_buf buf = {0};
 *     *ret = oci_steal(&name);                 ownership leaves the scope
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define OCI_CLEANUP(function) __attribute__((cleanup(function)))

static inline void oci_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void oci_cleanup_close(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
}

/* Before the end of the scope. */
static inline void oci_drop_fd(int *fd)
{
	oci_cleanup_close(fd);
	*fd = -1;
}

#define oci_autofree OCI_CLEANUP(oci_cleanup_free)
#define oci_autoclose OCI_CLEANUP(oci_cleanup_close)

/* Take the value out of a variable that owns it. */
#define oci_steal(pointer)                        \
	({                                        \
		__typeof__(*(pointer)) _taken = *(pointer); \
		*(pointer) = NULL;                \
		_taken;                           \
	})

static inline int oci_steal_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}
