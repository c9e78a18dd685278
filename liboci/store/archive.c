#include "store/archive.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "store/archive_index.h"
#include "store/archive_out.h"
#include "store/blob.h"
#include "store/index.h"
#include "store/ops.h"

struct archive {
	struct oci_store base;
	enum oci_store_mode mode;
	int dir;
	char *name;
	struct oci_archive_input *old; /* what is there, NULL: nothing */
	struct oci_archive_index members; /* of it */
	struct oci_archive_out out; /* WRITE only */
};

struct archive_sink {
	struct oci_sink base;
	struct archive *archive;
	struct oci_tally tally;
	bool owns; /* a region; else the content is in the archive already */
	struct oci_archive_region region;
};

/* Where a blob's data lie: in the old file, or else (*old false) in the new one. */
static int locate(struct archive *a, const struct oci_digest *digest, struct oci_archive_blob *ret, bool *old,
	struct oci_error *err)
{
	const struct oci_archive_blob *found;

	*old = !oci_archive_out_find(&a->out, digest, ret);
	if (!*old)
		return 0;
	found = oci_archive_index_find(&a->members, digest);
	if (!found)
		return oci_blob_fail_missing(digest, err);
	*ret = *found;
	return 0;
}

static int archive_exists(struct oci_store *s, const struct oci_descriptor *d, bool *ret,
	struct oci_error *err)
{
	struct archive *a = (struct archive *)s;
	struct oci_archive_blob blob = {0};
	bool found = oci_archive_out_find(&a->out, &d->digest, &blob);
	const struct oci_archive_blob *old = NULL;

	if (a->mode == OCI_STORE_READ)
		old = oci_archive_index_find(&a->members, &d->digest);
	*ret = (found && blob.size_bytes == d->size_bytes) || (old && old->size_bytes == d->size_bytes);
	return 0;
}

static struct oci_reader *archive_open(struct oci_store *s, const struct oci_descriptor *d, uint64_t offset,
	uint64_t length, struct oci_error *err)
{
	struct oci_archive_blob blob = {0};
	struct archive *a = (struct archive *)s;
	bool old = false;
	int own;

	if (locate(a, &d->digest, &blob, &old, err) < 0 ||
		oci_blob_check_size(d, blob.size_bytes, err) < 0 ||
		oci_blob_check_range(d, offset, length, err) < 0)
		return NULL;
	if (blob.in_memory)
		return oci_reader_memory(a->members.documents.data + blob.offset + offset, length, err);
	if (old)
		return oci_archive_input_reader(a->old, blob.offset + offset, length, err);
	own = fcntl(a->out.fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0) {
		oci_fail_sys(err, errno, OCI_E_IO, "duplicate the archive's descriptor");
		return NULL;
	}
	return oci_reader_file_take(own, blob.offset + offset, length, err);
}

static void sink_abort(struct oci_sink *base)
{
	struct archive_sink *sink = (struct archive_sink *)base;

	if (sink->owns)
		oci_archive_out_release(&sink->archive->out, &sink->region);
	free(sink);
}

static int sink_write(struct oci_sink *base, const void *data, size_t len, struct oci_error *err)
{
	struct archive_sink *sink = (struct archive_sink *)base;
	uint64_t offset = sink->region.offset + sink->tally.seen_bytes;
	char size[OCI_STR_SIZE_MAX];

	if (oci_tally_add(&sink->tally, data, len, err) < 0)
		return -1;
	if (sink->owns && oci_fs_pwrite_all(sink->archive->out.fd, data, len, offset, err) < 0)
		return oci_wrap(err, "blob of %s for the archive", oci_str_size(sink->tally.size_bytes, size));
	return 0;
}

static int sink_place(struct archive_sink *sink, const struct oci_digest *digest, struct oci_error *err)
{
	if (oci_tally_check(&sink->tally, digest, err) < 0)
		return -1;
	if (sink->owns && oci_archive_out_place(&sink->archive->out, &sink->region, digest, err) < 0)
		return -1;
	sink->owns = false;
	return 0;
}

static int sink_commit(struct oci_sink *base, const struct oci_digest *digest, struct oci_error *err)
{
	int status = sink_place((struct archive_sink *)base, digest, err);

	sink_abort(base);
	return status;
}

static void sink_trust(struct oci_sink *base)
{
	oci_tally_trust(&((struct archive_sink *)base)->tally);
}

static const struct oci_sink_ops sink_ops = {
	.write = sink_write,
	.commit = sink_commit,
	.abort = sink_abort,
	.trust = sink_trust,
};

static int check_writable(const struct archive *a, struct oci_error *err)
{
	if (a->mode == OCI_STORE_READ)
		return oci_fail(err, OCI_E_BUG, "write into an archive that is open for reading");
	return a->out.temp[0] ? 0 : oci_fail(err, OCI_E_BUG, "write into an archive that is finished");
}

static struct oci_sink *archive_begin(struct oci_store *s, const struct oci_descriptor *want,
	struct oci_error *err)
{
	struct archive *a = (struct archive *)s;
	oci_autofree struct archive_sink *sink = NULL;
	bool exists = false;

