#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/image.h"
#include "engine/pack_store.h"

#define STORE OCI_CLEANUP(oci_store_cleanup) struct oci_store *
#define DOCUMENT OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor
#define LARGE_BYTES (9 * OCI_MIB + 5)

/* A model of a large file and two small ones below `path`, and room for a cache. */
struct place {
	char path[32], model[40], cache[40];
	struct oci_platform platforms[OCI_PACK_PLATFORMS];
	struct oci_pack_options options;
};

static void put(const struct place *p, const char *name, const void *data, size_t len)
{
	oci_autoclose int dir = oci_fs_open_dir(p->model, NULL);

	assert_int_equal(oci_fs_write_file(dir, name, data, len, 0644, false, NULL), 0);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof *p);
	char *large = calloc(1, LARGE_BYTES);

	assert_true(p && large);
	strncpy(p->path, "/tmp/modelcar-test.XXXXXX", sizeof p->path - 1);
	assert_non_null(mkdtemp(p->path));
	snprintf(p->model, sizeof p->model, "%s/model", p->path);
	snprintf(p->cache, sizeof p->cache, "%s/cache", p->path);
	assert_int_equal(mkdir(p->model, 0755), 0);
	for (size_t i = 0; i < LARGE_BYTES; i++)
		large[i] = (char)(i * 2654435761u >> 13);
	put(p, "large.bin", large, LARGE_BYTES);
	put(p, "a.txt", "a", 1);
	put(p, "b.json", "{}", 2);
	free(large);
	assert_int_equal(oci_pack_platforms(p->platforms, NULL), 0);
	p->options = (struct oci_pack_options){.source = p->model,
		.platforms = p->platforms,
		.platform_count = OCI_PACK_PLATFORMS,
		.cache_dir = "",
		.jobs = 2};
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	for (size_t i = 0; i < OCI_PACK_PLATFORMS; i++)
		oci_platform_clear(&p->platforms[i]);
	oci_fs_remove_tree(AT_FDCWD, p->path, NULL);
	free(p);
	return 0;
}

/* The same directory, packed. */
static struct oci_store *packed(struct place *p, struct oci_digest *root)
{
	OCI_CLEANUP(oci_pack_report_clear) struct oci_pack_report report = {0};
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	struct oci_store_options store = {0};
	char text[64];

	snprintf(text, sizeof text, "oci:%s/layout:v1", p->path);
	assert_int_equal(oci_reference_parse(text, &ref, NULL), 0);
	p->options.target = &ref;
	p->options.store = &store;
	assert_int_equal(oci_pack(&p->options, &report, NULL), 0);
	p->options.target = NULL;
	p->options.store = NULL;
	*root = report.root.digest;
	return oci_store_open(&ref, OCI_STORE_READ, &store, NULL);
}

static void assert_same_blob(struct oci_store *a, struct oci_store *b, const struct oci_descriptor *d)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *one = oci_store_fetch(a, d, NULL);
	bool there = false;

	assert_non_null(one);
	assert_int_equal(oci_reader_drain(one, NULL), 0); /* verified to its end */
	assert_int_equal(oci_store_exists(a, d, &there, NULL), 0);
	assert_true(there);
	assert_int_equal(oci_store_exists(b, d, &there, NULL), 0);
	assert_true(there);
}

static void a_directory_is_the_image_that_pack_makes_of_it(void **state)
{
	struct place *p = *state;
	OCI_CLEANUP(oci_image_clear) struct oci_image image = {0};
	STORE store = oci_pack_store(&p->options, NULL);
	struct oci_digest digest;
	STORE layout = packed(p, &digest);
	DOCUMENT root = {0};

	assert_true(store && layout);
	assert_int_equal(oci_store_resolve(store, NULL, &root, NULL), 0);
	assert_true(oci_digest_equal(&root.digest, &digest));
	assert_int_equal(oci_image_open(store, NULL, NULL, &image, NULL), 0);
	assert_true(image.has_index);
	assert_same_blob(store, layout, &image.descriptor);
	assert_same_blob(store, layout, &image.manifest.config);
	for (size_t i = 0; i < image.manifest.layer_count; i++)
		assert_same_blob(store, layout, &image.manifest.layers[i]);
	assert_int_equal(oci_pack_store_check(store, NULL), 0);
}

