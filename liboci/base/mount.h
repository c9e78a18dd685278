/* mount.h - which mount a file lies on, and what the kernel says about it
 *
 *     struct oci_mount mount;
 *     if (oci_mount_of(fd, &mount)) ...        false: the kernel does not say
 *
 * From /proc/self/mountinfo (proc(5)). Texts are for people: cut where they are
 * long, as the kernel writes them apart from its \040 for a blank.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define OCI_MOUNT_TEXT_MAX 256

struct oci_mount {
	char point[OCI_MOUNT_TEXT_MAX];   /* where it is mounted */
	char type[OCI_MOUNT_TEXT_MAX];    /* "ext4", "nfs4", "fuse.juicefs" */
	char source[OCI_MOUNT_TEXT_MAX];  /* "/dev/sda1", "server:/export" */
	char options[OCI_MOUNT_TEXT_MAX]; /* of the mount: "rw,relatime" */
	char super[OCI_MOUNT_TEXT_MAX];   /* of the file system: "rw,vers=4.2,local_lock=none" */
	bool is_root;                     /* the file is the mount point itself */
};

bool oci_mount_of(int fd, struct oci_mount *ret);
/* The line of this mount in the text of mountinfo; is_root is left as it is. */
bool oci_mount_parse(const char *mountinfo, uint64_t id, struct oci_mount *ret);

/* Is this word among the options of the mount or of the file system? "nolock", "ro". */
bool oci_mount_has(const struct oci_mount *mount, const char *option);
/* Other machines may have it, too: their writes are seen late, and locks may be of this one alone. */
bool oci_mount_is_shared(const struct oci_mount *mount);
