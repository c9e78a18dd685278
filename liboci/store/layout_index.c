#include "store/layout_index.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define FILE_MODE 0644

int oci_layout_read(int root, const char *name, struct oci_buf *out, struct oci_error *err)
{
	struct oci_error why = {0};

	if (oci_fs_read_file(root, name, out, &why) == 0)
		return 0;
	if (why.code == OCI_E_NOT_FOUND)
		return oci_fail(err, OCI_E_FORMAT, "has no '%s': not an OCI layout", name);
	if (err)
		*err = why;
	return -1;
}

int oci_layout_read_index(int root, struct oci_buf *ret, struct oci_error *err)
{
	oci_buf_init(ret, OCI_INDEX_MAX);
	return oci_layout_read(root, OCI_LAYOUT_INDEX_FILE, ret, err);
}

/* NFS wants the descriptor writable, a directory shared by a group may allow reading only. */
int oci_layout_lock(int root, struct oci_error *err)
{
	oci_autoclose int fd = oci_fs_open_beneath(root, OCI_LAYOUT_FILE, O_RDWR, 0, NULL);

	if (fd < 0)
		fd = oci_fs_open_beneath(root, OCI_LAYOUT_FILE, O_RDONLY, 0, err);
	if (fd < 0)
		return -1;
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return oci_fail_sys(err, errno, OCI_E_IO, "lock '%s'", OCI_LAYOUT_FILE);
	return oci_steal_fd(&fd);
}

int oci_layout_change(int root, const struct oci_descriptor *d, const char *tag, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf old = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index;
	oci_autoclose int lock = oci_layout_lock(root, err);

	oci_buf_init(&index, OCI_INDEX_MAX);
	if (lock < 0 || oci_layout_read_index(root, &old, err) < 0 ||
		(tag ? oci_index_set(&old, d, tag, &index, err) : oci_index_list(&old, d, &index, err)) < 0)
		return -1;
	return oci_fs_write_file(root, OCI_LAYOUT_INDEX_FILE, index.data, index.len, FILE_MODE, true, err);
}
