#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "drip.h"

static const char text[] = "0123456789abcdef";
#define TEXT_LEN (sizeof text - 1)

static int file_with_text(void)
{
	char path[] = "/tmp/modelcar-reader-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(write(fd, text, TEXT_LEN), TEXT_LEN);
	return fd;
}

static void memory_reader_gives_every_byte_once_then_the_end(void **state)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *r = oci_reader_memory(text, TEXT_LEN, NULL);
	char out[10];

	assert_non_null(r);
	assert_int_equal(oci_reader_read(r, out, sizeof out, NULL), 10);
	assert_memory_equal(out, "0123456789", 10);
	assert_int_equal(oci_reader_read(r, out, sizeof out, NULL), 6);
	assert_memory_equal(out, "abcdef", 6);
	assert_int_equal(oci_reader_read(r, out, sizeof out, NULL), 0);
}

static void memory_reader_of_nothing_is_at_its_end(void **state)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *r = oci_reader_memory(NULL, 0, NULL);
	char out[1];

	assert_non_null(r);
	assert_int_equal(oci_reader_read(r, out, sizeof out, NULL), 0);
}

static void file_reader_gives_the_extent_it_was_asked_for(void **state)
{
	int fd = file_with_text();
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *r = oci_reader_file_take(fd, 4, 8, NULL);
	char out[TEXT_LEN];

	assert_non_null(r);
	assert_int_equal(oci_reader_read_full(r, out, sizeof out, NULL), 8);
	assert_memory_equal(out, "456789ab", 8);
}

static void file_reader_fails_when_the_file_ends_early(void **state)
{
	int fd = file_with_text();
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *r = oci_reader_file_take(fd, 10, 8, NULL);
	struct oci_error err = { 0 };
	char out[TEXT_LEN];

	assert_non_null(r);
	assert_int_equal(oci_reader_read_full(r, out, sizeof out, &err), -1);
	assert_int_equal(err.code, OCI_E_IO);
	assert_string_equal(err.text, "file ends at byte 16, 2 bytes too early");
}

static void file_reader_closes_its_descriptor(void **state)
{
	int fd = file_with_text();
	struct oci_reader *r = oci_reader_file_take(fd, 0, 1, NULL);

	assert_non_null(r);
	oci_reader_close(r);
	assert_int_equal(close(fd), -1);
}

static void read_full_collects_short_reads(void **state)
{
	struct drip d = drip_of(text, TEXT_LEN, 3);
	char out[TEXT_LEN];

	assert_int_equal(oci_reader_read_full(&d.base, out, 8, NULL), 8);
	assert_memory_equal(out, "01234567", 8);
	assert_int_equal(oci_reader_read_full(&d.base, out, sizeof out, NULL), 8);
	assert_memory_equal(out, "89abcdef", 8);
}

static void read_full_passes_a_failure_on(void **state)
{
	struct drip d = drip_of(text, TEXT_LEN, 3);
	struct oci_error err = { 0 };
	char out[TEXT_LEN + 1];

	d.fails = OCI_E_NETWORK;
	assert_int_equal(oci_reader_read_full(&d.base, out, sizeof out, &err), -1);
	assert_int_equal(err.code, OCI_E_NETWORK);
}

static void slurp_reads_all_within_the_bound(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct drip d = drip_of(text, TEXT_LEN, 5);

	oci_buf_init(&buf, TEXT_LEN);
	assert_int_equal(oci_reader_slurp(&d.base, &buf, NULL), 0);
	assert_string_equal(oci_buf_text(&buf), text);
}

static void slurp_refuses_what_is_beyond_the_bound(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct drip d = drip_of(text, TEXT_LEN, 5);
	struct oci_error err = { 0 };

	oci_buf_init(&buf, TEXT_LEN - 1);
	assert_int_equal(oci_reader_slurp(&d.base, &buf, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
}

static void drain_reads_to_the_end(void **state)
{
	struct drip d = drip_of(text, TEXT_LEN, 5);

	assert_int_equal(oci_reader_drain(&d.base, NULL), 0);
	assert_true(d.ended);
	assert_int_equal(d.left, 0);
}

static void drain_passes_a_failure_on(void **state)
{
	struct drip d = drip_of(text, TEXT_LEN, 5);
	struct oci_error err = { 0 };

	d.fails = OCI_E_TLS;
	assert_int_equal(oci_reader_drain(&d.base, &err), -1);
	assert_int_equal(err.code, OCI_E_TLS);
}

static void close_accepts_null(void **state)
{
	struct oci_reader *none = NULL;

	oci_reader_close(none);
	oci_reader_cleanup(&none);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_reader_gives_every_byte_once_then_the_end),
		cmocka_unit_test(memory_reader_of_nothing_is_at_its_end),
		cmocka_unit_test(file_reader_gives_the_extent_it_was_asked_for),
		cmocka_unit_test(file_reader_fails_when_the_file_ends_early),
		cmocka_unit_test(file_reader_closes_its_descriptor),
		cmocka_unit_test(read_full_collects_short_reads),
		cmocka_unit_test(read_full_passes_a_failure_on),
		cmocka_unit_test(slurp_reads_all_within_the_bound),
		cmocka_unit_test(slurp_refuses_what_is_beyond_the_bound),
		cmocka_unit_test(drain_reads_to_the_end),
		cmocka_unit_test(drain_passes_a_failure_on),
		cmocka_unit_test(close_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
