/* A ledger that a run before has left: the parts are hashed, then its lines are believed. */
#include "engine/ledger_job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "core/json.h"
#include "engine/unpack_file.h"

#define CHUNK OCI_MIB

/* One line; texts are borrowed from the document. */
struct line {
	enum { OTHER, DIR, WHITEOUT, OPAQUE, OUTSIDE, SYMLINK, LINK, FILE_WHOLE, FILE_BEGUN, POINT, END } kind;
	const char *path, *target;
	uint64_t number, size_bytes, mode;
	struct oci_digest digest;
	struct oci_verify_point point;
	uint64_t done;
	unsigned char file_chain[OCI_CHAIN_BYTES];
};

/* What has been proven on the way. */
struct check {
	const struct oci_ledger_key *key;
	const struct oci_unpack_options *options;
	char *chunk;
	int fd;             /* the part that is being hashed; -1: none */
	uint64_t number;    /* its file's */
	bool shared;        /* it has another name: nothing is written to it */
	uint64_t done;
	struct oci_hash hash;

	size_t good;        /* the text counts up to here */
	struct oci_verify_point from;
	struct oci_hash good_hash;
	bool whole;
};

void ledger_begun_clear(struct oci_ledger_begun *begun)
{
	free(begun->path);
	*begun = (struct oci_ledger_begun){0};
}

/* parsing */

static bool parse_chain(const struct oci_json *doc, const char *key, unsigned char chain[OCI_CHAIN_BYTES])
{
	const char *text = oci_json_text(doc, key);

	return text && oci_str_unhex(text, chain, OCI_CHAIN_BYTES);
}

static bool parse_file(const struct oci_json *doc, struct line *line)
{
	return oci_fs_path_ok(line->path) && oci_json_u64(doc, "number", &line->number) && line->number <= UINT32_MAX &&
		oci_json_u64(doc, "size", &line->size_bytes) && oci_json_u64(doc, "mode", &line->mode);
}

static bool parse_point(const struct oci_json *doc, struct line *line)
{
	return oci_json_u64(doc, "at", &line->point.offset) && parse_chain(doc, "chain", line->point.chain) &&
		oci_json_u64(doc, "done", &line->done) && parse_chain(doc, "fileChain", line->file_chain) &&
		line->point.offset % OCI_CHAIN_BLOCK == 0 && line->done % OCI_CHAIN_BLOCK == 0 &&
		line->done <= line->point.offset;
}

static bool parse_kind(const struct oci_json *doc, struct line *line)
{
	static const struct {
		const char *key;
		int kind;
	} kinds[] = {{"dir", DIR}, {"whiteout", WHITEOUT}, {"opaque", OPAQUE}, {"outside", OUTSIDE}, {"symlink", SYMLINK},
		{"link", LINK}, {"file", FILE_WHOLE}, {"begun", FILE_BEGUN}};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		line->path = oci_json_text(doc, kinds[i].key);
		line->kind = kinds[i].kind;
		if (line->path)
			return true;
	}
	line->kind = oci_json_get(doc, "at") ? POINT : END;
	return false;
}

static bool parse(const struct oci_json *doc, struct line *line)
{
	const char *digest = oci_json_text(doc, "digest");
	bool whole;

	*line = (struct line){0};
	if (!parse_kind(doc, line))
		return line->kind == POINT ? parse_point(doc, line) : oci_json_bool(doc, "whole", &whole) && whole;
	switch (line->kind) {
	case FILE_BEGUN:
		return parse_file(doc, line);
	case FILE_WHOLE:
		return parse_file(doc, line) && digest && oci_digest_parse(digest, &line->digest, NULL) == 0 &&
			line->digest.alg == OCI_SHA256;
	case SYMLINK:
	case LINK:
		line->target = oci_json_text(doc, "target");
		return oci_fs_path_ok(line->path) && line->target;
	case OPAQUE:
		return *line->path == '\0' || oci_fs_path_ok(line->path);
	default:
		return oci_fs_path_ok(line->path);
	}
}

/* The document of the line at *at, which moves on; NULL: it is none, or cut off. */
static struct oci_json *next_line(const char *text, size_t len, size_t *at, struct line *ret)
{
	const char *begin = text + *at, *end = *at < len ? memchr(begin, '\n', len - *at) : NULL;
	struct oci_json *doc = end ? oci_json_parse(begin, (size_t)(end - begin), &OCI_JSON_SMALL, NULL) : NULL;

