#include "engine/bundle_kept.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "core/json.h"
#include "store/upload_state.h"

#define VERSION 1
#define TAKEN_FILE "taken.json"
#define TAKEN_MAX (2 * OCI_MIB)
#define STEP_BYTES OCI_MIB
#define NAME_BYTES 16
#define FILE_MODE 0600
#define DIR_MODE 0700

struct kept_reader {
	struct oci_reader base;
	const struct oci_bundle_kept *kept;
	const struct oci_bundle_blob *blob;
	struct oci_bundle_cursor cursor;
	int waiting; /* the blob's file among what was kept; -1: not open */
	uint64_t offset, left; /* of the blob */
};

static const char *blob_name(const struct oci_bundle_blob *blob, char out[OCI_DIGEST_TEXT_MAX])
{
	oci_digest_format(&blob->digest, out);
	*strchr(out, ':') = '-';
	return out;
}

/* How far the part that this byte of the blob lies in goes on within it. */
static uint64_t piece_length(const struct oci_bundle_set *set, const struct oci_bundle_blob *blob, uint64_t offset,
	size_t *number)
{
	uint64_t at = blob->offset + offset, end;

	*number = oci_bundle_set_part_of(set, at);
	end = oci_bundle_parts_offset(&set->parts, *number) + oci_bundle_parts_length(&set->parts, *number);
	return end - at < blob->size_bytes - offset ? end - at : blob->size_bytes - offset;
}

static ssize_t read_waiting(struct kept_reader *r, void *data, size_t size, struct oci_error *err)
{
	char name[OCI_DIGEST_TEXT_MAX];

	if (r->waiting < 0)
		r->waiting = oci_fs_open_beneath(r->kept->dir, blob_name(r->blob, name), O_RDONLY, 0, err);
	return r->waiting < 0 ? -1 : oci_fs_pread_full(r->waiting, data, size, r->offset, err);
}

static ssize_t kept_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct kept_reader *r = (struct kept_reader *)base;
	const struct oci_bundle_set *set = r->kept->set;
	uint64_t piece, within;
	size_t number;
	ssize_t n;

	if (r->left == 0)
		return 0;
	piece = piece_length(set, r->blob, r->offset, &number);
	piece = piece < r->left ? piece : r->left;
	size = piece < size ? (size_t)piece : size;
	within = r->blob->offset + r->offset - oci_bundle_parts_offset(&set->parts, number);
	if (set->here[number - 1] || !r->kept->taken[number - 1]) {
		if (oci_bundle_cursor_open(&r->cursor, set, number, err) < 0)
			return -1;
		n = oci_fs_pread_full(r->cursor.fd, data, size, set->parts.head_bytes + within, err);
	} else {
		n = read_waiting(r, data, size, err);
	}
	if (n <= 0)
		return n < 0 ? -1 : oci_fail(err, OCI_E_SOURCE, "part %zu became shorter while it was read", number);
	r->offset += (uint64_t)n;
	r->left -= (uint64_t)n;
	return n;
}

static void kept_close(struct oci_reader *base)
{
	struct kept_reader *r = (struct kept_reader *)base;

	oci_bundle_cursor_clear(&r->cursor);
	oci_cleanup_close(&r->waiting);
	free(r);
}

static struct oci_reader *open_blob(void *ctx, const struct oci_bundle_blob *blob, uint64_t offset, uint64_t length,
	struct oci_error *err)
{
	static const struct oci_reader_ops ops = {kept_read, kept_close};
	struct kept_reader *r = calloc(1, sizeof *r);

	if (!r) {
		oci_fail_nomem(err);
		return NULL;
	}
	r->base.ops = &ops;
	r->kept = ctx;
	r->blob = blob;
	r->cursor.fd = r->waiting = -1;
	r->offset = offset;
	r->left = length;
	return &r->base;
}

