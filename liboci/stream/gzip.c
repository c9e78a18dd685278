#include "stream/gzip.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#define INPUT_BYTES (64 * OCI_KIB)

/* zlib: the largest window, and a gzip header is required. */
#define WINDOW_BITS (MAX_WBITS + 16)

enum gzip_state {
	IN_MEMBER,  /* also before the first byte: an empty input is not gzip */
	AFTER_MEMBER,
	IN_PADDING, /* zeros, up to the end */
};

struct gzip_reader {
	struct oci_reader base;
	struct oci_reader *inner;
	enum gzip_state state;
	z_stream z;
	unsigned char input[INPUT_BYTES];
};

/* 1: there is input; 0: there is no more. */
static int refill(struct gzip_reader *g, struct oci_error *err)
{
	ssize_t n = oci_reader_read(g->inner, g->input, sizeof g->input, err);

	if (n <= 0)
		return n;
	g->z.next_in = g->input;
	g->z.avail_in = n;
	return 1;
}

static int inflate_member(struct gzip_reader *g, struct oci_error *err)
{
	switch (inflate(&g->z, Z_NO_FLUSH)) {
	case Z_STREAM_END:
		g->state = AFTER_MEMBER;
		return 0;
	case Z_OK:
	case Z_BUF_ERROR: /* nothing to do without more input */
		return 0;
	case Z_MEM_ERROR:
		return oci_fail_nomem(err);
	default:
		return oci_fail(err, OCI_E_FORMAT, "gzip data is damaged: %s",
			g->z.msg != NULL ? g->z.msg : "no reason given");
	}
}

/* Between members: skip padding, begin what follows. */
static int next_member(struct gzip_reader *g, struct oci_error *err)
{
	for (; g->z.avail_in > 0 && *g->z.next_in == 0; g->z.next_in++, g->z.avail_in--)
		g->state = IN_PADDING;
	if (g->z.avail_in == 0)
		return 0;
	if (g->state == IN_PADDING)
		return oci_fail(err, OCI_E_FORMAT, "gzip data is damaged: bytes after its padding");
	inflateReset(&g->z);
	g->state = IN_MEMBER;
	return 0;
}

static ssize_t gzip_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct gzip_reader *g = (struct gzip_reader *)base;
	uInt room = size < UINT_MAX ? size : UINT_MAX;

	g->z.next_out = data;
	g->z.avail_out = room;
	for (;;) {
		/* First of all: zlib may hold output back when there is no input left. */
		if (g->state == IN_MEMBER && inflate_member(g, err) < 0)
			return -1;
		if (g->z.avail_out < room)
			return room - g->z.avail_out;
		if (g->z.avail_in == 0) {
			int more = refill(g, err);
			if (more < 0)
				return -1;
			if (more == 0)
				break;
		}
		if (g->state != IN_MEMBER && next_member(g, err) < 0)
			return -1;
	}
	if (g->state == IN_MEMBER)
		return oci_fail(err, OCI_E_FORMAT, "gzip data is truncated");
	return 0;
}

static void gzip_close(struct oci_reader *base)
{
	struct gzip_reader *g = (struct gzip_reader *)base;

	inflateEnd(&g->z);
	oci_reader_close(g->inner);
	free(g);
}

static const struct oci_reader_ops gzip_ops = { gzip_read, gzip_close };

struct oci_reader *oci_gzip_reader_take(struct oci_reader *inner, struct oci_error *err)
{
	struct gzip_reader *g = calloc(1, sizeof *g);

	if (g == NULL || inflateInit2(&g->z, WINDOW_BITS) != Z_OK) {
		oci_fail_nomem(err);
		free(g);
		oci_reader_close(inner);
		return NULL;
	}
	g->base.ops = &gzip_ops;
	g->inner = inner;
	return &g->base;
}
