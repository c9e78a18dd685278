#include "engine/layer.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "stream/tar.h"

/* A path of 4095 bytes has at most 2048 parents; their headers stay below this. */
#define HEAD_MAX (16 * OCI_MIB)

void oci_layer_walk_init(struct oci_layer_walk *walk, const struct oci_layer_shape *shape)
{
	*walk = (struct oci_layer_walk){.shape = shape};
	oci_buf_init(&walk->head, HEAD_MAX);
}

void oci_layer_walk_clear(struct oci_layer_walk *walk)
{
	oci_buf_clear(&walk->head);
}

/* Length of the part of `path` that ends in '/' and is common with `before`. */
static size_t common_parents(const char *path, const char *before)
{
	size_t common = 0;

	for (size_t i = 0; path[i] && path[i] == before[i]; i++)
		if (path[i] == '/')
			common = i + 1;
	return common;
}

static int add_member(struct oci_buf *head, const char *root, const char *path, size_t path_len,
	enum oci_tar_type type, uint64_t size_bytes, struct oci_error *err)
{
	oci_autofree char *name = oci_str_printf("%s%.*s", root, (int)path_len, path);

	if (!name)
		return oci_fail_nomem(err);
	return oci_tar_add_header(head, name, type, size_bytes, err);
}

static int add_root(struct oci_buf *head, const char *root, struct oci_error *err)
{
	for (const char *slash = strchr(root, '/'); slash; slash = strchr(slash + 1, '/'))
		if (add_member(head, "", root, (size_t)(slash - root) + 1, OCI_TAR_DIR, 0, err) < 0)
			return -1;
	return 0;
}

/* Headers of a file: those parents that the file before did not have, then its own. */
static int add_file_head(struct oci_layer_walk *walk, struct oci_error *err)
{
	const struct oci_layer_shape *shape = walk->shape;
	const struct oci_layer_file *file = &shape->files[walk->next];
	size_t known = 0;

	if (walk->next == 0) {
		if (add_root(&walk->head, shape->root, err) < 0)
			return -1;
	} else {
		known = common_parents(file->path, shape->files[walk->next - 1].path);
	}
	for (const char *slash = strchr(file->path + known, '/'); slash; slash = strchr(slash + 1, '/'))
		if (add_member(&walk->head, shape->root, file->path, (size_t)(slash - file->path) + 1,
			    OCI_TAR_DIR, 0, err) < 0)
			return -1;
	return add_member(&walk->head, shape->root, file->path, strlen(file->path), OCI_TAR_FILE,
		file->size_bytes, err);
}

/* Everything between the data of the file before and the data of the next. */
static int build_head(struct oci_layer_walk *walk, struct oci_error *err)
{
	const struct oci_layer_shape *shape = walk->shape;

	oci_buf_reset(&walk->head);
	if (shape->raw) {
		walk->ended = walk->next == shape->count;
		return 0;
	}
	if (walk->next > 0 && oci_buf_append_zeros(&walk->head,
				      oci_tar_padding(shape->files[walk->next - 1].size_bytes), err) < 0)
		return -1;
	if (walk->next < shape->count)
		return add_file_head(walk, err);
	walk->ended = true;
	return oci_buf_append_zeros(&walk->head, OCI_TAR_END_BYTES, err);
}

int oci_layer_walk_next(struct oci_layer_walk *walk, struct oci_layer_segment *ret, struct oci_error *err)
{
	*ret = (struct oci_layer_segment){.offset = walk->offset};
	if (!walk->in_file) {
		if (walk->ended)
			return 0;
		if (build_head(walk, err) < 0)
			return -1;
		walk->in_file = !walk->ended;
		ret->bytes = walk->head.data;
		ret->length = walk->head.len;
	}
	/* A raw layer has no headers: its file follows at once. */
	if (!ret->length && walk->ended)
		return 0;
	if (!ret->length) {
		walk->in_file = false;
		ret->bytes = NULL;
		ret->file = walk->next++;
		ret->length = walk->shape->files[ret->file].size_bytes;
	}
	walk->offset += ret->length;
	return 1;
}