static int take_numbers(struct oci_bundle_kept *kept, const struct oci_buf *text, struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
	const struct oci_json *list;
	uint64_t number;

	doc = oci_json_parse(oci_buf_text(text), text->len, &OCI_JSON_INDEX, err);
	if (!doc)
		return -1;
	list = oci_json_get(doc, "parts");
	for (size_t i = 0; list && i < oci_json_count(list); i++)
		if (oci_json_value_u64(oci_json_at(list, i), &number) && number >= 1 && number <= kept->set->parts.count)
			kept->taken[number - 1] = true;
	return 0;
}

/* Another bundle, size of parts or destination gives another name. */
static void make_name(struct oci_bundle_kept *kept, const char *to)
{
	struct oci_digest digest;
	struct oci_hash hash;
	char hex[2 * NAME_BYTES + 1];

	oci_hash_init(&hash, OCI_SHA256);
	oci_hash_update(&hash, kept->set->map.id.bytes, sizeof kept->set->map.id.bytes);
	oci_hash_update(&hash, &kept->set->parts.part_bytes, sizeof kept->set->parts.part_bytes);
	oci_hash_update(&hash, to, strlen(to));
	oci_hash_final(&hash, &digest);
	oci_str_hex(digest.bytes, NAME_BYTES, hex);
	snprintf(kept->name, sizeof kept->name, "load-%s", hex);
}

int oci_bundle_kept_open(struct oci_bundle_kept *kept, const char *state_dir, struct oci_bundle_set *set,
	const char *to, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	oci_autoclose int root = -1;

	oci_buf_init(&text, TAKEN_MAX);
	*kept = (struct oci_bundle_kept){.set = set, .fill = {open_blob, kept}, .dir = -1};
	kept->taken = calloc(set->parts.count, sizeof *kept->taken);
	if (!kept->taken)
		return oci_fail_nomem(err);
	make_name(kept, to);
	if (!state_dir || !*state_dir)
		return 0;
	if (oci_str_set(&kept->state_dir, state_dir, err) < 0)
		return -1;
	root = oci_fs_open_dir(state_dir, NULL);
	if (root >= 0)
		kept->dir = oci_fs_open_dir_beneath(root, kept->name, NULL);
	if (kept->dir < 0 || oci_fs_read_file(kept->dir, TAKEN_FILE, &text, NULL) < 0)
		return 0;
	return take_numbers(kept, &text, err) < 0 ? oci_wrap(err, "'%s/%s'", state_dir, kept->name) : 0;
}

