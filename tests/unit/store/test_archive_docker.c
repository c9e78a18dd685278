/* What Docker's archives give beyond what test_archive_index.c asks of every
 * archive: names, the manifest that is made up, digests. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "archives.h"
#include "base/cleanup.h"
#include "core/mediatype.h"
#include "store/archive.h"
#include "store/ops.h"

static struct oci_store *open_archive(void **state, const char *name)
{
	oci_autofree char *path = oci_str_printf("%s/%s", (char *)*state, name);
	struct oci_error err = {0};
	struct oci_store *store = oci_store_archive(path, OCI_STORE_READ, &err);

	if (!store)
		fail_msg("%s: %s", name, err.text);
	return store;
}

/* The manifest of an image that must be there. */
static struct oci_manifest read_image(struct oci_store *store, const char *name)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	struct oci_manifest manifest = {0};
	struct oci_error err = {0};

	oci_buf_init(&text, OCI_MANIFEST_MAX);
	if (oci_store_resolve(store, name, &d, &err) < 0 || oci_store_read(store, &d, &text, &err) < 0 ||
		oci_manifest_parse(oci_buf_text(&text), text.len, d.media_type, &manifest, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	return manifest;
}

static enum oci_errc resolve(struct oci_store *store, const char *name)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
	struct oci_error err = {0};

	oci_store_resolve(store, name, &d, &err);
	return err.code;
}

static void assert_blob(struct oci_store *store, const struct oci_descriptor *d, const char *want)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	struct oci_error err = {0};

	oci_buf_init(&bytes, OCI_KIB);
	if (oci_store_read(store, d, &bytes, &err) < 0)
		fail_msg("%s", err.text);
	if (want)
		assert_string_equal(oci_buf_text(&bytes), want);
}

static void the_manifest_lists_config_and_layers_as_they_lie_there(void **state)
{
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = open_archive(state, "docker-images.tar");
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest manifest = read_image(store, "busybox:v1");

	assert_string_equal(manifest.media_type, OCI_MT_MANIFEST);
	assert_string_equal(manifest.config.media_type, OCI_MT_CONFIG);
	assert_int_equal(manifest.layer_count, 2);
	assert_string_equal(manifest.layers[0].media_type, OCI_MT_LAYER_GZIP);
	assert_string_equal(manifest.layers[1].media_type, OCI_MT_LAYER_TAR);
	assert_int_equal(manifest.layers[1].size_bytes, 5);
	assert_blob(store, &manifest.config, NULL);
	assert_blob(store, &manifest.layers[0], NULL);
	assert_blob(store, &manifest.layers[1], "lower");
}

static void an_image_is_found_by_its_names_short_and_full_and_by_a_tag_of_its_own(void **state)
{
	static const char *const first[] = {"busybox:v1", "docker.io/library/busybox:v1", "new", "busybox:new"};
	static const char *const second[] = {"docker.io/library/two:v2", "v2", "localhost/m:v1"};
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = open_archive(state, "docker-images.tar");

	for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
		OCI_CLEANUP(oci_manifest_clear) struct oci_manifest manifest = read_image(store, first[i]);

		assert_int_equal(manifest.layer_count, 2);
	}
	for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
		OCI_CLEANUP(oci_manifest_clear) struct oci_manifest manifest = read_image(store, second[i]);

		assert_int_equal(manifest.layer_count, 1);
	}
}

static void a_tag_that_two_images_have_is_refused(void **state)
{
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = open_archive(state, "docker-images.tar");

	assert_int_equal(resolve(store, "v1"), OCI_E_FORMAT);
}

static void no_name_is_for_the_only_image(void **state)
{
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *one = open_archive(state, "docker-no-name.tar");
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *two = open_archive(state, "docker-images.tar");

	assert_int_equal(resolve(one, NULL), OCI_OK);
	assert_int_equal(resolve(one, "v1"), OCI_E_NOT_FOUND);
	assert_int_equal(resolve(two, NULL), OCI_E_NOT_FOUND);
}

static void the_tags_are_the_names_as_they_stand(void **state)
{
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = open_archive(state, "docker-images.tar");
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0};

	assert_int_equal(oci_store_tags(store, &tags, NULL), 0);
	assert_int_equal(tags.count, 5);
	assert_string_equal(tags.items[0], "busybox:v1");
	assert_string_equal(tags.items[4], "localhost/m:v1");
}

static void an_image_is_found_by_the_digest_of_its_manifest(void **state)
{
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = open_archive(state, "ok-docker-plain.tar");
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *links = open_archive(state, "ok-docker-links.tar");
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
	char digest[OCI_DIGEST_TEXT_MAX];

	assert_int_equal(oci_store_resolve(store, "v1", &d, NULL), 0);
	oci_digest_format(&d.digest, digest);
	assert_int_equal(resolve(store, digest), OCI_OK);
	/* Where the layer lies in the archive makes no other image. */
	assert_int_equal(resolve(links, digest), OCI_OK);
}

static void a_layer_that_is_not_its_diff_id_is_caught_on_reading(void **state)
{
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = open_archive(state, "docker-other-content.tar");
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest manifest = read_image(store, "v1");
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	struct oci_error err = {0};

	oci_buf_init(&bytes, OCI_KIB);
	assert_int_equal(oci_store_read(store, &manifest.layers[0], &bytes, &err), -1);
	assert_int_equal(err.code, OCI_E_DIGEST);
}

static void a_part_of_the_manifest_can_be_read(void **state)
{
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = open_archive(state, "ok-docker-plain.tar");
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = NULL;
	char text[16] = {0};

	assert_int_equal(oci_store_resolve(store, "v1", &d, NULL), 0);
	reader = store->ops->open(store, &d, 2, 13, NULL);
	assert_non_null(reader);
	assert_int_equal(oci_reader_read_full(reader, text, sizeof text, NULL), 13);
	assert_string_equal(text, "schemaVersion");
	assert_null(store->ops->open(store, &d, 2, d.size_bytes, NULL));
}

static void docker_archive_references_are_read_and_not_written(void **state)
{
	oci_autofree char *text = oci_str_printf("docker-archive:%s/docker-images.tar:two:v2", (char *)*state);
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = NULL;
	struct oci_store_options options = {0};
	struct oci_error err = {0};

	assert_int_equal(oci_reference_parse(text, &ref, NULL), 0);
	store = oci_store_open(&ref, OCI_STORE_READ, &options, NULL);
	assert_non_null(store);
	assert_int_equal(resolve(store, ref.tag), OCI_OK);
	assert_null(oci_store_open(&ref, OCI_STORE_WRITE, &options, &err));
	assert_int_equal(err.code, OCI_E_UNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_manifest_lists_config_and_layers_as_they_lie_there),
		cmocka_unit_test(an_image_is_found_by_its_names_short_and_full_and_by_a_tag_of_its_own),
		cmocka_unit_test(a_tag_that_two_images_have_is_refused),
		cmocka_unit_test(no_name_is_for_the_only_image),
		cmocka_unit_test(the_tags_are_the_names_as_they_stand),
		cmocka_unit_test(an_image_is_found_by_the_digest_of_its_manifest),
		cmocka_unit_test(a_layer_that_is_not_its_diff_id_is_caught_on_reading),
		cmocka_unit_test(a_part_of_the_manifest_can_be_read),
		cmocka_unit_test(docker_archive_references_are_read_and_not_written),
	};

	return cmocka_run_group_tests(tests, make_archives, remove_archives);
}
