#include "engine/ledger.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "core/json.h"
#include "engine/ledger_job.h"
#include "engine/unpack_file.h"

#define LEDGER_VERSION 1
#define TEXT_MAX (64 * OCI_MIB) /* of a ledger: more than a million lines */
#define LINES_MAX (4 * OCI_MIB) /* of lines that are not written yet */
#define WRITE_FROM (64 * OCI_KIB)
#define SYNC_BYTES (64 * OCI_MIB)

/* head */

static void hash_text(struct oci_hash *hash, const char *text)
{
	if (text)
		oci_hash_update(hash, text, strlen(text));
	oci_hash_update(hash, "", 1);
}

static void hash_texts(struct oci_hash *hash, const struct oci_strings *list)
{
	for (size_t i = 0; list && i < list->count; i++)
		hash_text(hash, list->items[i]);
	hash_text(hash, NULL);
}

/* Of the same layer other options take other files. */
static void digest_options(const struct oci_unpack_options *o, struct oci_digest *ret)
{
	struct oci_hash hash;

	oci_hash_init(&hash, OCI_SHA256);
	hash_text(&hash, o->root);
	hash_text(&hash, o->strip);
	hash_texts(&hash, o->filter.include);
	hash_texts(&hash, o->filter.exclude);
	for (size_t i = 0; o->filter.only && i < o->filter.only->count; i++)
		hash_text(&hash, o->filter.only->files[i].path);
	oci_hash_final(&hash, ret);
}

static int put_head(const struct oci_ledger_key *key, const struct oci_unpack_options *options, struct oci_buf *out,
	struct oci_error *err)
{
	char digest[OCI_DIGEST_TEXT_MAX];
	struct oci_json_writer w;
	struct oci_digest as;

	digest_options(options, &as);
	oci_json_begin(&w, out);
	oci_json_object(&w, NULL);
	oci_json_put_u64(&w, "ledgerVersion", LEDGER_VERSION);
	oci_json_put_text(&w, "manifest", oci_digest_format(key->manifest, digest));
	oci_json_put_text(&w, "layer", oci_digest_format(&key->blob->digest, digest));
	oci_json_put_text(&w, "options", oci_digest_format(&as, digest));
	oci_json_close(&w);
	return oci_json_end(&w, err) < 0 ? -1 : oci_buf_puts(out, "\n", err);
}

/* lines */

static int write_lines(struct oci_ledger *ledger, struct oci_error *err)
{
	int rc = oci_fs_write_all(ledger->fd, ledger->text.data, ledger->text.len, err);

	oci_buf_reset(&ledger->text);
	return rc < 0 ? oci_wrap(err, "ledger") : 0;
}

static int end_line(struct oci_ledger *ledger, struct oci_json_writer *w, struct oci_error *err)
{
	oci_json_close(w);
	if (oci_json_end(w, err) < 0 || oci_buf_puts(&ledger->text, "\n", err) < 0)
		return -1;
	return ledger->text.len < WRITE_FROM ? 0 : write_lines(ledger, err);
}

static void begin_line(struct oci_ledger *ledger, struct oci_json_writer *w)
{
	oci_json_begin(w, &ledger->text);
	oci_json_object(w, NULL);
}

static int put_names(struct oci_ledger *ledger, const char *kind, const struct oci_strings *names, size_t *put,
	struct oci_error *err)
{
	struct oci_json_writer w;

	for (; *put < names->count; ++*put) {
		begin_line(ledger, &w);
		oci_json_put_text(&w, kind, names->items[*put]);
		if (end_line(ledger, &w, err) < 0)
			return -1;
	}
	return 0;
}

static int put_links(struct oci_ledger *ledger, const struct oci_unpacked *u, struct oci_error *err)
{
	struct oci_json_writer w;

	for (; ledger->links < u->link_count; ledger->links++) {
		const struct oci_unpack_link *link = &u->links[ledger->links];

		begin_line(ledger, &w);
		oci_json_put_text(&w, link->symbolic ? "symlink" : "link", link->path);
		oci_json_put_text(&w, "target", link->target);
		if (end_line(ledger, &w, err) < 0)
			return -1;
	}
	return 0;
}

