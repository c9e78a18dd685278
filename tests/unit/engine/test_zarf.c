#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "engine/zarf.h"

/* Names and numbers as Zarf's own tests have them. */
static const struct {
	const char *reference, *tag;
} known[] = {
	{"docker.io/nginx:1.23.3", "1.23.3-zarf-3793515731"},
	{"docker.io/zarf-dev/zarf-agent:v0.22.1", "v0.22.1-zarf-2183797434"},
	{"ghcr.io/stefanprodan/podinfo:6.3.3", "6.3.3-zarf-2985051089"},
	{"registry1.dso.mil/ironbank/opensource/zarf-dev/zarf/zarf-agent:v0.25.0", "v0.25.0-zarf-1211467612"},
	{"oci://10.43.130.183:5000/stefanprodan/manifests/podinfo:latest", "latest-zarf-531355090"},
};

static void tags_are_those_of_zarf(void **state)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
		oci_autofree char *image = NULL, *tag = NULL;

		assert_int_equal(oci_reference_parse(known[i].reference, &ref, NULL), 0);
		image = oci_zarf_image(&ref, NULL);
		assert_non_null(image);
		assert_int_equal(oci_zarf_tag(image, ref.tag, &tag, NULL), 0);
		assert_string_equal(tag, known[i].tag);
		assert_int_equal(oci_zarf_base_length(image, tag), strlen(ref.tag));
		assert_int_equal(oci_zarf_base_length("r.example/other", tag), 0);
	}
}

static void other_tags_are_none_of_zarf(void **state)
{
	assert_int_equal(oci_zarf_base_length("docker.io/library/nginx", "latest"), 0);
	assert_int_equal(oci_zarf_base_length("docker.io/library/nginx", "v1-zarf-3793515732"), 0);
	assert_int_equal(oci_zarf_base_length("docker.io/library/nginx", "-zarf-3793515731"), 0);
}

static void a_tag_that_gets_too_long_is_refused(void **state)
{
	oci_autofree char *tag = NULL;
	struct oci_error err = {0};
	char name[129] = "";

	memset(name, 'v', 113);
	assert_int_equal(oci_zarf_tag("docker.io/library/nginx", name, &tag, &err), -1);
	assert_int_equal(err.code, OCI_E_USAGE);
	name[112] = '\0';
	assert_int_equal(oci_zarf_tag("docker.io/library/nginx", name, &tag, NULL), 0);
	assert_int_equal(strlen(tag), 128);
}

static void what_is_no_registry_has_no_name_there(void **state)
{
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	struct oci_error err = {0};

	assert_int_equal(oci_reference_parse("oci:dir:v1", &ref, NULL), 0);
	assert_null(oci_zarf_image(&ref, &err));
	assert_int_equal(err.code, OCI_E_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tags_are_those_of_zarf),
		cmocka_unit_test(other_tags_are_none_of_zarf),
		cmocka_unit_test(a_tag_that_gets_too_long_is_refused),
		cmocka_unit_test(what_is_no_registry_has_no_name_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
