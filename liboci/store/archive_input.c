#include "store/archive_input.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/archive_parts.h"
#include "stream/gzip.h"
#include "stream/zstd.h"

#define IDLE_MAX 2 /* of a window each */
#define SKIP_BYTES (256 * OCI_KIB)
#define MAGIC_BYTES 6

/* An unpacker and how far it is. */
struct cursor {
	struct oci_reader *reader;
	uint64_t position;
};

struct oci_archive_input {
	struct oci_archive_parts parts;
	struct oci_reader *(*unpack)(struct oci_reader *inner, struct oci_error *err); /* NULL: plain */
	pthread_mutex_t lock;
	struct cursor idle[IDLE_MAX];
	size_t idle_count;
};

void oci_archive_input_free(struct oci_archive_input *input)
{
	if (!input)
		return;
	for (size_t i = 0; i < input->idle_count; i++)
		oci_reader_close(input->idle[i].reader);
	oci_archive_parts_clear(&input->parts);
	pthread_mutex_destroy(&input->lock);
	free(input);
}

static int find_packing(struct oci_archive_input *input, struct oci_error *err)
{
	static const struct {
		const char *magic;
		size_t len;
		struct oci_reader *(*unpack)(struct oci_reader *inner, struct oci_error *err);
		const char *name;
	} packings[] = {
		{"\x1f\x8b", 2, oci_gzip_reader_take, "gzip"},
		{"\x28\xb5\x2f\xfd", 4, oci_zstd_reader_take, "zstd"},
		{"\xfd" "7zXZ", 5, NULL, "xz"},
		{"BZh", 3, NULL, "bzip2"},
	};
	char start[MAGIC_BYTES];
	ssize_t len = oci_archive_parts_read(&input->parts, start, sizeof start, 0, err);

	if (len < 0)
		return -1;
	for (size_t i = 0; i < sizeof packings / sizeof *packings; i++) {
		if ((size_t)len < packings[i].len || memcmp(start, packings[i].magic, packings[i].len) != 0)
			continue;
		if (!packings[i].unpack)
			return oci_fail(err, OCI_E_UNSUPPORTED, "is compressed with %s, decompress it first",
				packings[i].name);
		input->unpack = packings[i].unpack;
	}
	return 0;
}

static struct oci_archive_input *new_input(struct oci_error *err)
{
	struct oci_archive_input *input = calloc(1, sizeof *input);

	if (!input) {
		oci_fail_nomem(err);
		return NULL;
	}
	pthread_mutex_init(&input->lock, NULL);
	return input;
}

static struct oci_archive_input *begin(struct oci_archive_input *input, int opened, struct oci_error *err)
{
	if (opened == 0 && find_packing(input, err) == 0)
		return input;
	oci_archive_input_free(input);
	return NULL;
}

struct oci_archive_input *oci_archive_input_open(int dir, const char *name, struct oci_error *err)
{
	struct oci_archive_input *input = new_input(err);

	return input ? begin(input, oci_archive_parts_open(dir, name, &input->parts, err), err) : NULL;
}

struct oci_archive_input *oci_archive_input_take(int fd, struct oci_error *err)
{
	oci_autoclose int owned = fd;
	struct oci_archive_input *input = new_input(err);

	return input ? begin(input, oci_archive_parts_take(oci_steal_fd(&owned), &input->parts, err), err) : NULL;
}

bool oci_archive_input_is_stream(const struct oci_archive_input *input)
{
	return input->unpack != NULL;
}

uint64_t oci_archive_input_size(const struct oci_archive_input *input)
{
	return input->unpack ? INT64_MAX : input->parts.size_bytes;
}

/* unpacking */

/* The idle one that is nearest before `offset`. */
static bool take_idle(struct oci_archive_input *input, uint64_t offset, struct cursor *ret)
{
	struct cursor *best = NULL;

	pthread_mutex_lock(&input->lock);
	for (struct cursor *c = input->idle; c < input->idle + input->idle_count; c++)
		if (c->position <= offset && (!best || c->position > best->position))
			best = c;
	if (best) {
		*ret = *best;
		*best = input->idle[--input->idle_count];
	}
	pthread_mutex_unlock(&input->lock);
	return best != NULL;
}

static void give_back(struct oci_archive_input *input, struct cursor cursor)
{
	struct oci_reader *spare = cursor.reader;

	pthread_mutex_lock(&input->lock);
	if (input->idle_count < IDLE_MAX) {
		input->idle[input->idle_count++] = cursor;
		spare = NULL;
	}
	pthread_mutex_unlock(&input->lock);
	oci_reader_close(spare);
}

