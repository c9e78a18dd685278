#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/layer.h"
#include "stream/tar.h"

static const struct oci_layer_file files[] = {
	{"a/b/one", 5},
	{"a/empty", 0},
	{"a/two", 512},
	{"z", 513},
};
static const struct oci_layer_shape shape = {.root = "models/", .files = files, .count = 4};

/* Data of file n is the letter 'A' + n. */
static int open_letters(void *ctx, size_t file, struct oci_error *err)
{
	int fd = memfd_create("letters", MFD_CLOEXEC);
	oci_autofree char *data = malloc(files[file].size_bytes + 1);

	assert_non_null(data);
	memset(data, 'A' + (int)file, files[file].size_bytes);
	assert_int_equal(oci_fs_pwrite_all(fd, data, files[file].size_bytes, 0, err), 0);
	if (ctx && *(size_t *)ctx == file)
		assert_int_equal(ftruncate(fd, (off_t)files[file].size_bytes - 1), 0);
	return fd;
}

static void read_layer(struct oci_buf *out)
{
	const struct oci_layer_source source = {.open = open_letters};
	struct oci_error err = {0};
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = oci_layer_reader(&shape, &source, 0, &err);

	assert_non_null(reader);
	oci_buf_init(out, OCI_MIB);
	if (oci_reader_slurp(reader, out, &err) < 0)
		fail_msg("%s", err.text);
}

static void a_layer_is_as_long_as_it_was_measured(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	uint64_t size, start;

	read_layer(&bytes);
	assert_int_equal(oci_layer_measure(&shape, &size, &start, NULL), 0);
	assert_int_equal(bytes.len, size);
	/* models/, a/, b/ and the file itself */
	assert_int_equal(start, 4 * 512);
	assert_memory_equal(bytes.data + start, "AAAAA", 5);
}

static void a_layer_is_a_tar_with_parents_before_files(void **state)
{
	static const char *const expected[] = {"models", "models/a", "models/a/b", "models/a/b/one",
		"models/a/empty", "models/a/two", "models/z"};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = NULL;
	struct oci_tar_entry entry;
	struct oci_error err = {0};
	size_t n = 0;

	read_layer(&bytes);
	tar = oci_tar_open_take(oci_reader_memory(bytes.data, bytes.len, &err), &err);
	assert_non_null(tar);
	while (oci_tar_next(tar, &entry, &err) > 0) {
		assert_true(n < 7);
		assert_string_equal(entry.path, expected[n]);
		n++;
	}
	assert_int_equal(err.code, 0);
	assert_int_equal(n, 7);
}

static void offsets_of_the_walk_are_those_of_the_bytes(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	OCI_CLEANUP(oci_layer_walk_clear) struct oci_layer_walk walk;
	struct oci_layer_segment segment;
	size_t seen = 0;

	read_layer(&bytes);
	oci_layer_walk_init(&walk, &shape);
	while (oci_layer_walk_next(&walk, &segment, NULL) > 0) {
		if (segment.bytes) {
			assert_memory_equal(bytes.data + segment.offset, segment.bytes, segment.length);
			continue;
		}
		assert_int_equal(segment.file, seen++);
		assert_int_equal(segment.length, files[segment.file].size_bytes);
		for (uint64_t i = 0; i < segment.length; i++)
			assert_int_equal(bytes.data[segment.offset + i], 'A' + (int)segment.file);
	}
	assert_int_equal(seen, 4);
}

static void a_layer_reads_the_same_from_every_offset(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf whole, rest;
	const struct oci_layer_source source = {.open = open_letters};
	struct oci_error err = {0};

	read_layer(&whole);
	oci_buf_init(&rest, OCI_MIB);
	for (size_t offset = 0; offset <= whole.len; offset += 97) {
		OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader =
			oci_layer_reader(&shape, &source, offset, &err);

		oci_buf_reset(&rest);
		assert_int_equal(oci_reader_slurp(reader, &rest, &err), 0);
		assert_int_equal(rest.len, whole.len - offset);
		assert_memory_equal(rest.data, whole.data + offset, rest.len);
	}
	assert_null(oci_layer_reader(&shape, &source, whole.len + 1, &err));
	assert_int_equal(err.code, OCI_E_BUG);
}

static void a_file_that_shrinks_is_the_sources_fault(void **state)
{
	size_t victim = 3;
	const struct oci_layer_source source = {.open = open_letters, .ctx = &victim};
	struct oci_error err = {0};
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = oci_layer_reader(&shape, &source, 0, &err);

	assert_int_equal(oci_reader_drain(reader, &err), -1);
	assert_int_equal(err.code, OCI_E_SOURCE);
	assert_non_null(strstr(err.text, "'z'"));
}

static int count_file(void *ctx, size_t file, int fd, struct oci_error *err)
{
	++*(size_t *)ctx;
	return 0;
}

static void every_file_is_checked_after_it_was_read_also_an_empty_one(void **state)
{
	size_t checked = files[0].size_bytes + 100; /* no file's number, for open_letters() */
	const struct oci_layer_source source = {.open = open_letters, .check = count_file, .ctx = &checked};
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = oci_layer_reader(&shape, &source, 0, NULL);

	assert_int_equal(oci_reader_drain(reader, NULL), 0);
	assert_int_equal(checked, files[0].size_bytes + 100 + shape.count);
}

static void a_raw_layer_is_its_file(void **state)
{
	static const struct oci_layer_shape raw = {.root = "", .raw = true, .files = files, .count = 1};
	const struct oci_layer_source source = {.open = open_letters};
	struct oci_error err = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = oci_layer_reader(&raw, &source, 0, &err);
	uint64_t size, start;

	oci_buf_init(&bytes, OCI_MIB);
	assert_int_equal(oci_reader_slurp(reader, &bytes, &err), 0);
	assert_string_equal(oci_buf_text(&bytes), "AAAAA");
	assert_int_equal(oci_layer_measure(&raw, &size, &start, NULL), 0);
	assert_int_equal(size, 5);
	assert_int_equal(start, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_layer_is_as_long_as_it_was_measured),
		cmocka_unit_test(a_layer_is_a_tar_with_parents_before_files),
		cmocka_unit_test(offsets_of_the_walk_are_those_of_the_bytes),
		cmocka_unit_test(a_layer_reads_the_same_from_every_offset),
		cmocka_unit_test(a_file_that_shrinks_is_the_sources_fault),
		cmocka_unit_test(every_file_is_checked_after_it_was_read_also_an_empty_one),
		cmocka_unit_test(a_raw_layer_is_its_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
