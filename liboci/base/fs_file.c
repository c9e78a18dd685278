/* Whole files, and reads and writes that end only when all is done. */
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "base/temp.h"

#define READ_STEP (64 * OCI_KIB)

int oci_fs_temp_name(const char *prefix, const char *suffix, char *out, size_t size, struct oci_error *err)
{
	unsigned char random[8];
	char hex[2 * sizeof random + 1];
	int len;

	if (getrandom(random, sizeof random, 0) != sizeof random)
		return oci_fail_sys(err, errno, OCI_E_IO, "no random numbers");
	oci_str_hex(random, sizeof random, hex);
	len = snprintf(out, size, "%s.%s%s", prefix, hex, suffix);
	if (len < 0 || (size_t)len >= size)
		return oci_fail(err, OCI_E_BUG, "a temporary name is longer than %zu bytes", size);
	return 0;
}

int oci_fs_write_all(int fd, const void *data, size_t len, struct oci_error *err)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR)
			return oci_fail_sys(err, errno, OCI_E_IO, "write failed");
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int oci_fs_pwrite_all(int fd, const void *data, size_t len, uint64_t offset, struct oci_error *err)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = pwrite(fd, at, len, (off_t)offset);

		if (n < 0 && errno != EINTR)
			return oci_fail_sys(err, errno, OCI_E_IO, "write failed");
		if (n > 0) {
			at += n;
			offset += (uint64_t)n;
			len -= (size_t)n;
		}
	}
	return 0;
}

ssize_t oci_fs_pread_full(int fd, void *data, size_t len, uint64_t offset, struct oci_error *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)data + done, len - done, (off_t)(offset + done));

		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return oci_fail_sys(err, errno, OCI_E_IO, "read failed");
		if (n > 0)
			done += (size_t)n;
	}
	return (ssize_t)done;
}

int oci_fs_sync(int fd, struct oci_error *err)
{
	int rc;

	do
		rc = fsync(fd);
	while (rc < 0 && errno == EINTR);
	if (rc == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP)
		return 0;
	return oci_fail_sys(err, errno, OCI_E_IO, "fsync failed");
}

int oci_fs_read_file(int dir, const char *path, struct oci_buf *out, struct oci_error *err)
{
	oci_autoclose int fd = oci_fs_open_beneath(dir, path, O_RDONLY | O_NONBLOCK, 0, err);
	oci_autofree char *step = malloc(READ_STEP);
	uint64_t offset = 0;
	char safe[OCI_STR_ESCAPE_MAX];
	ssize_t n;

	if (fd < 0)
		return -1;
	if (!step)
		return oci_fail_nomem(err);
	while ((n = oci_fs_pread_full(fd, step, READ_STEP, offset, err)) > 0) {
		if (oci_buf_append(out, step, (size_t)n, err) < 0)
			return oci_wrap(err, "file '%s'", oci_str_escape(path, safe));
		offset += (uint64_t)n;
	}
	return n < 0 ? oci_wrap(err, "file '%s'", oci_str_escape(path, safe)) : 0;
}

static int fill(int fd, const void *data, size_t len, mode_t mode, bool durable, struct oci_error *err)
{
	if (oci_fs_write_all(fd, data, len, err) < 0)
		return -1;
	if (fchmod(fd, mode) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "cannot set its mode");
	return durable ? oci_fs_sync(fd, err) : 0;
}

/* The file stays open, and thereby locked against a sweep, until it is renamed. */
int oci_fs_write_file(int dir, const char *name, const void *data, size_t len, mode_t mode, bool durable,
	struct oci_error *err)
{
	const char *base;
	oci_autoclose int parent = oci_fs_parent_beneath(dir, name, &base, err);
	char safe[OCI_STR_ESCAPE_MAX];
	char temp[OCI_TEMP_NAME_MAX];
	oci_autoclose int fd = -1;

	if (parent < 0)
		return -1;
	fd = oci_temp_file(parent, OCI_FS_TEMP_PREFIX, 0600, temp, err);
	if (fd < 0)
		return -1;
	if (fill(fd, data, len, mode, durable, err) < 0)
		oci_wrap(err, "file '%s'", oci_str_escape(name, safe));
	else if (renameat(parent, temp, parent, base) < 0)
		oci_fail_sys(err, errno, OCI_E_IO, "cannot replace '%s'", oci_str_escape(name, safe));
	else
		return durable ? oci_fs_sync(parent, err) : 0;
	unlinkat(parent, temp, 0);
	return -1;
}