int oci_layer_measure(const struct oci_layer_shape *shape, uint64_t *size_bytes, uint64_t *start,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_layer_walk_clear) struct oci_layer_walk walk;
	struct oci_layer_segment segment;
	uint64_t first = 0;
	int rc;

	oci_layer_walk_init(&walk, shape);
	while ((rc = oci_layer_walk_next(&walk, &segment, err)) > 0)
		if (segment.offset == 0 && segment.bytes)
			first = segment.length;
	if (rc < 0)
		return -1;
	if (size_bytes)
		*size_bytes = walk.offset;
	if (start)
		*start = first;
	return 0;
}

struct layer_reader {
	struct oci_reader reader;
	const struct oci_layer_shape *shape;
	struct oci_layer_source source;
	struct oci_layer_walk walk;
	struct oci_layer_segment segment;
	uint64_t done; /* bytes of the segment handed out */
	bool begun;    /* there is a segment */
	int fd;        /* of the file under way, or -1 */
};

/* An empty file is looked at, too: it may not be empty any more. */
static int end_file(struct layer_reader *r, struct oci_error *err)
{
	bool is_empty = r->begun && !r->segment.bytes && r->segment.length == 0;
	int rc = 0;

	if (is_empty && (r->fd = r->source.open(r->source.ctx, r->segment.file, err)) < 0)
		return -1;
	if (r->fd >= 0 && r->source.check)
		rc = r->source.check(r->source.ctx, r->segment.file, r->fd, err);
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	return rc;
}

static ssize_t read_file(struct layer_reader *r, void *data, size_t size, struct oci_error *err)
{
	const char *path = r->shape->files[r->segment.file].path;
	ssize_t n;

	if (r->fd < 0)
		r->fd = r->source.open(r->source.ctx, r->segment.file, err);
	if (r->fd < 0)
		return -1;
	n = oci_fs_pread_full(r->fd, data, size, r->done, err);
	if (n < 0) {
		if (err)
			err->code = OCI_E_SOURCE;
		return oci_wrap(err, "file '%s'", path);
	}
	if ((size_t)n < size)
		return oci_fail(err, OCI_E_SOURCE,
			"file '%s' shrank while it was read; let its writer finish and run again", path);
	if (r->source.tap)
		r->source.tap(r->source.ctx, r->segment.file, r->done, data, (size_t)n);
	return n;
}

static ssize_t layer_read(struct oci_reader *reader, void *data, size_t size, struct oci_error *err)
{
	struct layer_reader *r = (struct layer_reader *)reader;
	uint64_t left;

	while ((left = r->segment.length - r->done) == 0) {
		int rc = end_file(r, err);

		if (rc == 0)
			rc = oci_layer_walk_next(&r->walk, &r->segment, err);
		if (rc <= 0)
			return rc;
		r->done = 0;
		r->begun = true;
	}
	if (size > left)
		size = (size_t)left;
	if (r->segment.bytes)
		memcpy(data, (const char *)r->segment.bytes + r->done, size);
	else if (read_file(r, data, size, err) < 0)
		return -1;
	r->done += size;
	return (ssize_t)size;
}

static void layer_close(struct oci_reader *reader)
{
	struct layer_reader *r = (struct layer_reader *)reader;

	if (r->fd >= 0)
		close(r->fd);
	oci_layer_walk_clear(&r->walk);
	free(r);
}

/* To the segment that holds the byte at `offset`. */
static int skip_to(struct layer_reader *r, uint64_t offset, struct oci_error *err)
{
	while (r->segment.offset + r->segment.length < offset) {
		int rc = oci_layer_walk_next(&r->walk, &r->segment, err);

		if (rc < 0)
			return -1;
		if (rc == 0)
			return oci_fail(err, OCI_E_BUG, "an offset beyond the layer");
		r->begun = true;
	}
	r->done = offset - r->segment.offset;
	return 0;
}

struct oci_reader *oci_layer_reader(const struct oci_layer_shape *shape,
	const struct oci_layer_source *source, uint64_t offset, struct oci_error *err)
{
	static const struct oci_reader_ops ops = {.read = layer_read, .close = layer_close};
	struct layer_reader *r = calloc(1, sizeof *r);

	if (!r) {
		oci_fail_nomem(err);
		return NULL;
	}
	r->reader.ops = &ops;
	r->shape = shape;
	r->source = *source;
	r->fd = -1;
	oci_layer_walk_init(&r->walk, shape);
	if (skip_to(r, offset, err) < 0) {
		layer_close(&r->reader);
		return NULL;
	}
	return &r->reader;
}
