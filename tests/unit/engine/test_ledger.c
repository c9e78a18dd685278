#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/ledger.h"
#include "stream/tar.h"

#define STEP OCI_VERIFY_STEP
#define LAYER_MAX (4 * STEP)

/* A stage in a directory of its own, and a layer. */
struct place {
	char path[32];
	int dir;
	struct oci_stage stage;
	struct oci_digest manifest;
	struct oci_buf bytes;
	struct oci_descriptor blob;
	struct oci_unpack_options options;
	bool raw;
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof *p);

	assert_non_null(p);
	strncpy(p->path, "/tmp/modelcar-test.XXXXXX", sizeof p->path - 1);
	assert_non_null(mkdtemp(p->path));
	p->dir = oci_fs_open_dir(p->path, NULL);
	oci_digest_of(OCI_SHA256, "manifest", 8, &p->manifest);
	assert_int_equal(oci_stage_open(p->dir, "m", &p->manifest, true, &p->stage, NULL), 0);
	p->options = (struct oci_unpack_options){.stage = &p->stage, .layer = 3, .root = "", .digests = true};
	oci_buf_init(&p->bytes, LAYER_MAX);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	oci_autofree char *name = NULL;
	oci_autoclose int parent = oci_fs_open_parent(p->path, &name, NULL);

	oci_stage_clear(&p->stage);
	close(p->dir);
	oci_buf_clear(&p->bytes);
	free(p);
	return oci_fs_remove_tree(parent, name, NULL);
}

static void add_data(struct place *p, size_t len)
{
	uint32_t x = (uint32_t)len;
	size_t at = p->bytes.len;

	assert_int_equal(oci_buf_append_zeros(&p->bytes, len, NULL), 0);
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		p->bytes.data[at + i] = (char)(x >> 24);
	}
}

static void add_file(struct place *p, const char *path, size_t len)
{
	assert_int_equal(oci_tar_add_header(&p->bytes, path, OCI_TAR_FILE, len, NULL), 0);
	add_data(p, len);
	assert_int_equal(oci_buf_append_zeros(&p->bytes, (size_t)oci_tar_padding(len), NULL), 0);
}

static void seal(struct place *p)
{
	p->blob.size_bytes = p->bytes.len;
	oci_digest_of(OCI_SHA256, p->bytes.data, p->bytes.len, &p->blob.digest);
}

/* Files that a step begins in, ends in, and that have none. */
static void make_tar(struct place *p, bool ended)
{
	assert_int_equal(oci_tar_add_header(&p->bytes, "d/", OCI_TAR_DIR, 0, NULL), 0);
	add_file(p, "d/a", STEP + 1000);
	add_file(p, "d/empty", 0);
	add_file(p, "small", 5);
	add_file(p, "z", 2 * STEP - 5001);
	assert_int_equal(oci_buf_append_zeros(&p->bytes, OCI_TAR_END_BYTES, NULL), 0);
	if (!ended) /* with the last byte of the last file, as umoci does */
		p->bytes.len -= OCI_TAR_END_BYTES + (size_t)oci_tar_padding(2 * STEP - 5001);
	seal(p);
}

static void make_raw(struct place *p)
{
	p->raw = true;
	add_data(p, 2 * STEP + 12345);
	seal(p);
}

static struct oci_ledger_key key_of(const struct place *p)
{
	return (struct oci_ledger_key){&p->stage, &p->manifest, &p->blob, -1, -1};
}

/* One run, whose layer ends after `end` bytes; how far the runs before had come in *from. */
static enum oci_errc take(struct place *p, size_t end, struct oci_unpacked *got, uint64_t *from)
{
	OCI_CLEANUP(oci_ledger_close) struct oci_ledger ledger = OCI_LEDGER_NONE;
	struct oci_ledger_key key = key_of(p);
	struct oci_unpack_options options = p->options;
	struct oci_error err = {0};
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = NULL;
	int rc;