static void put_file(struct oci_json_writer *w, const char *kind, const char *path, uint32_t number, uint64_t size_bytes,
	uint32_t mode)
{
	oci_json_put_text(w, kind, path);
	oci_json_put_u64(w, "number", number);
	oci_json_put_u64(w, "size", size_bytes);
	oci_json_put_u64(w, "mode", mode);
}

static int put_files(struct oci_ledger *ledger, const struct oci_listing *files, struct oci_error *err)
{
	char digest[OCI_DIGEST_TEXT_MAX];
	struct oci_json_writer w;

	for (; ledger->files < files->count; ledger->files++) {
		const struct oci_listing_file *file = &files->files[ledger->files];

		begin_line(ledger, &w);
		put_file(&w, "file", file->path, file->part.number, file->size_bytes, file->mode);
		oci_json_put_text(&w, "digest", oci_digest_format(&file->digest, digest));
		if (end_line(ledger, &w, err) < 0)
			return -1;
	}
	return 0;
}

/* What has come since. */
static int put_lists(struct oci_ledger *ledger, const struct oci_unpacked *u, struct oci_error *err)
{
	if (put_names(ledger, "dir", &u->dirs, &ledger->dirs, err) < 0 ||
		put_names(ledger, "whiteout", &u->whiteouts, &ledger->whiteouts, err) < 0 ||
		put_names(ledger, "opaque", &u->opaques, &ledger->opaques, err) < 0 ||
		put_names(ledger, "outside", &u->outside, &ledger->outside, err) < 0 || put_links(ledger, u, err) < 0)
		return -1;
	return put_files(ledger, &u->files, err);
}

uint64_t oci_ledger_next(const struct oci_ledger *ledger)
{
	return ledger->trail.last.offset > ledger->pointed ? ledger->trail.last.offset : 0;
}

static int put_begun(struct oci_ledger *ledger, const struct unpack_file *file, struct oci_error *err)
{
	struct oci_json_writer w;

	if (ledger->begun_number == (uint64_t)file->part.number + 1)
		return 0;
	ledger->begun_number = (uint64_t)file->part.number + 1;
	begin_line(ledger, &w);
	put_file(&w, "begun", file->path, file->part.number, file->size_bytes, file->mode);
	return end_line(ledger, &w, err);
}

static int put_point(struct oci_ledger *ledger, const struct unpack_file *file, struct oci_error *err)
{
	unsigned char chain[OCI_CHAIN_BYTES];
	char hex[2 * OCI_CHAIN_BYTES + 1];
	struct oci_json_writer w;

	begin_line(ledger, &w);
	oci_json_put_u64(&w, "at", ledger->trail.last.offset);
	oci_str_hex(ledger->trail.last.chain, OCI_CHAIN_BYTES, hex);
	oci_json_put_text(&w, "chain", hex);
	oci_json_put_u64(&w, "done", file->done);
	unpack_file_chain(file, ledger->trail.last.chain, chain);
	oci_str_hex(chain, OCI_CHAIN_BYTES, hex);
	oci_json_put_text(&w, "fileChain", hex);
	return end_line(ledger, &w, err);
}

int oci_ledger_point(struct oci_ledger *ledger, const struct oci_unpacked *unpacked, const struct unpack_file *file,
	struct oci_error *err)
{
	bool sync = ledger->trail.last.offset - ledger->synced >= SYNC_BYTES;

