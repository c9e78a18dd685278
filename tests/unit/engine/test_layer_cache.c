#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/layer_cache.h"

#define SECOND INT64_C(1000000000)

struct place {
	char path[32];
	struct oci_layer_cache cache;
	struct oci_digest identity;
	struct oci_layer_entry entry;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof *p);

	assert_non_null(p);
	strncpy(p->path, "/tmp/modelcar-test.XXXXXX", sizeof p->path - 1);
	assert_non_null(mkdtemp(p->path));
	oci_layer_cache_open(&p->cache, p->path);
	oci_digest_of(OCI_SHA256, "files", 5, &p->identity);
	p->entry = (struct oci_layer_entry){.started_ns = 1000 * SECOND, .size_bytes = 12345, .file_count = 3};
	oci_digest_of(OCI_SHA256, "layer", 5, &p->entry.digest);
	p->entry.files = calloc(3, sizeof *p->entry.files);
	assert_non_null(p->entry.files);
	oci_digest_of(OCI_SHA256, "file", 4, &p->entry.files[1]);
	oci_buf_init(&p->entry.chains, OCI_MIB);
	assert_int_equal(oci_buf_append_zeros(&p->entry.chains, 2 * OCI_CHAIN_BYTES, NULL), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	oci_layer_cache_close(&p->cache);
	oci_layer_entry_clear(&p->entry);
	oci_fs_remove_tree(AT_FDCWD, p->path, NULL);
	free(p);
	return 0;
}

static bool load(const struct place *p)
{
	OCI_CLEANUP(oci_layer_entry_clear) struct oci_layer_entry found = {0};

	return oci_layer_cache_load(&p->cache, &p->identity, &found);
}

static void what_is_saved_is_loaded(void **state)
{
	struct place *p = *state;
	OCI_CLEANUP(oci_layer_entry_clear) struct oci_layer_entry found = {0};

	assert_false(load(p));
	oci_layer_cache_save(&p->cache, &p->identity, &p->entry);
	assert_true(oci_layer_cache_load(&p->cache, &p->identity, &found));
	assert_int_equal(found.started_ns, p->entry.started_ns);
	assert_int_equal(found.size_bytes, p->entry.size_bytes);
	assert_true(oci_digest_equal(&found.digest, &p->entry.digest));
	assert_int_equal(found.file_count, 3);
	assert_int_equal(found.files[0].alg, 0);
	assert_true(oci_digest_equal(&found.files[1], &p->entry.files[1]));
	assert_int_equal(found.chains.len, 2 * OCI_CHAIN_BYTES);
	oci_layer_cache_forget(&p->cache, &p->identity);
	assert_false(load(p));
}

static void open_entry(const struct place *p, int *fd, off_t *size)
{
	char path[128], hex[OCI_DIGEST_TEXT_MAX];

	snprintf(path, sizeof path, "%s/%s", p->path, oci_digest_hex(&p->identity, hex));
	*fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(*fd >= 0);
	*size = lseek(*fd, 0, SEEK_END);
}