	assert_int_equal(oci_ledger_open(&key, &options, got, &ledger, &err), 0);
	*from = ledger.whole ? p->bytes.len : ledger.trail.from.offset;
	if (ledger.whole)
		return OCI_OK;
	if (end < *from)
		end = (size_t)*from;
	reader = oci_reader_memory(p->bytes.data + *from, end - (size_t)*from, &err);
	reader = oci_verify_reader_along_take(reader, &p->blob, &ledger.trail, &err);
	assert_non_null(reader);
	options.ledger = &ledger;
	if (p->raw)
		rc = oci_unpack_raw(reader, "raw", &p->blob, &options, got, &err);
	else
		rc = oci_unpack_tar_take(oci_steal(&reader), true, &options, got, &err);
	return rc < 0 || oci_ledger_end(&ledger, got, &err) < 0 ? err.code : OCI_OK;
}

/* What the layer holds, by names and digests, and that the parts are so. */
static void assert_whole(const struct place *p, const struct oci_unpacked *got)
{
	static const struct {
		const char *path;
		size_t size;
	} files[] = {{"d/a", STEP + 1000}, {"d/empty", 0}, {"small", 5}, {"z", 2 * STEP - 5001}};
	size_t count = p->raw ? 1 : 4;

	assert_int_equal(got->files.count, count);
	assert_int_equal(got->dirs.count, p->raw ? 0 : 1);
	for (size_t i = 0; i < count; i++) {
		const struct oci_listing_file *file = &got->files.files[i];
		OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
		char room[OCI_STAGE_NAME_MAX];
		struct oci_digest digest;

		assert_string_equal(file->path, p->raw ? "raw" : files[i].path);
		assert_int_equal(file->size_bytes, p->raw ? p->bytes.len : files[i].size);
		oci_buf_init(&bytes, LAYER_MAX);
		oci_unpack_part_name(&p->stage, file->part, room);
		assert_int_equal(oci_fs_read_file(p->stage.fd, room, &bytes, NULL), 0);
		assert_int_equal(bytes.len, file->size_bytes);
		oci_digest_of(OCI_SHA256, bytes.data ? bytes.data : "", bytes.len, &digest);
		assert_true(oci_digest_equal(&digest, &file->digest));
	}
}

static void check_cut(struct place *p, size_t end)
{
	OCI_CLEANUP(oci_unpacked_clear) struct oci_unpacked first = {0}, second = {0}, third = {0};
	uint64_t from;

	assert_int_not_equal(take(p, end, &first, &from), OCI_OK);
	assert_int_equal(from, 0);
	assert_int_equal(take(p, p->bytes.len, &second, &from), OCI_OK);
	/* A piece of the reader's may be behind, and the point may lie between two files. */
	assert_true(from % STEP == 0 && from <= end && from + 2 * STEP + OCI_MIB > end);
	assert_whole(p, &second);
	assert_int_equal(take(p, 0, &third, &from), OCI_OK);
	assert_int_equal(from, p->bytes.len);
	assert_whole(p, &third);
	oci_stage_remove(&p->stage);
}

static void check_cuts(struct place *p)
{
	const size_t cuts[] = {100, STEP - 1, STEP + 1700, STEP + 5000, 2 * STEP + OCI_MIB, p->bytes.len - 1};

	for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
		check_cut(p, cuts[i]);
}

static void wherever_a_tar_ends_the_next_run_goes_on(void **state)
{
	make_tar(*state, true);
	check_cuts(*state);
}

static void a_tar_without_an_end_is_gone_on_with(void **state)
{
	make_tar(*state, false);
	check_cuts(*state);
}

static void wherever_a_file_ends_the_next_run_goes_on(void **state)
{
	make_raw(*state);
	check_cuts(*state);
}

