#include "stream/reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define CHUNK_BYTES (16 * OCI_KIB)

ssize_t oci_reader_read(struct oci_reader *r, void *data, size_t size, struct oci_error *err)
{
	return r->ops->read(r, data, size, err);
}

void oci_reader_close(struct oci_reader *r)
{
	if (r != NULL)
		r->ops->close(r);
}

void oci_reader_cleanup(struct oci_reader **r)
{
	oci_reader_close(*r);
	*r = NULL;
}

ssize_t oci_reader_read_full(struct oci_reader *r, void *data, size_t size, struct oci_error *err)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = oci_reader_read(r, (unsigned char *)data + done, size - done, err);
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += n;
	}
	return done;
}

int oci_reader_slurp(struct oci_reader *r, struct oci_buf *out, struct oci_error *err)
{
	unsigned char chunk[CHUNK_BYTES];
	ssize_t n;

	while ((n = oci_reader_read(r, chunk, sizeof chunk, err)) > 0)
		if (oci_buf_append(out, chunk, n, err) < 0)
			return -1;
	return n;
}

int oci_reader_drain(struct oci_reader *r, struct oci_error *err)
{
	unsigned char chunk[CHUNK_BYTES];
	ssize_t n;

	while ((n = oci_reader_read(r, chunk, sizeof chunk, err)) > 0)
		continue;
	return n;
}

struct memory_reader {
	struct oci_reader base;
	const unsigned char *next;
	size_t left;
};

static ssize_t memory_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct memory_reader *r = (struct memory_reader *)base;
	size_t n = size < r->left ? size : r->left;

	if (n == 0)
		return 0;
	memcpy(data, r->next, n);
	r->next += n;
	r->left -= n;
	return n;
}

static void memory_close(struct oci_reader *base)
{
	free(base);
}

static const struct oci_reader_ops memory_ops = { memory_read, memory_close };

struct oci_reader *oci_reader_memory(const void *data, size_t len, struct oci_error *err)
{
	struct memory_reader *r = calloc(1, sizeof *r);

	if (r == NULL) {
		oci_fail_nomem(err);
		return NULL;
	}
	r->base.ops = &memory_ops;
	r->next = data;
	r->left = len;
	return &r->base;
}

struct file_reader {
	struct oci_reader base;
	int fd;
	uint64_t offset;
	uint64_t left;
};

static ssize_t file_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct file_reader *r = (struct file_reader *)base;
	size_t want = size < r->left ? size : r->left;

	if (want == 0)
		return 0;
	ssize_t n = oci_fs_pread_full(r->fd, data, want, r->offset, err);
	if (n < 0)
		return -1;
	if (n == 0)
		return oci_fail(err, OCI_E_IO, "file ends at byte %" PRIu64 ", %" PRIu64 " bytes too early",
			r->offset, r->left);
	r->offset += n;
	r->left -= n;
	return n;
}

static void file_close(struct oci_reader *base)
{
	struct file_reader *r = (struct file_reader *)base;

	close(r->fd);
	free(r);
}

static const struct oci_reader_ops file_ops = { file_read, file_close };

struct oci_reader *oci_reader_file_take(int fd, uint64_t offset, uint64_t length, struct oci_error *err)
{
	oci_autoclose int owned = fd;
	struct file_reader *r = calloc(1, sizeof *r);

	if (r == NULL) {
		oci_fail_nomem(err);
		return NULL;
	}
	r->base.ops = &file_ops;
	r->fd = oci_steal_fd(&owned);
	r->offset = offset;
	r->left = length;
	return &r->base;
}
