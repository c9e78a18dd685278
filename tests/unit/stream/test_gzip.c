#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "drip.h"
#include "stream/gzip.h"

#define DATA_BYTES 300000
static unsigned char data[DATA_BYTES];
static struct oci_buf packed; /* `data` as one gzip member */

static void append_member(struct oci_buf *out, const void *from, size_t len)
{
	oci_autofree unsigned char *to = malloc(len + 1000);
	z_stream z = { .next_in = (void *)from, .avail_in = len, .next_out = to, .avail_out = len + 1000 };

	assert_non_null(to);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(oci_buf_append(out, to, z.total_out, NULL), 0);
	deflateEnd(&z);
}

static int pack_data(void **state)
{
	drip_pattern(data, sizeof data);
	oci_buf_init(&packed, OCI_MIB);
	append_member(&packed, data, sizeof data);
	return 0;
}

static int free_data(void **state)
{
	oci_buf_clear(&packed);
	return 0;
}

/* Unpacks `len` bytes in steps of `step`, into reads of `room`. */
static enum oci_errc unpack(const void *from, size_t len, size_t step, size_t room, struct oci_buf *out)
{
	oci_autofree unsigned char *chunk = malloc(room);
	struct drip d = drip_of(from, len, step);
	struct oci_error err = { 0 };
	struct oci_reader *r = oci_gzip_reader_take(&d.base, &err);
	ssize_t n;

	assert_non_null(r);
	assert_non_null(chunk);
	oci_buf_init(out, OCI_MIB);
	while ((n = oci_reader_read(r, chunk, room, &err)) > 0)
		assert_int_equal(oci_buf_append(out, chunk, n, NULL), 0);
	assert_int_equal(n, err.code == OCI_OK ? 0 : -1);
	oci_reader_close(r);
	assert_true(d.closed);
	return err.code;
}

static enum oci_errc unpack_buf(const struct oci_buf *from, struct oci_buf *out)
{
	return unpack(from->data, from->len, 1000, 1000, out);
}

static void gzip_reader_unpacks_whatever_the_sizes_of_reads(void **state)
{
	static const size_t sizes[][2] = { { 1, 100000 }, { 100000, 1 }, { 7, 13 }, { 1 << 20, 1 << 20 } };

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf out;
		assert_int_equal(unpack(packed.data, packed.len, sizes[i][0], sizes[i][1], &out), OCI_OK);
		assert_int_equal(out.len, DATA_BYTES);
		assert_memory_equal(out.data, data, DATA_BYTES);
	}
}

static void gzip_reader_unpacks_several_members_and_empty_ones(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf in, out;

	oci_buf_init(&in, OCI_MIB);
	append_member(&in, "one ", 4);
	append_member(&in, "", 0);
	append_member(&in, "two", 3);
	assert_int_equal(unpack(in.data, in.len, 1, 100, &out), OCI_OK);
	assert_string_equal(oci_buf_text(&out), "one two");
}

static void gzip_reader_allows_zeros_at_the_end(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf in, out;

	oci_buf_init(&in, OCI_MIB);
	append_member(&in, "one", 3);
	assert_int_equal(oci_buf_append_zeros(&in, 100000, NULL), 0);
	assert_int_equal(unpack_buf(&in, &out), OCI_OK);
	assert_string_equal(oci_buf_text(&out), "one");
}

static void gzip_reader_refuses_a_member_after_zeros(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf in, out;

	oci_buf_init(&in, OCI_MIB);
	append_member(&in, "one", 3);
	assert_int_equal(oci_buf_append_zeros(&in, 1, NULL), 0);
	append_member(&in, "two", 3);
	assert_int_equal(unpack_buf(&in, &out), OCI_E_FORMAT);
}

static void gzip_reader_refuses_trailing_bytes(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf in, out;

	oci_buf_init(&in, OCI_MIB);
	append_member(&in, "one", 3);
	assert_int_equal(oci_buf_puts(&in, "PK\003\004", NULL), 0);
	assert_int_equal(unpack_buf(&in, &out), OCI_E_FORMAT);
}

static void gzip_reader_refuses_every_truncation(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf in;

	oci_buf_init(&in, OCI_MIB);
	append_member(&in, data, 300);
	for (size_t len = 0; len < in.len; len++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf out;
		assert_int_equal(unpack(in.data, len, 16, 1000, &out), OCI_E_FORMAT);
	}
}

static void gzip_reader_refuses_a_wrong_checksum(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf in, out;

	oci_buf_init(&in, OCI_MIB);
	append_member(&in, "one", 3);
	in.data[in.len - 8] ^= 1;
	assert_int_equal(unpack_buf(&in, &out), OCI_E_FORMAT);
}

static void gzip_reader_refuses_zlib_and_plain_data(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf a, b, c;

	assert_int_equal(unpack("\x78\x9c\x03\0\0\0\0\1", 8, 8, 8, &a), OCI_E_FORMAT);
	assert_int_equal(unpack("plain text", 10, 10, 10, &b), OCI_E_FORMAT);
	assert_int_equal(unpack("\0\0\0\0", 4, 4, 4, &c), OCI_E_FORMAT);
}

static void gzip_reader_passes_a_failure_below_on(void **state)
{
	struct drip d = drip_of(packed.data, packed.len / 2, 1000);
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *r = oci_gzip_reader_take(&d.base, NULL);
	struct oci_error err = { 0 };

	d.fails = OCI_E_NETWORK;
	assert_int_equal(oci_reader_drain(r, &err), -1);
	assert_int_equal(err.code, OCI_E_NETWORK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gzip_reader_unpacks_whatever_the_sizes_of_reads),
		cmocka_unit_test(gzip_reader_unpacks_several_members_and_empty_ones),
		cmocka_unit_test(gzip_reader_allows_zeros_at_the_end),
		cmocka_unit_test(gzip_reader_refuses_a_member_after_zeros),
		cmocka_unit_test(gzip_reader_refuses_trailing_bytes),
		cmocka_unit_test(gzip_reader_refuses_every_truncation),
		cmocka_unit_test(gzip_reader_refuses_a_wrong_checksum),
		cmocka_unit_test(gzip_reader_refuses_zlib_and_plain_data),
		cmocka_unit_test(gzip_reader_passes_a_failure_below_on),
	};

	return cmocka_run_group_tests(tests, pack_data, free_data);
}
