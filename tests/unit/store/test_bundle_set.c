/* Files of a bundle, read at random and as a pipe: every byte counts. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>

#include "base/fs.h"
#include "bundle_fixture.h"
#include "store/bundle.h"
#include "store/bundle_pipe.h"

#define PART_BYTES 8192
#define PARTS_MAX 8

struct place {
	char dir[64];
	struct oci_bundle_map map;
	struct oci_bundle_parts parts;
	struct oci_buf files[PARTS_MAX + 1]; /* whole ones, part 1 is [1], the index [0] */
	struct oci_strings paths;            /* likewise, from part 1 on */
};

static void write_file(struct place *p, const char *name, const struct oci_buf *data)
{
	oci_autoclose int dir = oci_fs_open_dir(p->dir, NULL);

	assert_int_equal(oci_fs_write_file(dir, name, data->data, data->len, 0600, false, NULL), 0);
}

static void write_part(struct place *p, size_t number)
{
	char name[32];

	snprintf(name, sizeof name, "m.part%03zu", number);
	write_file(p, name, &p->files[number]);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof *p);
	struct oci_digest sums[PARTS_MAX];
	AUTO_BUF stream;

	assert_non_null(p);
	oci_buf_init(&stream, OCI_MIB);
	snprintf(p->dir, sizeof p->dir, "/tmp/oci-bundle-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	bundle_map(&p->map);
	bundle_stream(&p->map, &stream);
	write_file(p, "whole", &stream);
	assert_int_equal(oci_bundle_parts_plan(&p->map, PART_BYTES, &p->parts, NULL), 0);
	assert_in_range(p->parts.count, 3, PARTS_MAX);
	for (size_t number = 1; number <= p->parts.count; number++) {
		char path[128];

		oci_buf_init(&p->files[number], OCI_MIB);
		bundle_part(&p->parts, &stream, number, sums, &p->files[number]);
		write_part(p, number);
		snprintf(path, sizeof path, "%s/m.part%03zu", p->dir, number);
		assert_int_equal(oci_strings_add(&p->paths, path, NULL), 0);
	}
	oci_buf_init(&p->files[0], OCI_MIB);
	bundle_part(&p->parts, &stream, 0, sums, &p->files[0]);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	oci_fs_remove_tree(AT_FDCWD, p->dir, NULL);
	for (size_t i = 0; i <= p->parts.count; i++)
		oci_buf_clear(&p->files[i]);
	oci_strings_clear(&p->paths);
	oci_bundle_map_clear(&p->map);
	free(p);
	return 0;
}

static void assert_blob(struct oci_store *store, const struct oci_bundle_blob *blob)
{
	struct oci_descriptor d = {.digest = blob->digest, .size_bytes = blob->size_bytes};
	AUTO_BUF got;

	oci_buf_init(&got, 4096);
	assert_int_equal(oci_store_read(store, &d, &got, NULL), 0);
}

static void blobs_are_read_from_parts_in_any_order(void **state)
{
	struct place *p = *state;
	struct oci_strings backwards = {0};
	OCI_CLEANUP(oci_bundle_set_clear) struct oci_bundle_set set = {0};
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = NULL;

	for (size_t i = p->paths.count; i > 0; i--)
		assert_int_equal(oci_strings_add(&backwards, p->paths.items[i - 1], NULL), 0);
	assert_int_equal(oci_bundle_set_open(&backwards, &set, NULL), 0);
	oci_strings_clear(&backwards);
	assert_int_equal(set.damaged.count, 0);
	store = oci_store_bundle_set(&set, NULL, NULL);
	assert_non_null(store);
	for (size_t i = 0; i < BLOBS; i++)
		assert_blob(store, &p->map.blobs[i]);
}

static void a_part_that_is_missing_is_told_from_the_others(void **state)
{
	struct place *p = *state;
	struct oci_strings some = {.items = p->paths.items + 1, .count = p->paths.count - 1};
	OCI_CLEANUP(oci_bundle_set_clear) struct oci_bundle_set set = {0};
	char ranges[OCI_BUNDLE_RANGES_MAX];

	assert_int_equal(oci_bundle_set_open(&some, &set, NULL), 0);
	assert_int_equal(oci_bundle_ranges(set.here, set.parts.count, false, ranges), 1);
	assert_string_equal(ranges, "1");
}