	if (put_lists(ledger, unpacked, err) < 0 || put_begun(ledger, file, err) < 0 ||
		put_point(ledger, file, err) < 0 || write_lines(ledger, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	ledger->pointed = ledger->trail.last.offset;
	if (!sync)
		return 0;
	ledger->synced = ledger->pointed;
	if (oci_fs_sync(file->fd, err) < 0 || oci_fs_sync(ledger->fd, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	return 0;
}

int oci_ledger_end(struct oci_ledger *ledger, const struct oci_unpacked *unpacked, struct oci_error *err)
{
	struct oci_json_writer w;

	if (put_lists(ledger, unpacked, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	begin_line(ledger, &w);
	oci_json_put_bool(&w, "whole", true);
	if (end_line(ledger, &w, err) < 0 || write_lines(ledger, err) < 0 || oci_fs_sync(ledger->fd, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	ledger->whole = true;
	return 0;
}

/* opening */

static const char *name_of(const struct oci_ledger_key *key, const struct oci_unpack_options *options,
	char room[OCI_STAGE_NAME_MAX])
{
	char what[32];

	snprintf(what, sizeof what, "%u.log", (unsigned)options->layer);
	return oci_stage_file_name(key->stage, what, room);
}

/* In a file of its own: a writer that was taken for dead has the old one. */
static int start(const struct oci_ledger_key *key, const struct oci_unpack_options *options, const struct oci_buf *text,
	size_t len, struct oci_ledger *ledger, struct oci_error *err)
{
	char room[OCI_STAGE_NAME_MAX];
	const char *name = name_of(key, options, room);

	oci_drop_fd(&ledger->fd);
	if (options->may && options->may(options->ctx, err) < 0)
		return -1;
	if (oci_fs_write_file(key->stage->fd, name, text->data, len, 0600, ledger->pointed > 0, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	ledger->fd = oci_fs_open_beneath(key->stage->fd, name, O_WRONLY | O_APPEND, 0, err);
	return ledger->fd < 0 ? oci_fail_side(err, OCI_SIDE_DEST) : 0;
}

static void forget(struct oci_ledger *ledger)
{
	oci_buf_clear(&ledger->text);
	ledger_begun_clear(&ledger->begun);
	*ledger = (struct oci_ledger){.fd = ledger->fd};
	oci_buf_init(&ledger->text, LINES_MAX);
}

int oci_ledger_reset(const struct oci_ledger_key *key, const struct oci_unpack_options *options,
	struct oci_ledger *ledger, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf head;

	oci_buf_init(&head, LINES_MAX);
	forget(ledger);
	if (put_head(key, options, &head, err) < 0)
		return -1;
	return start(key, options, &head, head.len, ledger, err);
}

/* What stands in the lists, stands in the file. */
static void count_lists(struct oci_ledger *ledger, const struct oci_unpacked *u)
{
	ledger->files = u->files.count;
	ledger->dirs = u->dirs.count;
	ledger->whiteouts = u->whiteouts.count;
	ledger->opaques = u->opaques.count;
	ledger->links = u->link_count;
	ledger->outside = u->outside.count;
	ledger->begun_number = ledger->begun.path ? (uint64_t)ledger->begun.number + 1 : 0;
	ledger->pointed = ledger->synced = ledger->trail.from.offset;
}

int oci_ledger_open(const struct oci_ledger_key *key, const struct oci_unpack_options *options,
	struct oci_unpacked *unpacked, struct oci_ledger *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_ledger_close) struct oci_ledger ledger = OCI_LEDGER_NONE;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf head, text;
	char room[OCI_STAGE_NAME_MAX];
	size_t good = 0;

	forget(&ledger);
	oci_buf_init(&head, LINES_MAX);
	oci_buf_init(&text, TEXT_MAX);
	if (put_head(key, options, &head, err) < 0)
		return -1;
	/* One that cannot be read is none. */
	if (oci_fs_read_file(key->stage->fd, name_of(key, options, room), &text, NULL) == 0 && text.len >= head.len &&
		memcmp(text.data, head.data, head.len) == 0 &&
		ledger_read(key, options, text.data + head.len, text.len - head.len, unpacked, &ledger, &good, err) < 0)
		return -1;
	count_lists(&ledger, unpacked);
	if (start(key, options, good > 0 ? &text : &head, head.len + good, &ledger, err) < 0)
		return -1;
	*ret = ledger;
	ledger = OCI_LEDGER_NONE;
	return 0;
}

void oci_ledger_close(struct oci_ledger *ledger)
{
	oci_drop_fd(&ledger->fd);
	oci_buf_clear(&ledger->text);
	ledger_begun_clear(&ledger->begun);
	*ledger = OCI_LEDGER_NONE;
}