static void flip(const struct place *p, uint32_t number, uint64_t offset)
{
	struct oci_listing_part part = {.layer = 3, .number = number};
	char room[OCI_STAGE_NAME_MAX], byte;
	oci_autoclose int fd = oci_fs_open_beneath(p->stage.fd, oci_unpack_part_name(&p->stage, part, room), O_RDWR, 0, NULL);

	assert_int_equal(oci_fs_pread_full(fd, &byte, 1, offset, NULL), 1);
	byte ^= 1;
	assert_int_equal(oci_fs_pwrite_all(fd, &byte, 1, offset, NULL), 0);
}

/* As after a loss of power: the ledger is there, and what it speaks of is not. */
static void what_is_damaged_counts_up_to_the_last_point_before(void **state)
{
	OCI_CLEANUP(oci_unpacked_clear) struct oci_unpacked first = {0}, second = {0}, third = {0}, fourth = {0};
	struct place *p = *state;
	uint64_t from;

	make_raw(p);
	assert_int_not_equal(take(p, p->bytes.len - 1, &first, &from), OCI_OK);
	flip(p, 0, STEP + 100);
	assert_int_equal(take(p, p->bytes.len, &second, &from), OCI_OK);
	assert_int_equal(from, STEP);
	assert_whole(p, &second);
	flip(p, 0, 100);
	assert_int_equal(take(p, p->bytes.len, &third, &from), OCI_OK);
	assert_int_equal(from, 0);
	assert_whole(p, &third);
	flip(p, 0, p->bytes.len - 1); /* behind the last point, in a layer that is done */
	assert_int_equal(take(p, p->bytes.len, &fourth, &from), OCI_OK);
	assert_int_equal(from, 2 * STEP);
	assert_whole(p, &fourth);
}

/* It belongs to a tree that is published, perhaps. */
static void nothing_is_written_to_a_part_with_another_name(void **state)
{
	OCI_CLEANUP(oci_unpacked_clear) struct oci_unpacked first = {0}, second = {0};
	struct oci_listing_part part = {.layer = 3};
	struct place *p = *state;
	char room[OCI_STAGE_NAME_MAX];
	struct stat before, after;
	uint64_t from;

	make_raw(p);
	assert_int_not_equal(take(p, p->bytes.len - 1, &first, &from), OCI_OK);
	assert_int_equal(linkat(p->stage.fd, oci_unpack_part_name(&p->stage, part, room), p->dir, "published", 0), 0);
	assert_int_equal(fstatat(p->dir, "published", &before, 0), 0);
	assert_int_equal(take(p, p->bytes.len, &second, &from), OCI_OK);
	assert_int_equal(from, 0);
	assert_whole(p, &second);
	assert_int_equal(fstatat(p->dir, "published", &after, 0), 0);
	assert_int_equal(after.st_nlink, 1);
	assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

static void a_ledger_of_another_layer_or_of_other_options_is_none(void **state)
{
	OCI_CLEANUP(oci_unpacked_clear) struct oci_unpacked first = {0}, second = {0}, third = {0};
	struct place *p = *state;
	uint64_t from;

	make_raw(p);
	assert_int_equal(take(p, p->bytes.len, &first, &from), OCI_OK);
	p->options.root = "models/";
	assert_int_equal(take(p, p->bytes.len, &second, &from), OCI_OK);
	assert_int_equal(from, 0);
	p->bytes.data[0] ^= 1;
	seal(p);
	assert_int_equal(take(p, p->bytes.len, &third, &from), OCI_OK);
	assert_int_equal(from, 0);
	assert_whole(p, &third);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(wherever_a_tar_ends_the_next_run_goes_on),
		IN_PLACE(a_tar_without_an_end_is_gone_on_with),
		IN_PLACE(wherever_a_file_ends_the_next_run_goes_on),
		IN_PLACE(what_is_damaged_counts_up_to_the_last_point_before),
		IN_PLACE(nothing_is_written_to_a_part_with_another_name),
		IN_PLACE(a_ledger_of_another_layer_or_of_other_options_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
