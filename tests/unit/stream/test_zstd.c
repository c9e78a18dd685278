#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "drip.h"
#include "stream/zstd.h"

#define DATA_BYTES 300000
#define PACKED_MAX (DATA_BYTES + 10000)
static unsigned char data[DATA_BYTES];
static unsigned char packed[PACKED_MAX]; /* `data` as libarchive compresses it */
static size_t packed_len;

#define MAGIC "\x28\xb5\x2f\xfd"
/* Written by hand: no flags, a window of 1 KiB, one raw block. */
#define FRAME_ONE MAGIC "\x00\x00\x19\x00\x00one"
#define FRAME_TWO MAGIC "\x00\x00\x19\x00\x00two"
#define SKIPPABLE "\x5a\x2a\x4d\x18\x04\x00\x00\x00skip"
#define BYTES(literal) literal, sizeof(literal) - 1

static int pack_data(void **state)
{
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();

	drip_pattern(data, sizeof data);
	assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
	assert_int_equal(archive_write_add_filter_zstd(a), ARCHIVE_OK);
	assert_int_equal(archive_write_set_bytes_in_last_block(a, 1), ARCHIVE_OK);
	assert_int_equal(archive_write_open_memory(a, packed, sizeof packed, &packed_len), ARCHIVE_OK);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_pathname(e, "data");
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, data, sizeof data), sizeof data);
	archive_entry_free(e);
	return archive_write_free(a);
}

/* Unpacks `len` bytes in steps of `step`, into reads of `room`. */
static enum oci_errc unpack_by(const void *from, size_t len, size_t step, size_t room, struct oci_buf *out)
{
	oci_autofree unsigned char *chunk = malloc(room);
	struct drip d = drip_of(from, len, step);
	struct oci_error err = { 0 };
	struct oci_reader *r = oci_zstd_reader_take(&d.base, &err);
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

static enum oci_errc unpack(const void *from, size_t len)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf out;

	return unpack_by(from, len, len, 1000, &out);
}

static void zstd_reader_unpacks_whatever_the_sizes_of_reads(void **state)
{
	static const size_t sizes[][2] = { { 1, 100000 }, { 100000, 1 }, { 7, 13 }, { 1 << 20, 1 << 20 } };

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf out;
		assert_int_equal(unpack_by(packed, packed_len, sizes[i][0], sizes[i][1], &out), OCI_OK);
		assert_int_equal(out.len, DATA_BYTES);
		assert_memory_equal(out.data, data, DATA_BYTES);
	}
}

static void zstd_reader_unpacks_several_frames_and_skips_skippable_ones(void **state)
{
	static const char in[] = SKIPPABLE FRAME_ONE SKIPPABLE FRAME_TWO SKIPPABLE;

	for (size_t step = 1; step < sizeof in; step++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf out;
		assert_int_equal(unpack_by(BYTES(in), step, 100, &out), OCI_OK);
		assert_string_equal(oci_buf_text(&out), "onetwo");
	}
}

static void zstd_reader_takes_a_window_of_8_mib_and_no_more(void **state)
{
	assert_int_equal(unpack(BYTES(MAGIC "\x00\x68\x19\x00\x00one")), OCI_OK);
	assert_int_equal(unpack(BYTES(MAGIC "\x00\x69\x19\x00\x00one")), OCI_E_UNSUPPORTED);
	assert_int_equal(unpack(BYTES(MAGIC "\x00\x70\x19\x00\x00one")), OCI_E_UNSUPPORTED);
}

static void zstd_reader_refuses_a_dictionary(void **state)
{
	assert_int_equal(unpack(BYTES(MAGIC "\x01\x00\x07\x19\x00\x00one")), OCI_E_UNSUPPORTED);
}

static void zstd_reader_refuses_a_wrong_checksum(void **state)
{
	assert_int_equal(unpack(BYTES(MAGIC "\x04\x00\x19\x00\x00one\x01\x02\x03\x04")), OCI_E_FORMAT);
}

static void zstd_reader_refuses_nothing_at_all(void **state)
{
	assert_int_equal(unpack("", 0), OCI_E_FORMAT);
}

static void zstd_reader_refuses_formats_from_before_the_standard(void **state)
{
	/* Version 0.7: a raw block of three bytes, an end block. */
	assert_int_equal(unpack(BYTES("\x27\xb5\x2f\xfd\x00\x00\x40\x00\x03one\xc0\x00\x00")), OCI_E_FORMAT);
}

static void zstd_reader_refuses_trailing_bytes(void **state)
{
	assert_int_equal(unpack(BYTES(FRAME_ONE "PK\x03\x04")), OCI_E_FORMAT);
	assert_int_equal(unpack(BYTES(FRAME_ONE "\0")), OCI_E_FORMAT);
}

static void zstd_reader_refuses_every_truncation(void **state)
{
	static const char in[] = FRAME_ONE SKIPPABLE FRAME_TWO;
	static const size_t frame = sizeof FRAME_ONE - 1, skippable = sizeof SKIPPABLE - 1;

	for (size_t len = 0; len < sizeof in - 1; len++) {
		bool whole = len == frame || len == frame + skippable;
		assert_int_equal(unpack(in, len), whole ? OCI_OK : OCI_E_FORMAT);
	}
	assert_int_equal(unpack(packed, packed_len - 1), OCI_E_FORMAT);
}

static void zstd_reader_passes_a_failure_below_on(void **state)
{
	struct drip d = drip_of(packed, packed_len / 2, 1000);
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *r = oci_zstd_reader_take(&d.base, NULL);
	struct oci_error err = { 0 };

	d.fails = OCI_E_NETWORK;
	assert_int_equal(oci_reader_drain(r, &err), -1);
	assert_int_equal(err.code, OCI_E_NETWORK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zstd_reader_unpacks_whatever_the_sizes_of_reads),
		cmocka_unit_test(zstd_reader_unpacks_several_frames_and_skips_skippable_ones),
		cmocka_unit_test(zstd_reader_takes_a_window_of_8_mib_and_no_more),
		cmocka_unit_test(zstd_reader_refuses_a_dictionary),
		cmocka_unit_test(zstd_reader_refuses_a_wrong_checksum),
		cmocka_unit_test(zstd_reader_refuses_nothing_at_all),
		cmocka_unit_test(zstd_reader_refuses_formats_from_before_the_standard),
		cmocka_unit_test(zstd_reader_refuses_trailing_bytes),
		cmocka_unit_test(zstd_reader_refuses_every_truncation),
		cmocka_unit_test(zstd_reader_passes_a_failure_below_on),
	};

	return cmocka_run_group_tests(tests, pack_data, NULL);
}