static void any_part_of_a_layer_can_be_read(void **state)
{
	struct place *p = *state;
	static const uint64_t ranges[][2] = {{0, 1}, {500, 2000}, {4 * OCI_MIB - 7, 4 * OCI_MIB + 100}, {9 * OCI_MIB, 5}};
	OCI_CLEANUP(oci_image_clear) struct oci_image image = {0};
	STORE store = oci_pack_store(&p->options, NULL);
	struct oci_digest digest;
	STORE layout = packed(p, &digest);

	assert_int_equal(oci_image_open(store, NULL, NULL, &image, NULL), 0);
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
		const struct oci_descriptor *layer = &image.manifest.layers[0];
		OCI_CLEANUP(oci_buf_clear) struct oci_buf a, b;
		OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *x = oci_store_extent(store, layer, ranges[i][0], ranges[i][1], NULL);
		OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *y = oci_store_extent(layout, layer, ranges[i][0], ranges[i][1], NULL);

		oci_buf_init(&a, 16 * OCI_MIB);
		oci_buf_init(&b, 16 * OCI_MIB);
		assert_true(layer->size_bytes > LARGE_BYTES && x && y);
		assert_int_equal(oci_reader_slurp(x, &a, NULL), 0);
		assert_int_equal(oci_reader_slurp(y, &b, NULL), 0);
		assert_int_equal(a.len, ranges[i][1]);
		assert_true(b.len == a.len && memcmp(a.data, b.data, a.len) == 0);
	}
	assert_null(oci_store_extent(store, &image.manifest.layers[0], image.manifest.layers[0].size_bytes, 1, NULL));
}

static void it_is_known_by_its_digests_and_by_no_tag(void **state)
{
	struct place *p = *state;
	STORE store = oci_pack_store(&p->options, NULL);
	DOCUMENT root = {0}, again = {0};
	struct oci_error err = {0};
	char digest[OCI_DIGEST_TEXT_MAX];

	assert_int_equal(oci_store_resolve(store, "latest", &root, NULL), 0);
	assert_int_equal(oci_store_resolve(store, oci_digest_format(&root.digest, digest), &again, NULL), 0);
	assert_true(again.size_bytes == root.size_bytes && again.media_type);
	assert_int_equal(oci_store_resolve(store, "v1", &again, &err), -1);
	assert_int_equal(err.code, OCI_E_NOT_FOUND);
	err = (struct oci_error){0};
	memset(digest + strlen("sha256:"), '0', 64);
	assert_int_equal(oci_store_resolve(store, digest, &again, &err), -1);
	assert_int_equal(err.code, OCI_E_SOURCE);
	assert_non_null(strstr(err.text, p->model));
}

static void it_takes_nothing(void **state)
{
	struct place *p = *state;
	STORE store = oci_pack_store(&p->options, NULL);
	DOCUMENT root = {0};
	struct oci_error err = {0};

	assert_int_equal(oci_store_resolve(store, NULL, &root, NULL), 0);
	assert_null(oci_store_begin(store, &root, &err));
	assert_int_equal(err.code, OCI_E_UNSUPPORTED);
	assert_int_equal(oci_store_tag(store, &root, "v1", NULL), -1);
}

static void a_change_is_noticed(void **state)
{
	struct place *p = *state;
	OCI_CLEANUP(oci_image_clear) struct oci_image image = {0};
	STORE store = oci_pack_store(&p->options, NULL);
	struct oci_error err = {0};

	assert_int_equal(oci_image_open(store, NULL, NULL, &image, NULL), 0);
	oci_autoclose int fd = oci_pack_store_open_file(store, "large.bin", NULL);
	assert_true(fd >= 0);
	assert_int_equal(oci_pack_store_open_file(store, "c.txt", &err), -1);
	assert_int_equal(err.code, OCI_E_NOT_FOUND);
	put(p, "large.bin", "short", 5);
	err = (struct oci_error){0};
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = oci_store_extent(store, &image.manifest.layers[0], 2000, 1, NULL);
	assert_non_null(reader);
	assert_int_equal(oci_reader_drain(reader, &err), -1);
	assert_int_equal(err.code, OCI_E_SOURCE);
	err = (struct oci_error){0};
	assert_int_equal(oci_pack_store_check(store, &err), -1);
	assert_int_equal(err.code, OCI_E_SOURCE);
	assert_int_equal(oci_pack_store_open_file(store, "large.bin", NULL), -1);
	oci_autoclose int other = oci_pack_store_open_file(store, "a.txt", NULL);
	assert_true(other >= 0);
}

static size_t entries_of(const char *path)
{
	DIR *dir = opendir(path);
	size_t count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

static void what_the_cache_knew_wrongly_is_forgotten(void **state)
{
	struct place *p = *state;
	OCI_CLEANUP(oci_image_clear) struct oci_image image = {0};
	STORE store = NULL;
	size_t before;

	p->options.cache_dir = p->cache;
	store = oci_pack_store(&p->options, NULL);
	assert_int_equal(oci_image_open(store, NULL, NULL, &image, NULL), 0);
	before = entries_of(p->cache);
	assert_true(before > 2);
	oci_store_distrust(store, &image.manifest.layers[0]);
	assert_int_equal(entries_of(p->cache), before - 1);
	oci_store_distrust(store, &image.manifest.config);
	assert_int_equal(entries_of(p->cache), before - 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_directory_is_the_image_that_pack_makes_of_it),
		TEST(any_part_of_a_layer_can_be_read),
		TEST(it_is_known_by_its_digests_and_by_no_tag),
		TEST(it_takes_nothing),
		TEST(a_change_is_noticed),
		TEST(what_the_cache_knew_wrongly_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