static bool waits(const struct oci_bundle_kept *kept, const struct oci_bundle_blob *blob)
{
	char name[OCI_DIGEST_TEXT_MAX];

	return kept->dir >= 0 && faccessat(kept->dir, blob_name(blob, name), R_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

size_t oci_bundle_kept_missing(const struct oci_bundle_kept *kept, const struct oci_bundle_blob *blob, bool *wanted)
{
	bool here, own = waits(kept, blob);
	size_t number, missing = 0;

	for (uint64_t at = 0; at < blob->size_bytes;) {
		at += piece_length(kept->set, blob, at, &number);
		here = kept->set->here[number - 1] || (own && kept->taken[number - 1]);
		missing += !here;
		if (wanted && !here)
			wanted[number - 1] = true;
	}
	return missing;
}

void oci_bundle_kept_parts(const struct oci_bundle_kept *kept, const struct oci_bundle_blob *blob, bool *here)
{
	size_t number;

	for (uint64_t at = 0; at < blob->size_bytes;) {
		at += piece_length(kept->set, blob, at, &number);
		here[number - 1] = here[number - 1] || kept->set->here[number - 1];
	}
}

/* The directory, when there is something to put into it. */
static int make_dir(struct oci_bundle_kept *kept, struct oci_error *err)
{
	oci_autoclose int root = -1;

	if (kept->dir >= 0)
		return 0;
	if (!kept->state_dir)
		return oci_fail(err, OCI_E_MORE,
			"there is no place to keep parts of blobs: give --state-dir, or all parts at once");
	root = oci_upload_state_open_dir(kept->state_dir);
	if (root < 0)
		return oci_fs_fail(err, errno, "make directory", kept->state_dir);
	if (oci_fs_mkdirs_beneath(root, kept->name, DIR_MODE, err) < 0)
		return oci_wrap(err, "state directory '%s'", kept->state_dir);
	kept->dir = oci_fs_open_dir_beneath(root, kept->name, err);
	return kept->dir < 0 ? -1 : 0;
}

static int save_piece(const struct oci_bundle_kept *kept, const struct oci_bundle_blob *blob, uint64_t offset,
	uint64_t length, int fd, struct oci_error *err)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *from = NULL;
	oci_autofree char *step = malloc(STEP_BYTES);
	ssize_t n;

	if (!step)
		return oci_fail_nomem(err);
	from = oci_bundle_set_read(kept->set, blob->offset + offset, length, err);
	if (!from)
		return -1;
	while ((n = oci_reader_read(from, step, STEP_BYTES, err)) > 0) {
		if (oci_fs_pwrite_all(fd, step, (size_t)n, offset, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
		offset += (uint64_t)n;
	}
	return n < 0 ? -1 : 0;
}

/* Does any of its bytes lie in a part that is here? */
static bool touches(const struct oci_bundle_kept *kept, const struct oci_bundle_blob *blob)
{
	size_t number;

	for (uint64_t at = 0; at < blob->size_bytes;) {
		at += piece_length(kept->set, blob, at, &number);
		if (kept->set->here[number - 1])
			return true;
	}
	return false;
}

int oci_bundle_kept_save(struct oci_bundle_kept *kept, const struct oci_bundle_blob *blob, struct oci_error *err)
{
	oci_autoclose int fd = -1;
	char name[OCI_DIGEST_TEXT_MAX];
	uint64_t length;
	size_t number;

	if (!touches(kept, blob))
		return 0;
	if (make_dir(kept, err) < 0)
		return -1;
	fd = oci_fs_open_beneath(kept->dir, blob_name(blob, name), O_RDWR | O_CREAT, FILE_MODE, err);
	if (fd < 0)
		return -1;
	for (uint64_t at = 0; at < blob->size_bytes; at += length) {
		length = piece_length(kept->set, blob, at, &number);
		if (kept->set->here[number - 1] && save_piece(kept, blob, at, length, fd, err) < 0)
			return oci_wrap(err, "keep a part of blob '%s'", name);
	}
	return oci_fs_sync(fd, err);
}

void oci_bundle_kept_forget(const struct oci_bundle_kept *kept, const struct oci_bundle_blob *blob)
{
	char name[OCI_DIGEST_TEXT_MAX];

	if (kept->dir >= 0)
		unlinkat(kept->dir, blob_name(blob, name), 0);
}

int oci_bundle_kept_commit(struct oci_bundle_kept *kept, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	struct oci_json_writer w;

	oci_buf_init(&text, TAKEN_MAX);
	if (make_dir(kept, err) < 0)
		return -1;
	oci_json_begin(&w, &text);
	oci_json_object(&w, NULL);
	oci_json_put_u64(&w, "loadVersion", VERSION);
	oci_json_array(&w, "parts");
	for (size_t i = 0; i < kept->set->parts.count; i++) {
		kept->taken[i] = kept->taken[i] || kept->set->here[i];
		if (kept->taken[i])
			oci_json_put_u64(&w, NULL, i + 1);
	}
	oci_json_close(&w);
	oci_json_close(&w);
	if (oci_json_end(&w, err) < 0)
		return -1;
	return oci_fs_write_file(kept->dir, TAKEN_FILE, text.data, text.len, FILE_MODE, true, err);
}

void oci_bundle_kept_remove(struct oci_bundle_kept *kept)
{
	oci_autoclose int root = kept->dir >= 0 ? oci_fs_open_dir(kept->state_dir, NULL) : -1;

	if (root >= 0)
		oci_fs_remove_tree(root, kept->name, NULL);
}

void oci_bundle_kept_close(struct oci_bundle_kept *kept)
{
	oci_cleanup_close(&kept->dir);
	free(kept->state_dir);
	free(kept->taken);
}
