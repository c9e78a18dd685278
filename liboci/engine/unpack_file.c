#include "engine/unpack_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "engine/ledger.h"

#define PREALLOCATE_FROM OCI_MIB

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

/* One that another run has left goes: it may be linked elsewhere. */
static int make_part(const struct oci_unpack_options *options, const char *name, struct oci_error *err)
{
	const struct oci_stage *stage = options->stage;
	struct oci_error why = {0};
	int fd = oci_fs_open_beneath(stage->fd, name, O_RDWR | O_CREAT | O_EXCL, 0600, &why);

	if (fd < 0 && why.sys == EEXIST) {
		if (options->may && options->may(options->ctx, err) < 0)
			return -1;
		if (unlinkat(stage->fd, name, 0) < 0)
			return oci_fs_fail(err, errno, "remove", name);
		return oci_fs_open_beneath(stage->fd, name, O_RDWR | O_CREAT | O_EXCL, 0600, err);
	}
	if (fd < 0 && err)
		*err = why;
	return fd;
}

static int wrap(const struct unpack_file *file, struct oci_error *err)
{
	return oci_wrap(err, "file '%s'", file->path);
}

const char *oci_unpack_part_name(const struct oci_stage *stage, struct oci_listing_part part,
	char room[OCI_STAGE_NAME_MAX])
{
	char what[32];

	snprintf(what, sizeof what, "%u-%u", part.layer, part.number);
	return oci_stage_file_name(stage, what, room);
}

static void prepare(struct unpack_file *file, const struct oci_unpack_options *options, struct oci_unpacked *ret)
{
	file->options = options;
	file->ret = ret;
	file->mode = file->mode & 0100 ? 0775 : 0664;
	file->part.layer = (uint32_t)options->layer;
	file->done = 0;
	file->fd = -1;
}

int unpack_file_begin(struct unpack_file *file, const struct oci_unpack_options *options, struct oci_unpacked *ret,
	struct oci_error *err)
{
	char room[OCI_STAGE_NAME_MAX];

	prepare(file, options, ret);
	oci_hash_init(&file->hash, OCI_SHA256);
	if (!options->stage)
		return 0;
	file->fd = make_part(options, oci_unpack_part_name(options->stage, file->part, room), err);
	return file->fd < 0 || preallocate(file->fd, file->size_bytes, err) < 0 ? wrap(file, err) : 0;
}

int unpack_file_resume(struct unpack_file *file, const struct oci_unpack_options *options, struct oci_unpacked *ret,
	struct oci_error *err)
{
	const struct oci_ledger_begun *begun = &options->ledger->begun;
	char room[OCI_STAGE_NAME_MAX];

	file->path = begun->path;
	file->part.number = begun->number;
	file->mode = begun->mode;
	file->size_bytes = begun->size_bytes;
	file->begin = options->ledger->trail.from.offset - begun->done;
	prepare(file, options, ret);
	file->done = begun->done;
	file->hash = begun->hash;
	oci_unpack_part_name(options->stage, file->part, room);
	file->fd = oci_fs_open_beneath(options->stage->fd, room, O_RDWR, 0, err);
	return file->fd < 0 ? wrap(file, err) : 0;
}

static int put(struct unpack_file *file, const char *data, size_t len, struct oci_error *err)
{
	if (file->options->digests && !file->proven)
		oci_hash_update(&file->hash, data, len);
	if (file->fd >= 0 && oci_fs_pwrite_all(file->fd, data, len, file->done, err) < 0)
		return wrap(file, err);
	file->done += len;
	oci_event_bytes(file->options->observer, len);
	return 0;
}

void unpack_file_chain(const struct unpack_file *file, const unsigned char layer[OCI_CHAIN_BYTES],
	unsigned char ret[OCI_CHAIN_BYTES])
{
	if (file->proven)
		memcpy(ret, layer, OCI_CHAIN_BYTES);
	else
		oci_hash_chain(&file->hash, ret);
}

/* Does the next point lie within these bytes, and before the file's last? */
static bool meets_point(const struct unpack_file *file, size_t len, uint64_t *before)
{
	uint64_t point = file->options->ledger ? oci_ledger_next(file->options->ledger) : 0;

	*before = point - file->begin - file->done;
	return point > file->begin + file->done && *before <= len && point - file->begin < file->size_bytes &&
		file->begin % OCI_CHAIN_BLOCK == 0;
}

int unpack_file_write(struct unpack_file *file, const void *data, size_t len, struct oci_error *err)
{
	const char *at = data;
	uint64_t before;

	if (meets_point(file, len, &before)) {
		if (put(file, at, before, err) < 0 || oci_ledger_point(file->options->ledger, file->ret, file, err) < 0)
			return -1;
		at += before;
		len -= before;
	}
	return put(file, at, len, err);
}

int unpack_file_fill(struct unpack_file *file, struct oci_reader *layer, uint64_t length, char *chunk,
	struct oci_error *err)
{
	for (uint64_t done = 0; done < length;) {
		size_t take = length - done < OCI_MIB ? (size_t)(length - done) : OCI_MIB;
		ssize_t n;

		if (unpack_check(file->options, err) < 0)
			return -1;
		n = oci_reader_read_full(layer, chunk, take, err);
		if (n < 0)
			return -1;
		if ((size_t)n < take)
			return oci_fail(err, OCI_E_FORMAT, "layer ends early");
		if (unpack_file_write(file, chunk, take, err) < 0)
			return -1;
		done += take;
	}
	return 0;
}

static int seal(struct unpack_file *file, struct oci_listing_file *listed, struct oci_error *err)
{
	struct stat st;

	if (fchmod(file->fd, file->mode) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "file '%s'", file->path);
	if (oci_fs_sync(file->fd, err) < 0)
		return wrap(file, err);
	if (fstat(file->fd, &st) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "file '%s'", file->path);
	listed->mtime_ns = oci_clock_stamp_ns(&st.st_mtim);
	return 0;
}

int unpack_file_end(struct unpack_file *file, struct oci_error *err)
{
	struct oci_listing_file *listed = oci_listing_add(&file->ret->files, file->path, err);

	if (!listed)
		return -1;
	if (file->done != file->size_bytes)
		return oci_fail(err, OCI_E_FORMAT, "file '%s' has %llu bytes where %llu are declared", file->path,
			(unsigned long long)file->done, (unsigned long long)file->size_bytes);
	listed->size_bytes = file->done;
	listed->mode = file->mode;
	listed->part = file->part;
	if (file->options->digests && file->proven)
		listed->digest = *file->proven;
	else if (file->options->digests)
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
