#include "base/boot.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

const char *oci_boot_id(char ret[OCI_BOOT_ID_MAX])
{
	oci_autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, ret, OCI_BOOT_ID_MAX - 1);

	if (got <= 0) {
		snprintf(ret, OCI_BOOT_ID_MAX, "unknown-%d", (int)getpid());
		return ret;
	}
	ret[got] = '\0';
	ret[strspn(ret, "0123456789abcdef-")] = '\0';
	return ret;
}
