/* buf.h - a growable byte buffer that has a maximum at birth
 *
 *     OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
 *     oci_buf_init(&buf, 4 * OCI_MIB);
 *     if (oci_buf_append(&buf, data, len, err) < 0) ...
 *
 * data[len] is always a zero byte once anything was appended, so a buffer of
 * text is a C string. Growing beyond `max` fails with OCI_E_FORMAT (whatever
 * fills a bounded buffer is somebody else's bytes); the content stays.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "base/error.h"

#define OCI_KIB ((size_t)1024)
#define OCI_MIB (1024 * OCI_KIB)
#define OCI_GIB (1024 * OCI_MIB)

struct oci_buf {
	char *data; /* NULL until the first append */
	size_t len;
	size_t cap;
	size_t max;
};

void oci_buf_init(struct oci_buf *buf, size_t max);
void oci_buf_clear(struct oci_buf *buf); /* frees; the maximum stays */
void oci_buf_reset(struct oci_buf *buf); /* len = 0, memory stays */

int oci_buf_append(struct oci_buf *buf, const void *data, size_t len, struct oci_error *err);
int oci_buf_append_zeros(struct oci_buf *buf, size_t len, struct oci_error *err);
int oci_buf_puts(struct oci_buf *buf, const char *text, struct oci_error *err);
int oci_buf_printf(struct oci_buf *buf, struct oci_error *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The text, "" for an empty buffer. Borrowed until the next call. */
const char *oci_buf_text(const struct oci_buf *buf);
