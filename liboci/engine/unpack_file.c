#include "engine/unpack_file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

#define PREALLOCATE_FROM OCI_MIB

static int make_parents(int dir, const char *path, struct oci_error *err)
{
	const char *slash = strrchr(path, '/');
	oci_autofree char *parents = slash ? strndup(path, (size_t)(slash - path)) : NULL;

	if (!slash)
		return 0;
	if (!parents)
		return oci_fail_nomem(err);
	return oci_fs_mkdirs_beneath(dir, parents, 0775, err);
}

/* Room for the whole file at once: a full disk shows now, and extents are
 * contiguous. File systems that cannot are none the worse. */
static int preallocate(int fd, uint64_t size_bytes, struct oci_error *err)
{
	if (size_bytes < PREALLOCATE_FROM || fallocate(fd, 0, 0, (off_t)size_bytes) == 0)
		return 0;
	if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
		return oci_fail_sys(err, errno, OCI_E_IO, "no room for its %llu bytes",
			(unsigned long long)size_bytes);
	return 0;
}

/* The directory is ours alone, so a name in the way came from the same layer. */
static int explain(struct oci_error *err, const char *path)
{
	if (err && (err->sys == EEXIST || err->sys == ENOTDIR || err->sys == EISDIR))
		err->code = OCI_E_FORMAT;
	return oci_wrap(err, "file '%s'", path);
}

int unpack_file_begin(struct unpack_file *file, const struct oci_unpack_options *options, const char *path,
	uint32_t mode, uint64_t size_bytes, struct oci_error *err)
{
	*file = (struct unpack_file){.options = options,
		.path = path,
		.mode = mode & 0100 ? 0775 : 0664,
		.size_bytes = size_bytes,
		.fd = -1};
	if (options->digests)
		oci_hash_init(&file->hash, OCI_SHA256);
	if (options->dir < 0)
		return 0;
	if (make_parents(options->dir, path, err) < 0)
		return explain(err, path);
	file->fd = oci_fs_open_beneath(options->dir, path, O_WRONLY | O_CREAT | O_EXCL, 0600, err);
	if (file->fd < 0 || preallocate(file->fd, size_bytes, err) < 0)
		return explain(err, path);
	return 0;
}

int unpack_file_write(struct unpack_file *file, const void *data, size_t len, struct oci_error *err)
{
	if (file->options->digests)
		oci_hash_update(&file->hash, data, len);
	if (file->fd >= 0 && oci_fs_pwrite_all(file->fd, data, len, file->done, err) < 0)
		return oci_wrap(err, "file '%s'", file->path);
	file->done += len;
	oci_event_bytes(file->options->observer, len);
	return 0;
}

static int seal(struct unpack_file *file, struct oci_listing_file *listed, struct oci_error *err)
{
	struct stat st;

	if (fchmod(file->fd, file->mode) < 0 || fstat(file->fd, &st) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "file '%s'", file->path);
	if (oci_fs_sync(file->fd, err) < 0)
		return oci_wrap(err, "file '%s'", file->path);
	listed->mtime_ns = oci_clock_stamp_ns(&st.st_mtim);
	return 0;
}

int unpack_file_end(struct unpack_file *file, struct oci_unpacked *ret, struct oci_error *err)
{
	struct oci_listing_file *listed = oci_listing_add(&ret->files, file->path, err);

	if (!listed)
		return -1;
	if (file->done != file->size_bytes)
		return oci_fail(err, OCI_E_FORMAT, "file '%s' has %llu bytes where %llu are declared", file->path,
			(unsigned long long)file->done, (unsigned long long)file->size_bytes);
	listed->size_bytes = file->done;
	listed->mode = file->mode;
	if (file->options->digests)
		oci_hash_final(&file->hash, &listed->digest);
	if (file->fd >= 0 && seal(file, listed, err) < 0)
		return -1;
	oci_event_done(file->options->observer, file->path, file->done, "landed");
	return 0;
}

void unpack_file_clear(struct unpack_file *file)
{
	if (file->options && file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

int unpack_check(const struct oci_unpack_options *options, struct oci_error *err)
{
	int number = options->cancel ? atomic_load_explicit(options->cancel, memory_order_relaxed) : 0;

	if (number)
		return oci_fail(err, OCI_E_CANCELLED, "cancelled by signal %d", number);
	if (options->failed && atomic_load_explicit(options->failed, memory_order_relaxed))
		return oci_fail(err, OCI_E_CANCELLED, "stopped since another part failed");
	return 0;
}
