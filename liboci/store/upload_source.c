#include "store/upload_source.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "core/digest_pool.h"
#include "store/pump.h"

#define BUFFER_BYTES (512 * OCI_KIB)

int oci_upload_source_init(struct oci_upload_source *source, const struct oci_content *content,
	const struct oci_descriptor *want, const struct oci_observer *observer, struct oci_error *err)
{
	*source = (struct oci_upload_source){
		.content = content, .want = want, .observer = observer, .moved_ms = oci_clock_ms(), .file = -1,
	};
	if (!content->digest)
		oci_hash_init(&source->hash, want->digest.alg);
	source->buffer = malloc(BUFFER_BYTES);
	return source->buffer ? 0 : oci_fail_nomem(err);
}

/* Who has nothing to hash for a while must not be waited for. */
void oci_upload_source_pause(struct oci_upload_source *source)
{
	if (source->in_pool)
		oci_digest_pool_leave(source->content->pool);
	source->in_pool = false;
}

static void update(struct oci_upload_source *source, const unsigned char *data, size_t len)
{
	struct oci_digest_pool *pool = source->content->pool;

	if (!pool) {
		oci_hash_update(&source->hash, data, len);
		return;
	}
	if (!source->in_pool)
		oci_digest_pool_join(pool);
	source->in_pool = true;
	oci_digest_pool_update(pool, &source->hash, data, len);
	if (source->hashed_bytes + len >= source->want->size_bytes)
		oci_upload_source_pause(source);
}

void oci_upload_source_clear(struct oci_upload_source *source)
{
	oci_upload_source_pause(source);
	oci_reader_close(source->reader);
	oci_cleanup_close(&source->file);
	free(source->buffer);
	*source = (struct oci_upload_source){.file = -1};
}

int oci_upload_source_take_file(struct oci_upload_source *source, struct oci_error *err)
{
	source->file = source->content->file(source->content->ctx, err);
	return source->file < 0 ? oci_fail_side(err, OCI_SIDE_SOURCE) : 0;
}

static int open_at(struct oci_upload_source *source, uint64_t offset, struct oci_error *err)
{
	oci_reader_close(source->reader);
	source->reader = source->content->open(source->content->ctx, offset, err);
	source->begun = source->position = offset;
	return source->reader ? 0 : oci_fail_side(err, OCI_SIDE_SOURCE);
}

/* The part of a piece that was never seen before. */
static void take_note(struct oci_upload_source *source, size_t len)
{
	uint64_t end = source->position + len;

	if (end <= source->hashed_bytes)
		return;
	size_t fresh = (size_t)(end - source->hashed_bytes);
	if (!source->content->digest && source->file < 0)
		update(source, source->buffer + (len - fresh), fresh);
	source->hashed_bytes = end;
	source->moved_ms = oci_clock_ms();
	oci_event_bytes(source->observer, fresh);
}

void oci_upload_source_sent(struct oci_upload_source *source, size_t len)
{
	take_note(source, len);
	source->position += len;
}

static int fail_short(const struct oci_upload_source *source, struct oci_error *err)
{
	oci_fail(err, OCI_E_DIGEST, "content ends after %" PRIu64 " of %" PRIu64 " bytes", source->position,
		source->want->size_bytes);
	return oci_fail_side(err, OCI_SIDE_SOURCE);
}

static ssize_t read_some(struct oci_upload_source *source, uint64_t max, struct oci_error *err)
{
	return oci_reader_read(source->reader, source->buffer, max < BUFFER_BYTES ? (size_t)max : BUFFER_BYTES, err);
}

/* 1: what failed with `why` was to begin at an offset, and is now there from the beginning. */
static int begin_over(struct oci_upload_source *source, const struct oci_error *why, struct oci_error *err)
{
	if (why->code != OCI_E_UNSUPPORTED || source->begun == 0 || source->position > source->begun) {
		if (err && !err->code)
			*err = *why;
		return -1;
	}
	source->no_parts = true;
	uint64_t offset = source->position;
	return open_at(source, 0, err) < 0 || oci_upload_source_seek(source, offset, NULL, err) < 0 ? -1 : 1;
}