	if (check_writable(a, err) < 0 || (want->digest.alg && archive_exists(s, want, &exists, err) < 0))
		return NULL;
	sink = calloc(1, sizeof *sink);
	if (!sink) {
		oci_fail_nomem(err);
		return NULL;
	}
	sink->base.ops = &sink_ops;
	sink->archive = a;
	sink->owns = !exists;
	oci_tally_start(&sink->tally, want);
	if (sink->owns && oci_archive_out_reserve(&a->out, want, &sink->region, err) < 0)
		return NULL;
	return &oci_steal(&sink)->base;
}

static int size_of(struct oci_store *s, const struct oci_digest *digest, uint64_t *ret, struct oci_error *err)
{
	struct oci_archive_blob blob = {0};
	bool old;

	if (locate((struct archive *)s, digest, &blob, &old, err) < 0)
		return -1;
	*ret = blob.size_bytes;
	return 0;
}

static int archive_resolve(struct oci_store *s, const char *name, struct oci_descriptor *ret,
	struct oci_error *err)
{
	struct archive *a = (struct archive *)s;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index = {0};
	bool found = false;

	if (a->mode == OCI_STORE_READ)
		return oci_index_resolve(s, &a->members.text, name, size_of, ret, err);
	if (oci_archive_out_index(&a->out, &index, err) < 0 ||
		oci_index_find(&index, name, ret, &found, err) < 0)
		return -1;
	if (found)
		return 0;
	return oci_index_resolve(s, !a->old ? &index : &a->members.text, name, size_of, ret, err);
}

static int archive_tag(struct oci_store *s, const struct oci_descriptor *d, const char *tag,
	struct oci_error *err)
{
	struct archive *a = (struct archive *)s;

	return check_writable(a, err) < 0 ? -1 : oci_archive_out_tag(&a->out, d, tag, err);
}

static int archive_tags(struct oci_store *s, struct oci_strings *ret, struct oci_error *err)
{
	struct archive *a = (struct archive *)s;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index = {0};

	if (a->mode == OCI_STORE_READ)
		return oci_index_tags(&a->members.text, ret, err);
	if (oci_archive_out_index(&a->out, &index, err) < 0)
		return -1;
	return oci_index_tags(&index, ret, err);
}

static int archive_referrers(struct oci_store *s, const struct oci_digest *subject, const char *artifact_type,
	struct oci_manifest *ret, bool *known, struct oci_error *err)
{
	struct archive *a = (struct archive *)s;

	(void)artifact_type;
	*known = false;
	if (a->mode != OCI_STORE_READ)
		return 0;
	return oci_index_referrers(s, &a->members.text, subject, size_of, ret, known, err);
}

/* Unpacking goes from the front to the back alone. */
static bool archive_order(struct oci_store *s, const struct oci_descriptor *d, uint64_t *ret)
{
	struct archive *a = (struct archive *)s;
	const struct oci_archive_blob *blob;

	if (!a->old || !oci_archive_input_is_stream(a->old))
		return false;
	blob = oci_archive_index_find(&a->members, &d->digest);
	*ret = blob && !blob->in_memory ? blob->offset : 0;
	return true;
}

static int archive_finish(struct oci_store *s, struct oci_error *err)
{
	return oci_archive_out_finish(&((struct archive *)s)->out, err);
}

static void archive_close(struct oci_store *s)
{
	struct archive *a = (struct archive *)s;

	oci_archive_out_close(&a->out);
	oci_archive_index_clear(&a->members);
	oci_archive_input_free(a->old);
	oci_cleanup_close(&a->dir);
	free(a->name);
	free(a);
}

static const struct oci_store_ops archive_ops = {
	.kind = "archive",
	.exists = archive_exists,
	.open = archive_open,
	.begin = archive_begin,
	.resolve = archive_resolve,
	.tag = archive_tag,
	.tags = archive_tags,
	.referrers = archive_referrers,
	.order = archive_order,
	.finish = archive_finish,
	.close = archive_close,
};

/* WRITE takes an absent or empty file for none, and does not look for parts. */
static int find_old(struct archive *a, bool *ret, struct oci_error *err)
{
	struct stat st;

	*ret = true;
	if (a->mode == OCI_STORE_READ)
		return 0;
	if (fstatat(a->dir, a->name, &st, 0) == 0)
		*ret = !S_ISREG(st.st_mode) || st.st_size > 0;
	else if (errno == ENOENT)
		*ret = false;
	else
		return oci_fs_fail(err, errno, "open", a->name);
	return 0;
}

static int open_old(struct archive *a, struct oci_error *err)
{
	bool there;

	if (find_old(a, &there, err) < 0)
		return -1;
	if (!there)
		return 0;
	a->old = oci_archive_input_open(a->dir, a->name, err);
	return a->old ? oci_archive_index_read(a->old, &a->members, err) : -1;
}

struct oci_store *oci_store_archive(const char *path, enum oci_store_mode mode, struct oci_error *err)
{
	struct archive *a = calloc(1, sizeof *a);
	char shown[OCI_STR_ESCAPE_MAX];

	if (!a) {
		oci_fail_nomem(err);
		return NULL;
	}
	a->base.ops = &archive_ops;
	a->mode = mode;
	oci_archive_out_init(&a->out);
	a->dir = oci_fs_open_parent(path, &a->name, err);
	if (a->dir < 0 || open_old(a, err) < 0 ||
		(mode == OCI_STORE_WRITE && oci_archive_out_create(&a->out, a->dir, a->name, err) < 0)) {
		archive_close(&a->base);
		oci_wrap(err, "archive '%s'", oci_str_escape(path, shown));
		return NULL;
	}
	return &a->base;
}
