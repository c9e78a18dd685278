#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY ((size_t)64)

void oci_buf_init(struct oci_buf *buf, size_t max)
{
	*buf = (struct oci_buf){.max = max};
}

void oci_buf_clear(struct oci_buf *buf)
{
	free(buf->data);
	oci_buf_init(buf, buf->max);
}

void oci_buf_reset(struct oci_buf *buf)
{
	buf->len = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

/* Memory for `need` bytes and the terminator, doubling up to the maximum. */
static size_t next_capacity(const struct oci_buf *buf, size_t need)
{
	size_t limit = buf->max < SIZE_MAX ? buf->max + 1 : SIZE_MAX;
	size_t cap = buf->cap > 0 ? buf->cap : FIRST_CAPACITY;

	while (cap <= need)
		cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
	return cap < limit ? cap : limit;
}

static int reserve(struct oci_buf *buf, size_t extra, struct oci_error *err)
{
	size_t need, cap;
	char *data;

	if (extra > buf->max - buf->len)
		return oci_fail(err, OCI_E_FORMAT, "more than the %zu bytes that are allowed here", buf->max);
	need = buf->len + extra;
	if (need < buf->cap)
		return 0;
	if (need > SIZE_MAX / 2)
		return oci_fail_nomem(err);
	cap = next_capacity(buf, need);
	data = realloc(buf->data, cap);
	if (!data)
		return oci_fail_nomem(err);
	buf->data = data;
	buf->cap = cap;
	return 0;
}

static void grown(struct oci_buf *buf, size_t len)
{
	buf->len += len;
	buf->data[buf->len] = '\0';
}

int oci_buf_append(struct oci_buf *buf, const void *data, size_t len, struct oci_error *err)
{
	if (reserve(buf, len, err) < 0)
		return -1;
	if (len > 0)
		memcpy(buf->data + buf->len, data, len);
	grown(buf, len);
	return 0;
}

int oci_buf_append_zeros(struct oci_buf *buf, size_t len, struct oci_error *err)
{
	if (reserve(buf, len, err) < 0)
		return -1;
	memset(buf->data + buf->len, 0, len);
	grown(buf, len);
	return 0;
}

int oci_buf_puts(struct oci_buf *buf, const char *text, struct oci_error *err)
{
	return oci_buf_append(buf, text, strlen(text), err);
}

int oci_buf_printf(struct oci_buf *buf, struct oci_error *err, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		return oci_fail(err, OCI_E_BUG, "text cannot be formatted");
	if (reserve(buf, (size_t)len, err) < 0)
		return -1;
	va_start(args, format);
	vsnprintf(buf->data + buf->len, (size_t)len + 1, format, args);
	va_end(args);
	grown(buf, (size_t)len);
	return 0;
}

const char *oci_buf_text(const struct oci_buf *buf)
{
	return buf->data ? buf->data : "";
}