/* Opened, checked, and all blobs read: is anything wrong with it? */
static bool is_found_bad(struct place *p)
{
	OCI_CLEANUP(oci_bundle_set_clear) struct oci_bundle_set set = {0};
	struct oci_error err = {0};

	oci_bundle_map_init(&set.map);
	if (oci_bundle_set_open(&p->paths, &set, &err) < 0 || set.damaged.count > 0)
		return true;
	for (size_t number = 1; number <= set.parts.count; number++)
		if (oci_bundle_set_check(&set, number, &err) < 0)
			return true;
	return false;
}

static bool pipe_is_found_bad(const char *path)
{
	struct oci_bundle_pipe pipe;
	struct oci_error err = {0};
	char data[4096];
	bool bad = oci_bundle_pipe_open(&pipe, path, &err) < 0;

	for (size_t i = 0; !bad && i < pipe.map.count; i++)
		bad = oci_bundle_pipe_gap(&pipe, i, &err) < 0 ||
			oci_bundle_pipe_read(&pipe, data, pipe.map.blobs[i].size_bytes, &err) < 0;
	bad = bad || oci_bundle_pipe_end(&pipe, &err) < 0;
	oci_bundle_pipe_close(&pipe);
	return bad;
}

/* All parts, one behind the other, with the index at the end. */
static void write_joined(struct place *p, char path[128])
{
	AUTO_BUF all;

	oci_buf_init(&all, OCI_MIB);
	for (size_t number = 1; number <= p->parts.count; number++)
		assert_int_equal(oci_buf_append(&all, p->files[number].data, p->files[number].len, NULL), 0);
	assert_int_equal(oci_buf_append(&all, p->files[0].data, p->files[0].len, NULL), 0);
	write_file(p, "joined", &all);
	snprintf(path, 128, "%s/joined", p->dir);
}

static void no_flipped_byte_of_a_part_passes(void **state)
{
	struct place *p = *state;
	char joined[128];

	write_joined(p, joined);
	assert_false(is_found_bad(p));
	assert_false(pipe_is_found_bad(joined));
	for (size_t number = 1; number <= p->parts.count; number++) {
		struct oci_buf *file = &p->files[number];

		for (size_t at = number; at < file->len; at += 97) {
			file->data[at] ^= 1;
			write_part(p, number);
			write_joined(p, joined);
			if (!is_found_bad(p) || !pipe_is_found_bad(joined))
				fail_msg("byte %zu of part %zu", at, number);
			file->data[at] ^= 1;
		}
		write_part(p, number);
	}
}

static void no_end_that_is_cut_passes(void **state)
{
	struct place *p = *state;
	char path[128];

	snprintf(path, sizeof path, "%s/whole", p->dir);
	assert_false(pipe_is_found_bad(path));
	for (uint64_t left = 0; left < p->map.stream_bytes; left += 311) {
		OCI_CLEANUP(oci_bundle_set_clear) struct oci_bundle_set set = {0};
		struct oci_strings one = {0};
		struct oci_error err = {0};

		assert_int_equal(truncate(path, (off_t)(p->map.stream_bytes - 1 - left)), 0);
		assert_true(pipe_is_found_bad(path));
		assert_int_equal(oci_strings_add(&one, path, NULL), 0);
		assert_int_equal(oci_bundle_set_open(&one, &set, &err), -1);
		assert_int_equal(err.code, OCI_E_FORMAT);
		oci_strings_clear(&one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(blobs_are_read_from_parts_in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_part_that_is_missing_is_told_from_the_others, setup, teardown),
		cmocka_unit_test_setup_teardown(no_flipped_byte_of_a_part_passes, setup, teardown),
		cmocka_unit_test_setup_teardown(no_end_that_is_cut_passes, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
