#include "store/archive_index.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "core/grow.h"
#include "store/archive_docker.h"
#include "store/archive_walk.h"
#include "store/index.h"

#define LAYOUT_FILE "oci-layout"
#define INDEX_FILE "index.json"

struct collect {
	struct oci_archive_walk walk;
	struct oci_archive_member member;
	char prefix[OCI_ARCHIVE_PATH_MAX]; /* "" or the wrapping directory with its '/' */
	struct oci_archive_index *index;
	bool has_layout, has_index;
};

/* The directory of an `oci-layout` member, at most one deep. */
static bool is_layout_file(const char *path, char prefix[OCI_ARCHIVE_PATH_MAX])
{
	const char *slash = strchr(path, '/');
	const char *base = slash ? slash + 1 : path;

	if (strcmp(base, LAYOUT_FILE) != 0)
		return false;
	snprintf(prefix, OCI_ARCHIVE_PATH_MAX, "%.*s", (int)(base - path), path);
	return true;
}

/* 1: c->prefix is where the layout is; 0: there is none. */
static int find_prefix(struct collect *c, int fd, struct oci_error *err)
{
	int more;

	if (oci_archive_walk_init(&c->walk, fd, err) < 0)
		return -1;
	while ((more = oci_archive_walk_next(&c->walk, &c->member, err)) > 0)
		if (is_layout_file(c->member.path, c->prefix))
			return 1;
	return more;
}

int oci_archive_index_add(struct oci_archive_index *index, const struct oci_archive_blob *blob,
	struct oci_error *err)
{
	struct oci_archive_blob *blobs;

	if (index->count == OCI_ARCHIVE_BLOBS_MAX)
		return oci_fail(err, OCI_E_FORMAT, "holds more than %d blobs", OCI_ARCHIVE_BLOBS_MAX);
	blobs = oci_grow(index->blobs, index->count, sizeof *blobs);
	if (!blobs)
		return oci_fail_nomem(err);
	index->blobs = blobs;
	index->blobs[index->count++] = *blob;
	return 0;
}

static int add_blob(struct collect *c, const struct oci_digest *digest, struct oci_error *err)
{
	const struct oci_archive_blob blob = {
		.digest = *digest,
		.offset = c->member.offset,
		.size_bytes = c->member.size_bytes,
	};

	return oci_archive_index_add(c->index, &blob, err);
}

static int read_document(struct collect *c, bool *seen, struct oci_buf *out, struct oci_error *err)
{
	const char *name = c->member.path;

	if (*seen)
		return oci_fail(err, OCI_E_FORMAT, "holds '%s' twice", name);
	*seen = true;
	if (c->member.size_bytes > out->max)
		return oci_fail(err, OCI_E_FORMAT, "'%s' is too large", name);
	if (oci_buf_append_zeros(out, c->member.size_bytes, err) < 0)
		return -1;
	return oci_fs_pread_full(c->walk.fd, out->data, out->len, c->member.offset, err) < 0 ? -1 : 0;
}

static int check_layout(struct collect *c, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, OCI_MIB);
	if (read_document(c, &c->has_layout, &text, err) < 0)
		return -1;
	return oci_index_check_layout(&text, err);
}

/* "blobs/<algorithm>/<hex>" to a digest; other names are not ours. */
static bool parse_blob_path(const char *path, struct oci_digest *ret)
{
	char text[OCI_DIGEST_TEXT_MAX];
	char *slash;

	if (!oci_str_starts(path, "blobs/") || strlen(path + 6) >= sizeof text)
		return false;
	snprintf(text, sizeof text, "%s", path + 6);
	slash = strchr(text, '/');
	if (!slash)
		return false;
	*slash = ':';
	return oci_digest_parse(text, ret, NULL) == 0;
}

static int keep_member(struct collect *c, struct oci_error *err)
{
	const struct oci_archive_member *m = &c->member;
	const char *path = m->path + strlen(c->prefix);
	char shown[OCI_STR_ESCAPE_MAX];
	struct oci_digest digest;
	bool layout, index;

	if (!oci_str_starts(m->path, c->prefix))
		return 0;
	layout = strcmp(path, LAYOUT_FILE) == 0;
	index = strcmp(path, INDEX_FILE) == 0;
	if (!layout && !index && !parse_blob_path(path, &digest))
		return 0;
	if (m->type != OCI_ARCHIVE_FILE)
		return oci_fail(err, OCI_E_FORMAT, "member '%s' is not a regular file",
			oci_str_escape(m->path, shown));
	if (layout)
		return check_layout(c, err);
	return index ? read_document(c, &c->has_index, &c->index->text, err) : add_blob(c, &digest, err);
}

static int by_digest(const void *a, const void *b)
{
	const struct oci_digest *x = &((const struct oci_archive_blob *)a)->digest;
	const struct oci_digest *y = &((const struct oci_archive_blob *)b)->digest;

	if (x->alg != y->alg)
		return x->alg < y->alg ? -1 : 1;
	return memcmp(x->bytes, y->bytes, x->alg == OCI_SHA512 ? 64 : 32);
}

static int sort_blobs(struct oci_archive_index *index, struct oci_error *err)
{
	const struct oci_archive_blob *blobs = index->blobs;
	char text[OCI_DIGEST_TEXT_MAX];

	if (index->count > 0)
		qsort(index->blobs, index->count, sizeof *blobs, by_digest);
	for (size_t i = 1; i < index->count; i++)
		if (by_digest(&blobs[i - 1], &blobs[i]) == 0 &&
			blobs[i - 1].size_bytes != blobs[i].size_bytes)
			return oci_fail(err, OCI_E_FORMAT, "holds blob '%s' twice with different sizes",
				oci_digest_format(&blobs[i].digest, text));
	return 0;
}

static int collect_members(struct collect *c, int fd, struct oci_error *err)
{
	int more;

	if (oci_archive_walk_init(&c->walk, fd, err) < 0)
		return -1;
	while ((more = oci_archive_walk_next(&c->walk, &c->member, err)) > 0)
		if (keep_member(c, err) < 0)
			return -1;
	if (more == 0 && !c->has_index)
		return oci_fail(err, OCI_E_FORMAT, "has no '%s': not an OCI archive", INDEX_FILE);
	return more;
}

int oci_archive_index_read(int fd, struct oci_archive_index *ret, struct oci_error *err)
{
	oci_autofree struct collect *c = calloc(1, sizeof *c);
	int found;

	*ret = (struct oci_archive_index){0};
	oci_buf_init(&ret->text, OCI_INDEX_MAX);
	oci_buf_init(&ret->documents, OCI_ARCHIVE_DOCUMENTS_MAX);
	if (!c)
		return oci_fail_nomem(err);
	c->index = ret;
	found = find_prefix(c, fd, err);
	if (found < 0)
		return -1;
	if ((found ? collect_members(c, fd, err) : oci_archive_docker_read(fd, ret, err)) < 0)
		return -1;
	return sort_blobs(ret, err);
}

const struct oci_archive_blob *oci_archive_index_find(const struct oci_archive_index *index,
	const struct oci_digest *digest)
{
	const struct oci_archive_blob want = {.digest = *digest};

	if (index->count == 0)
		return NULL;
	return bsearch(&want, index->blobs, index->count, sizeof *index->blobs, by_digest);
}

void oci_archive_index_clear(struct oci_archive_index *index)
{
	free(index->blobs);
	oci_buf_clear(&index->text);
	oci_buf_clear(&index->documents);
	*index = (struct oci_archive_index){0};
}
