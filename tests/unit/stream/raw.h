/* raw.h - for tests: tars put together by hand, and ways to read them */
#pragma once

#include <stdio.h>

#include "base/cleanup.h"
#include "drip.h"
#include "stream/tar.h"

#define ARCHIVE_MAX (8 * OCI_MIB)

/* One member by hand, for what no sane writer would write. */
struct raw {
	const char *name;
	char type;
	const char *link;
	unsigned mode; /* 0: 0644 */
	size_t size_bytes;
};

static inline void seal(char *h)
{
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < OCI_TAR_BLOCK; i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
}

static inline void add_raw(struct oci_buf *out, const struct raw *raw)
{
	char h[OCI_TAR_BLOCK] = { 0 };

	strncpy(h, raw->name, 100);
	snprintf(h + 100, 8, "%07o", (raw->mode != 0 ? raw->mode : 0644) & 07777777);
	snprintf(h + 108, 8, "%07o", 0);
	snprintf(h + 116, 8, "%07o", 0);
	snprintf(h + 124, 12, "%011llo", (unsigned long long)raw->size_bytes & 077777777777);
	snprintf(h + 136, 12, "%011o", 0);
	h[156] = raw->type;
	strncpy(h + 157, raw->link != NULL ? raw->link : "", 100);
	memcpy(h + 257, "ustar\0" "00", 8);
	seal(h);
	assert_int_equal(oci_buf_append(out, h, sizeof h, NULL), 0);
}

static inline void add_data(struct oci_buf *out, const void *data, size_t len)
{
	assert_int_equal(oci_buf_append(out, data, len, NULL), 0);
	assert_int_equal(oci_buf_append_zeros(out, oci_tar_padding(len), NULL), 0);
}

static inline void add_end(struct oci_buf *out)
{
	assert_int_equal(oci_buf_append_zeros(out, OCI_TAR_END_BYTES, NULL), 0);
}

static inline void add_pax(struct oci_buf *out, const char *records, size_t len)
{
	add_raw(out, &(struct raw){ .name = "pax", .type = 'x', .size_bytes = len });
	add_data(out, records, len);
}

static inline void add_pax_path(struct oci_buf *out, const char *path)
{
	char record[512];
	int len = snprintf(record, sizeof record, "%02zu path=%s\n", 3 + 5 + strlen(path) + 1, path);

	add_pax(out, record, len);
}

/* A directory and a file of 700 bytes, as we write them: cuts at known places. */
static inline void add_ours(struct oci_buf *out)
{
	unsigned char data[700];

	drip_pattern(data, sizeof data);
	assert_int_equal(oci_tar_add_header(out, "models/", OCI_TAR_DIR, 0, NULL), 0);
	assert_int_equal(oci_tar_add_header(out, "models/a", OCI_TAR_FILE, sizeof data, NULL), 0);
	add_data(out, data, sizeof data);
	add_end(out);
}

/* Reads a tar to its end, every member's data too. 0 or the code. */
static inline enum oci_errc read_all(struct drip *d, unsigned *members, struct oci_error *err)
{
	OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = oci_tar_open_take(&d->base, err);
	struct oci_tar_entry entry;
	const void *data;
	size_t len = 0;
	int more = tar != NULL ? 1 : -1;

	*members = 0;
	while (more > 0 && (more = oci_tar_next(tar, &entry, err)) > 0) {
		++*members;
		while ((more = oci_tar_read(tar, &data, &len, err)) == 0 && len > 0)
			continue;
		more = more < 0 ? -1 : 1;
	}
	assert_int_equal(more, err->code == OCI_OK ? 0 : -1);
	return err->code;
}

static inline enum oci_errc read_code(const struct oci_buf *tar)
{
	struct drip d = drip_of(tar->data, tar->len, tar->len);
	struct oci_error err = { 0 };
	unsigned members;

	enum oci_errc code = read_all(&d, &members, &err);
	assert_true(d.closed);
	return code;
}

static inline struct oci_tar *open_buf(struct drip *d, const struct oci_buf *tar)
{
	*d = drip_of(tar->data, tar->len, 1000);
	struct oci_tar *ret = oci_tar_open_take(&d->base, NULL);
	assert_non_null(ret);
	return ret;
}
