#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "http/certs.h"

struct place {
	char path[32];
	int dir;
};

static int make_place(void **state)
{
	static struct place place;

	snprintf(place.path, sizeof place.path, "/tmp/test-certs-XXXXXX");
	if (!mkdtemp(place.path))
		return -1;
	place.dir = oci_fs_open_dir(place.path, NULL);
	*state = &place;
	return place.dir < 0 ? -1 : 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;
	oci_autoclose int tmp = oci_fs_open_dir("/tmp", NULL);

	close(place->dir);
	return oci_fs_remove_tree(tmp, place->path + strlen("/tmp/"), NULL);
}

static void put(const struct place *place, const char *name)
{
	assert_int_equal(oci_fs_write_file(place->dir, name, "x", 1, 0600, false, NULL), 0);
}

static void certs_read_takes_authorities_and_the_first_pair(void **state)
{
	OCI_CLEANUP(oci_certs_clear) struct oci_certs certs = {0};
	const struct place *place = *state;
	static const char *const names[] = {"b.crt", "a.crt", "two.cert", "two.key", "one.cert", "one.key", "note.pem"};
	bool found = false;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		put(place, names[i]);
	assert_int_equal(oci_certs_read(place->path, &certs, &found, NULL), 0);
	assert_true(found);
	assert_int_equal(certs.ca_files.count, 2);
	assert_non_null(strstr(certs.ca_files.items[0], "/a.crt"));
	assert_non_null(strstr(certs.cert_file, "/one.cert"));
	assert_non_null(strstr(certs.key_file, "/one.key"));
}

static void certs_read_wants_a_key_beside_a_certificate(void **state)
{
	OCI_CLEANUP(oci_certs_clear) struct oci_certs certs = {0};
	const struct place *place = *state;
	struct oci_error err = {0};
	bool found;

	put(place, "one.cert");
	assert_int_equal(oci_certs_read(place->path, &certs, &found, &err), -1);
	assert_int_equal(err.code, OCI_E_TLS);
	assert_non_null(strstr(err.text, "one.key"));
}

static void certs_read_leaves_what_the_user_named(void **state)
{
	OCI_CLEANUP(oci_certs_clear) struct oci_certs certs = {.cert_file = strdup("mine")};
	const struct place *place = *state;
	bool found;

	put(place, "one.cert");
	assert_int_equal(oci_certs_read(place->path, &certs, &found, NULL), 0);
	assert_string_equal(certs.cert_file, "mine");
	assert_null(certs.key_file);
}

static void certs_find_takes_the_directory_of_the_host_and_port(void **state)
{
	OCI_CLEANUP(oci_certs_clear) struct oci_certs certs = {0};
	const struct place *place = *state;

	setenv("XDG_CONFIG_HOME", place->path, 1);
	assert_int_equal(oci_fs_mkdirs_beneath(place->dir, "containers/certs.d/[::1]:5000", 0755, NULL), 0);
	put(place, "containers/certs.d/[::1]:5000/ca.crt");
	assert_int_equal(oci_certs_find("[::1]:5001", &certs, NULL), 0);
	assert_int_equal(certs.ca_files.count, 0);
	assert_int_equal(oci_certs_find("[::1]:5000", &certs, NULL), 0);
	assert_int_equal(certs.ca_files.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			certs_read_takes_authorities_and_the_first_pair, make_place, remove_place),
		cmocka_unit_test_setup_teardown(certs_read_wants_a_key_beside_a_certificate, make_place, remove_place),
		cmocka_unit_test_setup_teardown(certs_read_leaves_what_the_user_named, make_place, remove_place),
		cmocka_unit_test_setup_teardown(
			certs_find_takes_the_directory_of_the_host_and_port, make_place, remove_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
