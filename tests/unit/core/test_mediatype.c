#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/mediatype.h"

static void media_types_of_documents_are_told_apart(void **state)
{
	assert_true(oci_media_is_index(OCI_MT_INDEX));
	assert_true(oci_media_is_index(OCI_MT_DOCKER_LIST));
	assert_false(oci_media_is_index(OCI_MT_MANIFEST));
	assert_true(oci_media_is_manifest(OCI_MT_MANIFEST));
	assert_true(oci_media_is_manifest(OCI_MT_DOCKER_MANIFEST));
	assert_false(oci_media_is_manifest(OCI_MT_INDEX));
	assert_false(oci_media_is_manifest(OCI_MT_MODELPACK_MANIFEST));
	assert_true(oci_media_is_image_config(OCI_MT_CONFIG));
	assert_true(oci_media_is_image_config(OCI_MT_DOCKER_CONFIG));
	assert_false(oci_media_is_image_config(OCI_MT_MODELPACK_CONFIG));
}

static void media_type_that_is_absent_is_nothing(void **state)
{
	enum oci_compression compression;
	assert_false(oci_media_is_index(NULL));
	assert_false(oci_media_is_manifest(NULL));
	assert_false(oci_media_is_image_config(NULL));
	assert_int_equal(oci_media_layer_form(NULL, &compression), OCI_LAYER_UNKNOWN);
	assert_null(oci_media_oci_layer(NULL));
}

static void layer_form_follows_the_media_type(void **state)
{
	static const struct {
		const char *media_type;
		enum oci_layer_form form;
		enum oci_compression compression;
	} cases[] = {
		{OCI_MT_LAYER_TAR, OCI_LAYER_IMAGE, OCI_PLAIN},
		{OCI_MT_LAYER_GZIP, OCI_LAYER_IMAGE, OCI_GZIP},
		{OCI_MT_LAYER_ZSTD, OCI_LAYER_IMAGE, OCI_ZSTD},
		{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", OCI_LAYER_IMAGE, OCI_GZIP},
		{"application/vnd.oci.image.layer.v1.tar+gzip+encrypted", OCI_LAYER_UNKNOWN, OCI_PLAIN},
		{"application/vnd.docker.image.rootfs.diff.tar", OCI_LAYER_IMAGE, OCI_PLAIN},
		{"application/vnd.docker.image.rootfs.diff.tar.gzip", OCI_LAYER_IMAGE, OCI_GZIP},
		{"application/vnd.docker.image.rootfs.diff.tar.zstd", OCI_LAYER_IMAGE, OCI_ZSTD},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", OCI_LAYER_IMAGE, OCI_GZIP},
		{"application/vnd.cncf.model.weight.v1.raw", OCI_LAYER_RAW, OCI_PLAIN},
		{"application/vnd.cncf.model.weight.v1.tar", OCI_LAYER_TAR, OCI_PLAIN},
		{"application/vnd.cncf.model.weight.config.v1.tar+gzip", OCI_LAYER_TAR, OCI_GZIP},
		{"application/vnd.cnai.model.doc.v1.tar+zstd", OCI_LAYER_TAR, OCI_ZSTD},
		{"application/vnd.cnai.model.code.v1.raw", OCI_LAYER_RAW, OCI_PLAIN},
		{"application/vnd.cncf.model.weight.v1.safetensors", OCI_LAYER_RAW, OCI_PLAIN},
		{OCI_MT_MODELPACK_CONFIG, OCI_LAYER_UNKNOWN, OCI_PLAIN},
		{"application/vnd.kitops.modelkit.model.v1.tar", OCI_LAYER_TAR, OCI_PLAIN},
		{"application/vnd.kitops.modelkit.model.v1.tar+gzip", OCI_LAYER_TAR, OCI_GZIP},
		{"application/vnd.kitops.modelkit.model.v1.raw", OCI_LAYER_RAW, OCI_PLAIN},
		{"application/vnd.kitops.modelkit.model.v1.other", OCI_LAYER_UNKNOWN, OCI_PLAIN},
		{"application/vnd.kitops.modelkit.config.v1+json", OCI_LAYER_UNKNOWN, OCI_PLAIN},
		{"application/vnd.jozu.model.model.v1.tar+gzip", OCI_LAYER_TAR, OCI_GZIP},
		{"application/vnd.ollama.image.model", OCI_LAYER_UNKNOWN, OCI_PLAIN},
		{"application/octet-stream", OCI_LAYER_UNKNOWN, OCI_PLAIN},
		{"application/x-tar", OCI_LAYER_UNKNOWN, OCI_PLAIN},
		{"", OCI_LAYER_UNKNOWN, OCI_PLAIN},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum oci_compression compression = OCI_GZIP;
		assert_int_equal(oci_media_layer_form(cases[i].media_type, &compression), cases[i].form);
		assert_int_equal(compression, cases[i].compression);
	}
}

static void docker_layer_types_have_an_oci_twin_of_the_same_form(void **state)
{
	static const char *const docker[] = {
		"application/vnd.docker.image.rootfs.diff.tar",
		"application/vnd.docker.image.rootfs.diff.tar.gzip",
		"application/vnd.docker.image.rootfs.diff.tar.zstd",
		"application/vnd.docker.image.rootfs.foreign.diff.tar",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	};
	for (size_t i = 0; i < sizeof(docker) / sizeof(docker[0]); i++) {
		enum oci_compression before, after;
		const char *twin = oci_media_oci_layer(docker[i]);
		assert_string_not_equal(twin, docker[i]);
		assert_int_equal(oci_media_layer_form(docker[i], &before), OCI_LAYER_IMAGE);
		assert_int_equal(oci_media_layer_form(twin, &after), OCI_LAYER_IMAGE);
		assert_int_equal(before, after);
	}
	assert_string_equal(oci_media_oci_layer(OCI_MT_LAYER_ZSTD), OCI_MT_LAYER_ZSTD);
	assert_string_equal(oci_media_oci_layer("x/y"), "x/y");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(media_types_of_documents_are_told_apart),
		cmocka_unit_test(media_type_that_is_absent_is_nothing),
		cmocka_unit_test(layer_form_follows_the_media_type),
		cmocka_unit_test(docker_layer_types_have_an_oci_twin_of_the_same_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