	if (!doc)
		return NULL;
	*at += (size_t)(end - begin) + 1;
	if (parse(doc, ret))
		return doc;
	oci_json_free(doc);
	return NULL;
}

/* proving */

/* A part that has been put in its place comes back, or gets a second name. */
static void take_back(const struct check *c, const char *path, const char *part)
{
	int dir = c->key->tree >= 0 ? c->key->tree : c->key->dest, stage = c->key->stage->fd;
	const char *base;
	oci_autoclose int parent = dir >= 0 ? oci_fs_parent_beneath(dir, path, &base, NULL) : -1;

	if (parent < 0)
		return;
	if (c->key->tree >= 0)
		(void)oci_fs_rename_new(parent, base, stage, part, NULL);
	else
		(void)!linkat(parent, base, stage, part, 0);
}

static bool open_part(struct check *c, const struct line *line)
{
	struct oci_listing_part number = {(uint32_t)c->options->layer, (uint32_t)line->number};
	char room[OCI_STAGE_NAME_MAX];
	const char *name = oci_unpack_part_name(c->key->stage, number, room);
	struct stat st;

	oci_drop_fd(&c->fd);
	c->fd = oci_fs_open_beneath(c->key->stage->fd, name, O_RDONLY | O_NONBLOCK, 0, NULL);
	if (c->fd < 0) {
		take_back(c, line->path, name);
		c->fd = oci_fs_open_beneath(c->key->stage->fd, name, O_RDONLY | O_NONBLOCK, 0, NULL);
	}
	if (c->fd < 0 || fstat(c->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	c->number = line->number;
	c->shared = st.st_nlink > 1;
	c->done = 0;
	oci_hash_init(&c->hash, OCI_SHA256);
	return true;
}

/* The part's bytes up to `end`. *right: they are there. */
static int hash_to(struct check *c, uint64_t end, bool *right, struct oci_error *err)
{
	*right = end >= c->done;
	while (*right && c->done < end) {
		size_t want = end - c->done < CHUNK ? (size_t)(end - c->done) : CHUNK;
		ssize_t got;

		if (unpack_check(c->options, err) < 0)
			return -1;
		got = oci_fs_pread_full(c->fd, c->chunk, want, c->done, NULL);
		*right = got == (ssize_t)want;
		if (!*right)
			break;
		oci_hash_update(&c->hash, c->chunk, want);
		oci_event_bytes(c->options->observer, want);
		c->done += want;
	}
	return 0;
}

static int prove_point(struct check *c, const struct line *line, bool *right, struct oci_error *err)
{
	unsigned char chain[OCI_CHAIN_BYTES];

	*right = c->fd >= 0 && line->point.offset < c->key->blob->size_bytes;
	if (*right && hash_to(c, line->done, right, err) < 0)
		return -1;
	if (!*right)
		return 0;
	oci_hash_chain(&c->hash, chain);
	*right = memcmp(chain, line->file_chain, sizeof chain) == 0;
	return 0;
}

static int prove_file(struct check *c, const struct line *line, bool *right, struct oci_error *err)
{
	struct oci_digest digest;
	struct stat st;

	*right = (c->fd >= 0 && c->number == line->number) || open_part(c, line);
	if (*right && hash_to(c, line->size_bytes, right, err) < 0)
		return -1;
	if (!*right)
		return 0;
	oci_hash_final(&c->hash, &digest);
	*right = oci_digest_equal(&digest, &line->digest) && fstat(c->fd, &st) == 0 &&
		(uint64_t)st.st_size == line->size_bytes;
	oci_drop_fd(&c->fd);
	return 0;
}

/* *right: what the line says is so. */
static int prove(struct check *c, const struct line *line, size_t end, bool *right, struct oci_error *err)
{
	*right = true;
	switch (line->kind) {
	case FILE_BEGUN:
		*right = open_part(c, line);
		return 0;
	case FILE_WHOLE:
		return prove_file(c, line, right, err);
	case POINT:
		if (prove_point(c, line, right, err) < 0)
			return -1;
		if (!*right || c->shared)
			return 0;
		c->good = end;
		c->from = line->point;
		c->good_hash = c->hash;
		return 0;
	case END:
		c->good = end;
		c->whole = true;
		return 0;
	default:
		return 0;
	}
}

static int prove_lines(struct check *c, const char *text, size_t len, struct oci_error *err)
{
	bool right = true;

	for (size_t at = 0; right && !c->whole;) {
		struct line line;
		OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = next_line(text, len, &at, &line);

		if (!doc)
			return 0;
		if (prove(c, &line, at, &right, err) < 0)
			return -1;
	}
	return 0;
}

/* taking */

static int64_t mtime_of(const struct check *c, struct oci_listing_part part)
{
	char room[OCI_STAGE_NAME_MAX];
	struct stat st;

	if (fstatat(c->key->stage->fd, oci_unpack_part_name(c->key->stage, part, room), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static int take_file(const struct check *c, const struct line *line, struct oci_unpacked *u, struct oci_error *err)
{
	struct oci_listing_file *file = oci_listing_add(&u->files, line->path, err);

	if (!file)
		return -1;
	file->part = (struct oci_listing_part){(uint32_t)c->options->layer, (uint32_t)line->number};
	file->size_bytes = line->size_bytes;
	file->mode = (uint32_t)line->mode;
	file->digest = line->digest;
	file->mtime_ns = mtime_of(c, file->part);
	oci_event_done(c->options->observer, line->path, line->size_bytes, "kept");
	return 0;
}

static int take_begun(const struct line *line, struct oci_ledger_begun *begun, struct oci_error *err)
{
	begun->number = (uint32_t)line->number;
	begun->size_bytes = line->size_bytes;
	begun->mode = (uint32_t)line->mode;
	return oci_str_set(&begun->path, line->path, err);
}

static int take(const struct check *c, const struct line *line, struct oci_unpacked *u, struct oci_ledger *ledger,
	struct oci_error *err)
{
	if (line->kind < FILE_BEGUN && line->kind != OUTSIDE &&
		oci_unpack_charge(c->options, u, line->path, line->target, err) < 0)
		return -1;
	switch (line->kind) {
	case DIR:
		return oci_strings_add(&u->dirs, line->path, err);
	case WHITEOUT:
		return oci_strings_add(&u->whiteouts, line->path, err);
	case OPAQUE:
		return oci_strings_add(&u->opaques, line->path, err);
	case OUTSIDE:
		return oci_strings_add(&u->outside, line->path, err);
	case SYMLINK:
	case LINK:
		return oci_unpacked_add_link(u, line->path, line->target, line->kind == SYMLINK, err);
	case FILE_WHOLE:
		ledger_begun_clear(&ledger->begun);
		return take_file(c, line, u, err);
	case FILE_BEGUN:
		return take_begun(line, &ledger->begun, err);
	case POINT:
		ledger->begun.done = line->done;
		return 0;
	default:
		return 0;
	}
}

static int take_lines(const struct check *c, const char *text, struct oci_unpacked *u, struct oci_ledger *ledger,
	struct oci_error *err)
{
	for (size_t at = 0; at < c->good;) {
		struct line line;
		OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = next_line(text, c->good, &at, &line);

		if (!doc)
			return oci_fail(err, OCI_E_BUG, "a line of a ledger has changed");
		if (take(c, &line, u, ledger, err) < 0)
			return -1;
	}
	ledger->whole = c->whole;
	if (!c->whole)
		ledger->trail.from = c->from;
	ledger->begun.hash = c->good_hash;
	return 0;
}

int ledger_read(const struct oci_ledger_key *key, const struct oci_unpack_options *options, const char *text, size_t len,
	struct oci_unpacked *unpacked, struct oci_ledger *ledger, size_t *good, struct oci_error *err)
{
	oci_autofree char *chunk = malloc(CHUNK);
	struct check c = {.key = key, .options = options, .chunk = chunk, .fd = -1};
	int rc;

	if (!chunk)
		return oci_fail_nomem(err);
	rc = prove_lines(&c, text, len, err);
	oci_drop_fd(&c.fd);
	if (rc < 0)
		return -1;
	*good = c.good;
	return take_lines(&c, text, unpacked, ledger, err);
}