static void an_entry_with_any_changed_byte_is_none(void **state)
{
	struct place *p = *state;
	oci_autoclose int fd = -1;
	off_t size;

	oci_layer_cache_save(&p->cache, &p->identity, &p->entry);
	open_entry(p, &fd, &size);
	for (off_t at = 0; at < size; at++) {
		unsigned char byte, bad;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		bad = byte ^ 0x41;
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		assert_false(load(p));
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	assert_true(load(p));
}

static void an_entry_that_is_cut_is_none(void **state)
{
	struct place *p = *state;
	oci_autoclose int fd = -1;
	off_t size;

	oci_layer_cache_save(&p->cache, &p->identity, &p->entry);
	open_entry(p, &fd, &size);
	while (size-- > 0) {
		assert_int_equal(ftruncate(fd, size), 0);
		assert_false(load(p));
	}
}

static void an_old_entry_goes(void **state)
{
	struct place *p = *state;
	const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct oci_layer_cache again;
	oci_autoclose int fd = -1;
	off_t size;

	oci_layer_cache_save(&p->cache, &p->identity, &p->entry);
	open_entry(p, &fd, &size);
	assert_int_equal(futimens(fd, old), 0);
	assert_true(load(p)); /* and is used, so it stays */
	oci_layer_cache_open(&again, p->path);
	oci_layer_cache_close(&again);
	assert_true(load(p));
	assert_int_equal(futimens(fd, old), 0);
	oci_layer_cache_open(&again, p->path);
	oci_layer_cache_close(&again);
	assert_false(load(p));
}

static void what_was_half_written_goes(void **state)
{
	const struct timespec minute_ago[2] = {{.tv_sec = time(NULL) - 60}, {.tv_sec = time(NULL) - 60}};
	struct place *p = *state;
	oci_autofree char *half = oci_str_printf("%s/.modelcar.0123456789abcdef.part", p->path);
	oci_autoclose int fd = open(half, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct oci_layer_cache again;

	assert_int_equal(futimens(fd, minute_ago), 0);
	oci_layer_cache_open(&again, p->path);
	oci_layer_cache_close(&again);
	assert_int_equal(access(half, F_OK), -1);
}

static void without_a_directory_nothing_is_known(void **state)
{
	struct place *p = *state;
	struct oci_layer_cache none;

	oci_layer_cache_open(&none, "/dev/null/cache");
	oci_layer_cache_save(&none, &p->identity, &p->entry);
	assert_false(oci_layer_cache_load(&none, &p->identity, &p->entry));
	oci_layer_cache_forget(&none, &p->identity);
	oci_layer_cache_close(&none);
}

static void every_change_of_a_file_makes_another_identity(void **state)
{
	const struct oci_dir_file before = {.size_bytes = 7, .dev = 1, .ino = 2, .mtime_ns = 3, .ctime_ns = 4};
	struct oci_layer_file named[2] = {{.path = "a"}, {.path = "b"}};
	const struct oci_layer_shape shape = {.root = "models/", .files = named, .count = 1};
	struct oci_layer_shape others[] = {shape, shape, shape, shape};
	struct oci_dir_file changed[6];
	const size_t numbers[] = {0, 0};
	struct oci_digest first, other;

	oci_layer_identity(&shape, &before, numbers, &first);
	for (size_t i = 0; i < 6; i++)
		changed[i] = before;
	changed[0].size_bytes++;
	changed[1].dev++;
	changed[2].ino++;
	changed[3].mtime_ns++;
	changed[4].ctime_ns++;
	for (size_t i = 0; i < 6; i++) {
		oci_layer_identity(&shape, &changed[i], numbers, &other);
		assert_int_equal(oci_digest_equal(&first, &other), i == 5);
	}
	others[0].root = "";
	others[1].raw = true;
	others[2].files = named + 1;
	others[3].count = 2;
	for (size_t i = 0; i < 4; i++) {
		oci_layer_identity(&others[i], &before, numbers, &other);
		assert_false(oci_digest_equal(&first, &other));
	}
}

static void a_file_touched_within_two_seconds_makes_an_entry_recent(void **state)
{
	struct oci_dir_file files[2] = {{.mtime_ns = 10 * SECOND, .ctime_ns = 10 * SECOND},
		{.mtime_ns = 10 * SECOND, .ctime_ns = 10 * SECOND}};
	const struct oci_layer_entry entry = {.started_ns = 20 * SECOND, .file_count = 2};
	const size_t numbers[] = {0, 1};

	assert_false(oci_layer_entry_recent(&entry, files, numbers));
	files[1].mtime_ns = 18 * SECOND;
	assert_false(oci_layer_entry_recent(&entry, files, numbers));
	files[1].mtime_ns = 18 * SECOND + 1;
	assert_true(oci_layer_entry_recent(&entry, files, numbers));
	files[1].mtime_ns = 0;
	files[0].ctime_ns = 30 * SECOND;
	assert_true(oci_layer_entry_recent(&entry, files, numbers));
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_saved_is_loaded),
		T(an_entry_with_any_changed_byte_is_none),
		T(an_entry_that_is_cut_is_none),
		T(an_old_entry_goes),
		T(what_was_half_written_goes),
		T(without_a_directory_nothing_is_known),
		T(every_change_of_a_file_makes_another_identity),
		T(a_file_touched_within_two_seconds_makes_an_entry_recent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
