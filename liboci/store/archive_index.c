#include "store/archive_index.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "core/grow.h"
#include "store/archive_docker.h"
#include "store/archive_walk.h"
#include "store/index.h"

#define LAYOUT_FILE "oci-layout"
#define INDEX_FILE "index.json"
#define PLACES_MAX 8
#define KEPT_MAX (32 * OCI_MIB) /* of small blobs, in memory */

/* A directory that may turn out to be the layout's. */
struct place {
	char *prefix; /* "" or a directory with its '/' */
	struct oci_buf text; /* of index.json */
	size_t layout;       /* number of its oci-layout, from 1 in the order of members; 0: none */
	bool has_index;
	struct oci_error refused; /* why it cannot be read */
};

struct collect {
	struct oci_archive_walk walk;
	struct oci_archive_member member;
	struct oci_archive_index *index;
	struct place places[PLACES_MAX];
	size_t place_count, layout_count;
};

static void collect_free(struct collect **c)
{
	for (size_t i = 0; *c && i < (*c)->place_count; i++) {
		free((*c)->places[i].prefix);
		oci_buf_clear(&(*c)->places[i].text);
	}
	free(*c);
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

/* Whole, of the member that is walked over. */
static int read_member(struct collect *c, struct oci_buf *out, struct oci_error *err)
{
	const struct oci_archive_member *m = &c->member;
	size_t at = out->len;
	char shown[OCI_STR_ESCAPE_MAX];
	ssize_t n;

	if (m->size_bytes > out->max - out->len)
		return oci_fail(err, OCI_E_FORMAT, "'%s' is too large", oci_str_escape(m->path, shown));
	if (oci_buf_append_zeros(out, m->size_bytes, err) < 0)
		return -1;
	n = oci_archive_input_read(c->walk.input, out->data + at, m->size_bytes, m->offset, err);
	if (n >= 0 && (uint64_t)n < m->size_bytes)
		return oci_fail(err, OCI_E_FORMAT, "the archive ends within '%s': truncated",
			oci_str_escape(m->path, shown));
	return n < 0 ? -1 : 0;
}

static int add_blob(struct collect *c, unsigned place, const struct oci_digest *digest, struct oci_error *err)
{
	struct oci_buf *documents = &c->index->documents;
	struct oci_archive_blob blob = {
		.digest = *digest,
		.offset = c->member.offset,
		.size_bytes = c->member.size_bytes,
		.place = place,
	};

	blob.in_memory = oci_archive_input_is_stream(c->walk.input) && blob.size_bytes <= OCI_MANIFEST_MAX &&
		documents->len + blob.size_bytes <= KEPT_MAX;
	if (blob.in_memory) {
		blob.offset = documents->len;
		if (read_member(c, documents, err) < 0)
			return -1;
	}
	return oci_archive_index_add(c->index, &blob, err);
}

static int keep_layout(struct collect *c, struct place *place, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	if (place->layout)
		return oci_fail(err, OCI_E_FORMAT, "holds '%s' twice", c->member.path);
	place->layout = ++c->layout_count;
	oci_buf_init(&text, OCI_MIB);
	return read_member(c, &text, err) < 0 ? -1 : oci_index_check_layout(&text, err);
}

static int keep_index(struct collect *c, struct place *place, struct oci_error *err)
{
	if (place->has_index)
		return oci_fail(err, OCI_E_FORMAT, "holds '%s' twice", c->member.path);
	place->has_index = true;
	return read_member(c, &place->text, err);
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

/* A member's name below the directory of a layout; digest alg 0: no blob. */
static bool is_ours(const char *name, struct oci_digest *digest)
{
	*digest = (struct oci_digest){0};
	return strcmp(name, LAYOUT_FILE) == 0 || strcmp(name, INDEX_FILE) == 0 || parse_blob_path(name, digest);
}

/* NULL: none, or out of memory (*err). */
static struct place *find_place(struct collect *c, const char *path, size_t prefix_len, struct oci_error *err)
{
	struct place *place = c->places;

	for (; place < c->places + c->place_count; place++)
		if (strlen(place->prefix) == prefix_len && strncmp(place->prefix, path, prefix_len) == 0)
			return place;
	if (c->place_count == PLACES_MAX)
		return NULL;
	place->prefix = strndup(path, prefix_len);
	if (!place->prefix) {
		oci_fail_nomem(err);
		return NULL;
	}
	oci_buf_init(&place->text, OCI_INDEX_MAX);
	c->place_count++;
	return place;
}

static int keep_in(struct collect *c, struct place *place, const char *name, const struct oci_digest *digest,
	struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];

	if (c->member.type != OCI_ARCHIVE_FILE)
		return oci_fail(err, OCI_E_FORMAT, "member '%s' is not a regular file",
			oci_str_escape(c->member.path, shown));
	if (digest->alg)
		return add_blob(c, (unsigned)(place - c->places), digest, err);
	return strcmp(name, LAYOUT_FILE) == 0 ? keep_layout(c, place, err) : keep_index(c, place, err);
}

/* What is wrong in a directory matters only if it turns out to be the layout's. */
static int keep_member(struct collect *c, struct oci_error *err)
{
	const char *slash = strchr(c->member.path, '/');
	const char *name = c->member.path;
	struct oci_error failure = {0};
	struct oci_digest digest;
	struct place *place;

	if (!is_ours(name, &digest)) {
		name = slash ? slash + 1 : "";
		if (!is_ours(name, &digest))
			return 0;
	}
	place = find_place(c, c->member.path, (size_t)(name - c->member.path), &failure);
	if (place && !place->refused.code && keep_in(c, place, name, &digest, &failure) < 0)
		place->refused = failure;
	if (failure.code != OCI_E_NOMEM && failure.code != OCI_E_IO)
		return 0;
	if (err && !err->code)
		*err = failure;
	return -1;
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

/* That of the first oci-layout; NULL: there is none. */
static struct place *choose_place(struct collect *c)
{
	struct place *first = NULL;

	for (struct place *place = c->places; place < c->places + c->place_count; place++)
		if (place->layout && (!first || place->layout < first->layout))
			first = place;
	return first;
}

static int take_place(struct collect *c, struct place *place, struct oci_error *err)
{
	struct oci_archive_index *index = c->index;
	size_t kept = 0;

	if (place->refused.code) {
		if (err && !err->code)
			*err = place->refused;
		return -1;
	}
	if (!place->has_index)
		return oci_fail(err, OCI_E_FORMAT, "has no '%s': not an OCI archive", INDEX_FILE);
	for (size_t i = 0; i < index->count; i++)
		if (index->blobs[i].place == (unsigned)(place - c->places))
			index->blobs[kept++] = index->blobs[i];
	index->count = kept;
	oci_buf_clear(&index->text);
	index->text = place->text;
	place->text = (struct oci_buf){0};
	return 0;
}

static int read_index(struct collect *c, struct oci_archive_input *input, struct oci_error *err)
{
	struct place *place;
	int more;

	oci_archive_walk_over(&c->walk, input);
	while ((more = oci_archive_walk_next(&c->walk, &c->member, err)) > 0)
		if (keep_member(c, err) < 0)
			return -1;
	if (more < 0)
		return -1;
	place = choose_place(c);
	if (place)
		return take_place(c, place, err);
	c->index->count = 0;
	oci_buf_reset(&c->index->documents);
	return oci_archive_docker_read(input, c->index, err);
}

int oci_archive_index_read(struct oci_archive_input *input, struct oci_archive_index *ret, struct oci_error *err)
{
	OCI_CLEANUP(collect_free) struct collect *c = calloc(1, sizeof *c);

	*ret = (struct oci_archive_index){0};
	oci_buf_init(&ret->text, OCI_INDEX_MAX);
	oci_buf_init(&ret->documents, OCI_ARCHIVE_DOCUMENTS_MAX);
	if (!c)
		return oci_fail_nomem(err);
	c->index = ret;
	return read_index(c, input, err) < 0 ? -1 : sort_blobs(ret, err);
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
