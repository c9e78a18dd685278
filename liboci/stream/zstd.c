#include "stream/zstd.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#define INPUT_BYTES (64 * OCI_KIB)
#define MAGIC_BYTES 4

struct zstd_reader {
	struct oci_reader base;
	struct oci_reader *inner;
	ZSTD_DStream *stream;
	bool in_frame;
	bool any_frame;
	bool inner_ended;
	ZSTD_inBuffer in; /* of `input` */
	unsigned char input[INPUT_BYTES];
};

/* Have at least `want` bytes of input, fewer only at the end. Returns what
 * there is, or -1. */
static ssize_t fill(struct zstd_reader *z, size_t want, struct oci_error *err)
{
	size_t have = z->in.size - z->in.pos;

	if (have < want) {
		memmove(z->input, z->input + z->in.pos, have);
		z->in.pos = 0;
	}
	while (have < want && !z->inner_ended) {
		ssize_t n = oci_reader_read(z->inner, z->input + have, sizeof z->input - have, err);
		if (n < 0)
			return -1;
		z->inner_ended = n == 0;
		have += n;
	}
	z->in.size = z->in.pos + have;
	return have;
}

/* The library would also take the formats of before RFC 8878. */
static bool is_frame(const unsigned char magic[MAGIC_BYTES])
{
	static const unsigned char data[MAGIC_BYTES] = { 0x28, 0xb5, 0x2f, 0xfd };
	static const unsigned char skippable[MAGIC_BYTES - 1] = { 0x2a, 0x4d, 0x18 };

	return memcmp(magic, data, sizeof data) == 0 ||
		((magic[0] & 0xf0) == 0x50 && memcmp(magic + 1, skippable, sizeof skippable) == 0);
}

/* 1: a frame begins; 0: the end; -1: neither. */
static int begin_frame(struct zstd_reader *z, struct oci_error *err)
{
	ssize_t have = fill(z, MAGIC_BYTES, err);

	if (have < 0)
		return -1;
	if (have == 0 && z->any_frame)
		return 0;
	if (have < MAGIC_BYTES || !is_frame(z->input + z->in.pos))
		return oci_fail(err, OCI_E_FORMAT, "zstd data is damaged: %s",
			z->any_frame ? "what follows a frame is not one" : "it does not begin with a frame");
	z->in_frame = true;
	z->any_frame = true;
	return 1;
}

static int decompress(struct zstd_reader *z, ZSTD_outBuffer *out, struct oci_error *err)
{
	size_t left = ZSTD_decompressStream(z->stream, out, &z->in);

	if (!ZSTD_isError(left)) {
		z->in_frame = left != 0;
		return 0;
	}
	switch (ZSTD_getErrorCode(left)) {
	case ZSTD_error_memory_allocation:
		return oci_fail_nomem(err);
	case ZSTD_error_frameParameter_windowTooLarge:
		return oci_fail(err, OCI_E_UNSUPPORTED, "zstd data needs a window of more than %u MiB",
			(1u << OCI_ZSTD_WINDOW_LOG_MAX) >> 20);
	case ZSTD_error_dictionary_wrong:
		return oci_fail(err, OCI_E_UNSUPPORTED, "zstd data needs a dictionary");
	default:
		return oci_fail(err, OCI_E_FORMAT, "zstd data is damaged: %s", ZSTD_getErrorName(left));
	}
}

static ssize_t zstd_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct zstd_reader *z = (struct zstd_reader *)base;
	ZSTD_outBuffer out = { data, size, 0 };

	for (;;) {
		int more = z->in_frame ? 1 : begin_frame(z, err);
		if (more <= 0)
			return more;
		if (decompress(z, &out, err) < 0)
			return -1;
		if (out.pos > 0)
			return out.pos;
		if (!z->in_frame)
			continue;
		ssize_t have = fill(z, 1, err);
		if (have < 0)
			return -1;
		if (have == 0)
			return oci_fail(err, OCI_E_FORMAT, "zstd data is truncated");
	}
}

static void zstd_close(struct oci_reader *base)
{
	struct zstd_reader *z = (struct zstd_reader *)base;

	ZSTD_freeDStream(z->stream);
	oci_reader_close(z->inner);
	free(z);
}

static const struct oci_reader_ops zstd_ops = { zstd_read, zstd_close };

struct oci_reader *oci_zstd_reader_take(struct oci_reader *inner, struct oci_error *err)
{
	struct zstd_reader *z = calloc(1, sizeof *z);

	if (z == NULL || (z->stream = ZSTD_createDStream()) == NULL) {
		oci_fail_nomem(err);
		free(z);
		oci_reader_close(inner);
		return NULL;
	}
	/* Cannot fail: the value is within the library's bounds. */
	ZSTD_DCtx_setParameter(z->stream, ZSTD_d_windowLogMax, OCI_ZSTD_WINDOW_LOG_MAX);
	z->base.ops = &zstd_ops;
	z->inner = inner;
	z->in.src = z->input;
	return &z->base;
}
