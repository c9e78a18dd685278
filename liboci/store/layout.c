#include "store/layout.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/temp.h"
#include "core/mediatype.h"
#include "store/blob.h"
#include "store/index.h"
#include "store/layout_index.h"
#include "store/layout_root.h"
#include "store/ops.h"

#define BLOB_PATH_MAX (OCI_LAYOUT_BLOBS_MAX + OCI_DIGEST_TEXT_MAX)
#define ZOT_DIR ".uploads"
#define FLUSH_BYTES (8 * OCI_MIB)
#define DIRECT_MIN (64 * OCI_MIB)
#define DIRECT_ALIGN 4096
#define DIR_MODE 0755
#define FILE_MODE 0644

struct layout {
	struct oci_store base;
	enum oci_store_mode mode;
	char *path; /* for messages */
	int root;
	bool lists_all; /* manifests without a tag, too */
	char *made;     /* the directory, where this process made it; NULL: it was there */
	atomic_bool named; /* something in it has a name, or its writer is done */
};

struct layout_sink {
	struct oci_sink base;
	const struct layout *layout;
	struct oci_descriptor listed; /* to go into index.json; no media type: nothing */
	int dir; /* of the blobs */
	int fd;
	struct oci_tally tally;
	bool direct; /* past the page cache */
	char temp[OCI_TEMP_NAME_MAX]; /* "" when it is no more */
};

static int root_of(struct oci_store *s)
{
	return ((struct layout *)s)->root;
}

/* Of what lies in a layout, which one it is. */
static int fail_in(struct oci_store *s, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];

	return oci_wrap(err, "layout '%s'", oci_str_escape(((struct layout *)s)->path, shown));
}

static int pass(struct oci_store *s, struct oci_error *err, const struct oci_error *why)
{
	if (err)
		*err = *why;
	return fail_in(s, err);
}

static int read_index(struct oci_store *s, struct oci_buf *ret, struct oci_error *err)
{
	return oci_layout_read_index(root_of(s), ret, err) < 0 ? fail_in(s, err) : 0;
}

/* Open what is stored under a digest: a regular file, no link. */
static int open_blob(struct oci_store *s, const struct oci_digest *digest, uint64_t *size_bytes, struct oci_error *err)
{
	oci_autoclose int fd = -1;
	struct oci_error why = {0};
	char dir[OCI_LAYOUT_BLOBS_MAX], hex[OCI_DIGEST_TEXT_MAX], path[BLOB_PATH_MAX];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", oci_layout_blobs(digest->alg, dir), oci_digest_hex(digest, hex));
	fd = oci_fs_open_beneath(root_of(s), path, O_RDONLY | O_NONBLOCK, 0, &why);
	if (fd < 0 && why.code == OCI_E_NOT_FOUND)
		return oci_blob_fail_missing(digest, err);
	if (fd < 0)
		return pass(s, err, &why);
	if (fstat(fd, &st) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "stat '%s'", path);
	if (!S_ISREG(st.st_mode))
		return oci_fail(err, OCI_E_FORMAT, "'%s' is not a regular file", path);
	*size_bytes = st.st_size;
	return oci_steal_fd(&fd);
}

/* Is it a manifest that must be in index.json? */
static bool is_listed(const struct layout *l, const struct oci_descriptor *d)
{
	return l->lists_all && d->media_type && (oci_media_is_index(d->media_type) || oci_media_is_manifest(d->media_type));
}

static int check_listed(struct oci_store *s, const struct oci_descriptor *d, bool *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index = {0};

	if (read_index(s, &index, err) < 0)
		return -1;
	return oci_index_lists(&index, &d->digest, ret, err);
}

static int layout_exists(struct oci_store *s, const struct oci_descriptor *d, bool *ret,
	struct oci_error *err)
{
	oci_autoclose int fd = -1;
	struct oci_error why = {0};
	uint64_t size = 0;

	fd = open_blob(s, &d->digest, &size, &why);
	if (fd < 0 && why.code != OCI_E_NOT_FOUND)
		return pass(s, err, &why);
	*ret = fd >= 0 && size == d->size_bytes;
	return *ret && is_listed((struct layout *)s, d) ? check_listed(s, d, ret, err) : 0;
}

static int layout_file(struct oci_store *s, const struct oci_descriptor *d, struct oci_error *err)
{
	oci_autoclose int fd = -1;
	uint64_t size = 0;

	fd = open_blob(s, &d->digest, &size, err);
	return fd < 0 || oci_blob_check_size(d, size, err) < 0 ? -1 : oci_steal_fd(&fd);
}

