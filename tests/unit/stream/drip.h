/* drip.h - a reader for tests: memory in small steps, then the end or a failure */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "stream/reader.h"

struct drip {
	struct oci_reader base;
	const unsigned char *data;
	size_t left;
	size_t step;         /* bytes a read, at most */
	enum oci_errc fails; /* how it ends; OCI_OK: as a file does */
	bool ended, closed;
};

static ssize_t drip_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct drip *d = (struct drip *)base;
	size_t n = d->left < d->step ? d->left : d->step;

	if (d->ended)
		return oci_fail(err, OCI_E_BUG, "read again after the end");
	n = n < size ? n : size;
	if (n == 0) {
		d->ended = true;
		return d->fails == OCI_OK ? 0 : oci_fail(err, d->fails, "drip failed");
	}
	memcpy(data, d->data, n);
	d->data += n;
	d->left -= n;
	return n;
}

static void drip_close(struct oci_reader *base)
{
	((struct drip *)base)->closed = true;
}

static const struct oci_reader_ops drip_ops = { drip_read, drip_close };

static inline struct drip drip_of(const void *data, size_t len, size_t step)
{
	return (struct drip){ .base = { &drip_ops }, .data = data, .left = len, .step = step };
}

/* Data in which every stretch differs from its neighbours. */
static inline void drip_pattern(unsigned char *data, size_t len)
{
	uint32_t x = 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		data[i] = x >> 28;
	}
}
