#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "http/credentials_file.h"

#define SECRET "sec:ret"

struct place {
	char root[40], file[64];
	int dir;
};

static int make_place(void **state)
{
	static struct place place;

	snprintf(place.root, sizeof place.root, "/tmp/test-credentials-file-XXXXXX");
	if (!mkdtemp(place.root))
		return -1;
	snprintf(place.file, sizeof place.file, "%s/auth.json", place.root);
	place.dir = oci_fs_open_dir(place.root, NULL);
	*state = &place;
	return place.dir < 0 ? -1 : 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;
	oci_autoclose int tmp = oci_fs_open_dir("/tmp", NULL);

	close(place->dir);
	return oci_fs_remove_tree(tmp, place->root + strlen("/tmp/"), NULL);
}

static void put(const struct place *place, const char *text)
{
	assert_int_equal(oci_fs_write_file(place->dir, "auth.json", text, strlen(text), 0644, false, NULL), 0);
}

static void assert_holds(const struct place *place, const char *want)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, OCI_MIB);
	assert_int_equal(oci_fs_read_file(place->dir, "auth.json", &text, NULL), 0);
	assert_string_equal(oci_buf_text(&text), want);
}

static int save(const struct place *place, const char *registry, struct oci_error *err)
{
	oci_autofree char *where = NULL;
	struct oci_credentials c = {.username = (char[]){"joe"}, .password = (char[]){SECRET}};
	return oci_credentials_save(place->file, registry, &c, &where, err);
}

static void save_makes_a_file_of_its_owner_alone(void **state)
{
	const struct place *place = *state;
	struct stat st;

	assert_int_equal(save(place, "reg.example:5000", NULL), 0);
	assert_int_equal(stat(place->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_holds(place, "{\n\t\"auths\": {\n\t\t\"reg.example:5000\": {\n"
			    "\t\t\t\"auth\": \"am9lOnNlYzpyZXQ=\"\n\t\t}\n\t}\n}\n");
}

static void save_is_what_find_finds(void **state)
{
	OCI_CLEANUP(oci_credentials_clear) struct oci_credentials c = {0};
	const struct place *place = *state;
	char *file = (char *)place->file;
	struct oci_strings files = {.items = &file, .count = 1};

	assert_int_equal(save(place, "docker.io", NULL), 0);
	assert_int_equal(oci_credentials_find(&files, "docker.io/library/x", &c, NULL), 0);
	assert_string_equal(c.password, SECRET);
}

static void save_replaces_all_spellings_of_the_host_and_nothing_else(void **state)
{
	const struct place *place = *state;

	put(place, "{\"a\":[1,{},[],\"x\\\"{\"],\"auths\":{\"https://reg.example/v1/\":{\"auth\":\"eA==\"},"
		   "\"reg.example/ns\":{},\"reg.example.org\":{}}}");
	assert_int_equal(save(place, "reg.example", NULL), 0);
	assert_holds(place, "{\n\t\"a\": [\n\t\t1,\n\t\t{},\n\t\t[],\n\t\t\"x\\\"{\"\n\t],\n\t\"auths\": {\n"
			    "\t\t\"reg.example/ns\": {},\n\t\t\"reg.example.org\": {},\n\t\t\"reg.example\": {\n"
			    "\t\t\t\"auth\": \"am9lOnNlYzpyZXQ=\"\n\t\t}\n\t}\n}\n");
}

static void save_refuses_what_it_would_destroy(void **state)
{
	static const char *const texts[] = {"{", "[]", "{\"auths\":{},\"auths\":{}}",
		"{\"reg.example\":{\"auth\":\"eA==\"}}", "{\"credHelpers\":{\"reg.example\":\"../x\"}}"};
	const struct place *place = *state;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct oci_error err = {0};
		put(place, texts[i]);
		assert_int_equal(save(place, "reg.example", &err), -1);
		assert_non_null(strstr(err.text, place->file));
		assert_holds(place, texts[i]);
	}
}

static void save_below_a_host_with_a_helper_would_never_be_found(void **state)
{
	const struct place *place = *state;
	struct oci_error err = {0};

	put(place, "{\"credHelpers\":{\"reg.example\":\"testing\"}}");
	assert_int_equal(save(place, "reg.example/ns", &err), -1);
	assert_int_equal(err.code, OCI_E_USAGE);
}

static void erase_takes_out_one_host_once(void **state)
{
	const struct place *place = *state;
	bool found = true;

	assert_int_equal(oci_credentials_erase(place->file, "reg.example", &found, NULL), 0);
	assert_false(found);
	assert_int_equal(save(place, "reg.example", NULL), 0);
	assert_int_equal(oci_credentials_erase(place->file, "reg.example", &found, NULL), 0);
	assert_true(found);
	assert_holds(place, "{\n\t\"auths\": {}\n}\n");
	assert_int_equal(oci_credentials_erase(place->file, "reg.example", &found, NULL), 0);
	assert_false(found);
}

static void target_is_the_first_file_of_the_search_that_exists(void **state)
{
	const struct place *place = *state;
	oci_autofree char *path = NULL;

	unsetenv("REGISTRY_AUTH_FILE");
	unsetenv("DOCKER_CONFIG");
	unsetenv("XDG_CONFIG_HOME");
	setenv("XDG_RUNTIME_DIR", place->root, 1);
	setenv("HOME", place->root, 1);
	assert_int_equal(oci_credentials_target(NULL, &path, NULL), 0);
	assert_non_null(strstr(path, "/.docker/config.json"));
	assert_int_equal(oci_fs_mkdirs_beneath(place->dir, "containers", 0700, NULL), 0);
	assert_int_equal(oci_fs_write_file(place->dir, "containers/auth.json", "{}", 2, 0600, false, NULL), 0);
	assert_int_equal(oci_credentials_target(NULL, &path, NULL), 0);
	assert_non_null(strstr(path, "/containers/auth.json"));
	setenv("REGISTRY_AUTH_FILE", "/named/by/environment", 1);
	assert_int_equal(oci_credentials_target(NULL, &path, NULL), 0);
	assert_string_equal(path, "/named/by/environment");
	assert_int_equal(oci_credentials_target("/named", &path, NULL), 0);
	assert_string_equal(path, "/named");
}

#define IN_PLACE(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(save_makes_a_file_of_its_owner_alone),
		IN_PLACE(save_is_what_find_finds),
		IN_PLACE(save_replaces_all_spellings_of_the_host_and_nothing_else),
		IN_PLACE(save_refuses_what_it_would_destroy),
		IN_PLACE(save_below_a_host_with_a_helper_would_never_be_found),
		IN_PLACE(erase_takes_out_one_host_once),
		IN_PLACE(target_is_the_first_file_of_the_search_that_exists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