ssize_t oci_upload_source_read(struct oci_upload_source *source, uint64_t max, const void **ret,
	struct oci_error *err)
{
	struct oci_error why = {0};
	ssize_t n = read_some(source, max, &why);

	if (n < 0 && begin_over(source, &why, err) == 1)
		n = read_some(source, max, err);
	if (n < 0) {
		oci_reader_close(oci_steal(&source->reader));
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	}
	if (n == 0)
		return fail_short(source, err);
	oci_upload_source_sent(source, (size_t)n);
	*ret = source->buffer;
	return n;
}

/* Nothing has to be hashed on the way. */
static int leap(struct oci_upload_source *source, uint64_t offset, struct oci_error *err)
{
	if (open_at(source, offset, err) < 0)
		return -1;
	source->position = 0;
	oci_upload_source_sent(source, offset);
	return 0;
}

int oci_upload_source_seek(struct oci_upload_source *source, uint64_t offset, const atomic_int *cancel,
	struct oci_error *err)
{
	if (source->file >= 0)
		return leap(source, offset, err);

	uint64_t from = source->hashed_bytes < offset ? source->hashed_bytes : offset;
	const void *data;

	bool ahead = source->position >= from && source->position <= offset;
	if ((!source->reader || !ahead) && open_at(source, source->no_parts ? 0 : from, err) < 0)
		return -1;
	while (source->position < offset) {
		if (cancel && atomic_load(cancel))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled");
		if (oci_upload_source_read(source, offset - source->position, &data, err) < 0)
			return -1;
	}
	return 0;
}

static int fail_digest(const struct oci_upload_source *source, const struct oci_digest *found, struct oci_error *err)
{
	char want[OCI_DIGEST_TEXT_MAX], got[OCI_DIGEST_TEXT_MAX];

	oci_fail(err, OCI_E_DIGEST, "content hashes to '%s' instead of '%s'", oci_digest_format(found, got),
		oci_digest_format(&source->want->digest, want));
	return oci_fail_side(err, OCI_SIDE_SOURCE);
}

int oci_upload_source_prove(struct oci_upload_source *source, struct oci_error *err)
{
	uint64_t size_bytes = source->want->size_bytes;

	if (source->proven)
		return 0;
	if (source->file >= 0) {
		source->digest = source->want->digest;
		source->proven = true;
		return 0;
	}
	/* the reader's own last check comes with its end, and must not spoil the buffer */
	unsigned char beyond;
	ssize_t n = oci_reader_read(source->reader, &beyond, 1, err);
	if (n < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	if (n > 0) {
		oci_fail(err, OCI_E_DIGEST, "content goes on after %" PRIu64 " bytes", size_bytes);
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	}
	oci_reader_close(oci_steal(&source->reader));
	if (source->content->digest) {
		if (oci_content_prove(source->content, &source->want->digest, &source->digest, err) < 0)
			return -1;
		source->proven = true;
		return 0;
	}
	oci_hash_final(&source->hash, &source->digest);
	source->proven = oci_digest_equal(&source->digest, &source->want->digest);
	return source->proven ? 0 : fail_digest(source, &source->digest, err);
}

int oci_upload_source_check(struct oci_upload_source *source, const atomic_int *cancel, struct oci_error *err)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = source->content->open(source->content->ctx, 0, err);
	struct oci_digest digest;
	struct oci_hash hash;
	ssize_t n = -1;

	source->checked = true;
	oci_hash_init(&hash, source->want->digest.alg);
	while (reader && !(cancel && atomic_load(cancel)) && (n = oci_reader_read(reader, source->buffer, BUFFER_BYTES, err)) > 0)
		oci_hash_update(&hash, source->buffer, (size_t)n);
	if (n > 0)
		return oci_fail(err, OCI_E_CANCELLED, "cancelled");
	if (n < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	oci_hash_final(&hash, &digest);
	return oci_digest_equal(&digest, &source->want->digest) ? 0 : fail_digest(source, &digest, err);
}