static int new_cursor(struct oci_archive_input *input, struct cursor *ret, struct oci_error *err)
{
	struct oci_reader *packed = oci_archive_parts_reader(&input->parts, 0, input->parts.size_bytes, err);

	ret->position = 0;
	ret->reader = packed ? input->unpack(packed, err) : NULL;
	return ret->reader ? 0 : -1;
}

/* 1: there; 0: the end came before. */
static int skip_to(struct cursor *cursor, uint64_t offset, struct oci_error *err)
{
	oci_autofree char *waste = NULL;

	if (cursor->position == offset)
		return 1;
	waste = malloc(SKIP_BYTES);
	if (!waste)
		return oci_fail_nomem(err);
	while (cursor->position < offset) {
		uint64_t left = offset - cursor->position;
		ssize_t n = oci_reader_read(cursor->reader, waste, left < SKIP_BYTES ? (size_t)left : SKIP_BYTES, err);

		if (n <= 0)
			return (int)n;
		cursor->position += (uint64_t)n;
	}
	return 1;
}

/* A cursor at `offset`; without a reader where the end came before. */
static int cursor_at(struct oci_archive_input *input, uint64_t offset, struct cursor *ret, struct oci_error *err)
{
	int there;

	if (!take_idle(input, offset, ret) && new_cursor(input, ret, err) < 0)
		return -1;
	there = skip_to(ret, offset, err);
	if (there <= 0)
		oci_reader_close(oci_steal(&ret->reader));
	return there < 0 ? -1 : 0;
}

struct stream_reader {
	struct oci_reader base;
	struct oci_archive_input *input;
	struct cursor cursor; /* without a reader after a failure */
	uint64_t left;
};

static int fail_end(struct oci_error *err)
{
	return oci_fail(err, OCI_E_FORMAT, "the archive ends within a member: truncated");
}

static ssize_t stream_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct stream_reader *r = (struct stream_reader *)base;
	ssize_t n;

	if (size > r->left)
		size = (size_t)r->left;
	if (size == 0)
		return 0;
	n = oci_reader_read(r->cursor.reader, data, size, err);
	if (n <= 0) {
		oci_reader_close(oci_steal(&r->cursor.reader));
		return n < 0 ? -1 : fail_end(err);
	}
	r->cursor.position += (uint64_t)n;
	r->left -= (uint64_t)n;
	return n;
}

static void stream_close(struct oci_reader *base)
{
	struct stream_reader *r = (struct stream_reader *)base;

	if (r->cursor.reader)
		give_back(r->input, r->cursor);
	free(r);
}

static const struct oci_reader_ops stream_ops = {stream_read, stream_close};

static struct oci_reader *stream_reader(struct oci_archive_input *input, uint64_t offset, uint64_t length,
	struct oci_error *err)
{
	oci_autofree struct stream_reader *r = calloc(1, sizeof *r);

	if (!r) {
		oci_fail_nomem(err);
		return NULL;
	}
	r->base.ops = &stream_ops;
	r->input = input;
	r->left = length;
	if (cursor_at(input, offset, &r->cursor, err) < 0)
		return NULL;
	if (!r->cursor.reader) {
		fail_end(err);
		return NULL;
	}
	return &oci_steal(&r)->base;
}

struct oci_reader *oci_archive_input_reader(struct oci_archive_input *input, uint64_t offset, uint64_t length,
	struct oci_error *err)
{
	return input->unpack ? stream_reader(input, offset, length, err) :
			       oci_archive_parts_reader(&input->parts, offset, length, err);
}

ssize_t oci_archive_input_read(struct oci_archive_input *input, void *data, size_t len, uint64_t offset,
	struct oci_error *err)
{
	struct cursor cursor;
	ssize_t n;

	if (!input->unpack)
		return oci_archive_parts_read(&input->parts, data, len, offset, err);
	if (cursor_at(input, offset, &cursor, err) < 0)
		return -1;
	if (!cursor.reader)
		return 0;
	n = oci_reader_read_full(cursor.reader, data, len, err);
	if (n == (ssize_t)len) {
		cursor.position += len;
		give_back(input, cursor);
	} else { /* at its end, or broken */
		oci_reader_close(cursor.reader);
	}
	return n;
}