static struct oci_reader *layout_open(struct oci_store *s, const struct oci_descriptor *d, uint64_t offset,
	uint64_t length, struct oci_error *err)
{
	oci_autoclose int fd = layout_file(s, d, err);

	if (fd < 0 || oci_blob_check_range(d, offset, length, err) < 0)
		return NULL;
	return oci_reader_file_take(oci_steal_fd(&fd), offset, length, err);
}

static void sink_abort(struct oci_sink *base)
{
	struct layout_sink *sink = (struct layout_sink *)base;

	if (sink->temp[0])
		unlinkat(sink->dir, sink->temp, 0);
	oci_cleanup_close(&sink->fd);
	oci_cleanup_close(&sink->dir);
	oci_descriptor_clear(&sink->listed);
	free(sink);
}

static void set_direct(struct layout_sink *sink, bool direct)
{
	int flags = fcntl(sink->fd, F_GETFL);

	sink->direct = fcntl(sink->fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0 && direct;
}

/* As much as goes past the page cache, which would be flushed at commit anyway;
 * from the first piece on that does not, nothing does. */
static size_t write_direct(struct layout_sink *sink, const void *data, size_t len)
{
	bool aligned = (uintptr_t)data % DIRECT_ALIGN == 0 && len % DIRECT_ALIGN == 0;
	ssize_t n = aligned ? write(sink->fd, data, len) : -1;

	if (n >= 0)
		return (size_t)n;
	set_direct(sink, false);
	return 0;
}

static int sink_write(struct oci_sink *base, const void *data, size_t len, struct oci_error *err)
{
	struct layout_sink *sink = (struct layout_sink *)base;
	uint64_t before = sink->tally.seen_bytes;
	char size[OCI_STR_SIZE_MAX];

	if (oci_tally_add(&sink->tally, data, len, err) < 0)
		return -1;
	size_t done = sink->direct ? write_direct(sink, data, len) : 0;
	if (oci_fs_write_all(sink->fd, (const char *)data + done, len - done, err) < 0)
		return oci_wrap(err, "blob of %s for the layout", oci_str_size(sink->tally.size_bytes, size));
	/* The disk begins now, not at the closing fsync. */
	if (before / FLUSH_BYTES != sink->tally.seen_bytes / FLUSH_BYTES)
		sync_file_range(sink->fd, (off_t)(before / FLUSH_BYTES * FLUSH_BYTES), FLUSH_BYTES, SYNC_FILE_RANGE_WRITE);
	return 0;
}

static int sink_place(struct layout_sink *sink, const struct oci_digest *digest, struct oci_error *err)
{
	char hex[OCI_DIGEST_TEXT_MAX];

	if (oci_tally_check(&sink->tally, digest, err) < 0 || oci_fs_sync(sink->fd, err) < 0)
		return -1;
	if (renameat(sink->dir, sink->temp, sink->dir, oci_digest_hex(digest, hex)) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "rename to blob '%s'", hex);
	sink->temp[0] = '\0';
	if (!sink->listed.media_type)
		return 0;
	sink->listed.digest = *digest;
	sink->listed.size_bytes = sink->tally.seen_bytes;
	return oci_fs_sync(sink->dir, err) < 0 ? -1 : oci_layout_change(sink->layout->root, &sink->listed, NULL, err);
}

static int sink_commit(struct oci_sink *base, const struct oci_digest *digest, struct oci_error *err)
{
	int status = sink_place((struct layout_sink *)base, digest, err);

	sink_abort(base);
	return status;
}

static void sink_trust(struct oci_sink *base)
{
	oci_tally_trust(&((struct layout_sink *)base)->tally);
}

static const struct oci_sink_ops sink_ops = {
	.write = sink_write,
	.commit = sink_commit,
	.abort = sink_abort,
	.trust = sink_trust,
};

static int sink_create(struct layout_sink *sink, int root, enum oci_digest_alg alg, struct oci_error *err)
{
	char dir[OCI_LAYOUT_BLOBS_MAX];

	if (oci_fs_mkdirs_beneath(root, oci_layout_blobs(alg, dir), DIR_MODE, err) < 0)
		return -1;
	sink->dir = oci_fs_open_dir_beneath(root, dir, err);
	if (sink->dir < 0)
		return -1;
	sink->fd = oci_temp_file(sink->dir, OCI_LAYOUT_BLOB_PREFIX, FILE_MODE, sink->temp, err);
	if (sink->fd >= 0 && sink->tally.size_bytes >= DIRECT_MIN)
		set_direct(sink, true);
	return sink->fd < 0 ? -1 : 0;
}

static struct oci_sink *layout_begin(struct oci_store *s, const struct oci_descriptor *want,
	struct oci_error *err)
{
	struct layout_sink *sink;

	if (((struct layout *)s)->mode != OCI_STORE_WRITE) {
		oci_fail(err, OCI_E_BUG, "write into a layout that is open for reading");
		return NULL;
	}
	sink = calloc(1, sizeof *sink);
	if (!sink) {
		oci_fail_nomem(err);
		return NULL;
	}
	sink->base.ops = &sink_ops;
	sink->layout = (const struct layout *)s;
	sink->dir = sink->fd = -1;
	oci_tally_start(&sink->tally, want);
	if ((sink_create(sink, root_of(s), sink->tally.hash.alg, err) < 0 && fail_in(s, err) < 0) ||
		(is_listed(sink->layout, want) && oci_descriptor_copy(&sink->listed, want, err) < 0)) {
		sink_abort(&sink->base);
		return NULL;
	}
	return &sink->base;
}

static int size_of(struct oci_store *s, const struct oci_digest *digest, uint64_t *ret, struct oci_error *err)
{
	oci_autoclose int fd = open_blob(s, digest, ret, err);

	return fd < 0 ? -1 : 0;
}

static int layout_resolve(struct oci_store *s, const char *name, struct oci_descriptor *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index = {0};

	if (read_index(s, &index, err) < 0)
		return -1;
	return oci_index_resolve(s, &index, name, size_of, ret, err);
}

static int layout_tags(struct oci_store *s, struct oci_strings *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index = {0};

	if (read_index(s, &index, err) < 0)
		return -1;
	return oci_index_tags(&index, ret, err);
}

static int layout_referrers(struct oci_store *s, const struct oci_digest *subject, const char *artifact_type,
	struct oci_manifest *ret, bool *known, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index = {0};

	(void)artifact_type;
	if (read_index(s, &index, err) < 0)
		return -1;
	return oci_index_referrers(s, &index, subject, size_of, ret, known, err);
}

static int layout_tag(struct oci_store *s, const struct oci_descriptor *d, const char *tag,
	struct oci_error *err)
{
	int root = root_of(s);
	bool exists = false;

	if (layout_exists(s, d, &exists, err) < 0)
		return -1;
	if (!exists)
		return oci_blob_fail_missing(&d->digest, err);
	/* What the name leads to must not be lost where the name survives. */
	if (oci_layout_sync_blobs(root, err) < 0 || oci_layout_change(root, d, tag, err) < 0)
		return fail_in(s, err);
	atomic_store(&((struct layout *)s)->named, true);
	return 0;
}

static int layout_untag(struct oci_store *s, const struct oci_descriptor *d, const char *tag,
	struct oci_error *err)
{
	return oci_layout_change(root_of(s), NULL, tag, err) < 0 ? fail_in(s, err) : 0;
}

static int layout_finish(struct oci_store *s, struct oci_error *err)
{
	oci_autoclose int blobs = -1;
	int root = root_of(s);

	if (((struct layout *)s)->mode != OCI_STORE_WRITE)
		return 0;
	atomic_store(&((struct layout *)s)->named, true);
	blobs = oci_fs_open_dir_beneath(root, "blobs", err);
	if (blobs < 0 || oci_layout_sync_blobs(root, err) < 0 || oci_fs_sync(blobs, err) < 0)
		return -1;
	return oci_fs_sync(root, err);
}

static void layout_forsake(struct oci_store *s)
{
	const struct layout *l = (struct layout *)s;

	if (l->made && !atomic_load(&l->named))
		oci_layout_forsake(l->made, l->root);
}

static void layout_close(struct oci_store *s)
{
	struct layout *l = (struct layout *)s;

	close(l->root);
	free(l->made);
	free(l->path);
	free(l);
}

static const struct oci_store_ops layout_ops = {
	.kind = "layout",
	.exists = layout_exists,
	.open = layout_open,
	.file = layout_file,
	.begin = layout_begin,
	.resolve = layout_resolve,
	.tag = layout_tag,
	.tags = layout_tags,
	.referrers = layout_referrers,
	.untag = layout_untag,
	.finish = layout_finish,
	.close = layout_close,
	.forsake = layout_forsake,
};

struct oci_store *oci_store_layout(const char *path, enum oci_store_mode mode, bool lists_all, struct oci_error *err)
{
	struct layout *l = calloc(1, sizeof *l);
	char shown[OCI_STR_ESCAPE_MAX];

	if (!l || oci_str_set(&l->path, path, err) < 0) {
		free(l);
		oci_fail_nomem(err);
		return NULL;
	}
	l->base.ops = &layout_ops;
	l->mode = mode;
	l->root = oci_layout_open_root(path, mode, &l->made, err);
	if (l->root < 0) {
		oci_wrap(err, "layout '%s'", oci_str_escape(path, shown));
		free(l->path);
		free(l);
		return NULL;
	}
	l->lists_all = lists_all || faccessat(l->root, ZOT_DIR, F_OK, 0) == 0;
	return &l->base;
}
