#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "http/credentials.h"

#define AUTO_CREDENTIALS OCI_CLEANUP(oci_credentials_clear) struct oci_credentials

static int parse(const char *asset, const char *resource, struct oci_credentials *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	oci_autofree char *path = oci_str_printf("%s/credentials", getenv("MODELCAR_ASSETS"));
	oci_autoclose int dir = oci_fs_open_dir(path, NULL);

	oci_buf_init(&text, OCI_MIB);
	assert_int_equal(oci_fs_read_file(dir, asset, &text, NULL), 0);
	return oci_credentials_parse(oci_buf_text(&text), text.len, resource, ret, err);
}

static void assert_same(const char *got, const char *want)
{
	if (!want)
		assert_null(got);
	else
		assert_string_equal(got ? got : "(nothing)", want);
}

static void assert_finds(const char *asset, const char *resource, const char *username, const char *password,
	const char *token)
{
	AUTO_CREDENTIALS c = {0};
	struct oci_error err = {0};

	if (parse(asset, resource, &c, &err) < 0)
		fail_msg("%s: %s", resource, err.text);
	assert_same(c.username, username);
	assert_same(c.password, password);
	assert_same(c.identity_token, token);
}

static void credentials_parse_splits_auth_at_the_first_colon(void **state)
{
	assert_finds("ok-docker.json", "reg.example:5000/a/b", "alice", "sec:ret", NULL);
}

static void credentials_parse_prefers_the_longest_namespace(void **state)
{
	assert_finds("ok-docker.json", "quay.example/org/team/model", NULL, NULL, "IDTOKEN");
	assert_finds("ok-docker.json", "quay.example/org/team", NULL, NULL, "IDTOKEN");
	assert_finds("ok-docker.json", "quay.example/org/teams", "bob", "pw", NULL);
	assert_finds("ok-docker.json", "quay.example/other", "bob", "pw", NULL);
}

static void credentials_parse_knows_other_ways_to_write_a_host(void **state)
{
	assert_finds("ok-docker.json", "url.example/a", "url", "pw", NULL);
	assert_finds("ok-docker.json", "old.example/a", "old", "pw", NULL);
	assert_finds("ok-docker.json", "docker.io/library/a", "hub", "pw", NULL);
	assert_finds("ok-dockercfg.json", "reg.example/a", "alice", "sec:ret", NULL);
}

static void credentials_parse_gives_nothing_to_strangers(void **state)
{
	assert_finds("ok-docker.json", "reg.example/a", NULL, NULL, NULL);
	assert_finds("ok-docker.json", "reg.example:5001/a", NULL, NULL, NULL);
	assert_finds("ok-docker.json", "quay.example.evil/org/team", NULL, NULL, NULL);
	assert_finds("ok-docker.json", "HttpHeaders/a", NULL, NULL, NULL);
}

static void credentials_parse_asks_a_helper(void **state)
{
	assert_finds("ok-helpers.json", "helper.example/a", "helped", "by a program", NULL);
	assert_finds("ok-helpers.json", "token.example/a", NULL, NULL, "IDTOKEN");
	assert_finds("ok-helpers.json", "none.example/a", NULL, NULL, NULL);
	assert_finds("ok-helpers.json", "plain.example/a", "p", "q", NULL);
	assert_finds("ok-store.json", "plain.example/a", "p", "q", NULL);
	assert_finds("ok-store.json", "stored.example/a", "helped", "by a program", NULL);
}

static void credentials_parse_reports_a_helper_that_fails(void **state)
{
	AUTO_CREDENTIALS c = {0};
	struct oci_error broken = {0}, evil = {0};

	assert_int_equal(parse("ok-helpers.json", "broken.example/a", &c, &broken), -1);
	assert_non_null(strstr(broken.text, "docker-credential-testing"));
	assert_int_equal(parse("ok-helpers.json", "evil.example/a", &c, &evil), -1);
	assert_int_equal(evil.code, OCI_E_USAGE);
}

static void credentials_parse_refuses_what_it_cannot_read(void **state)
{
	static const char *const bad[] = {
		"bad-base64.json", "bad-no-colon.json", "bad-no-object.json", "bad-json.json"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		AUTO_CREDENTIALS c = {0};
		struct oci_error err = {0};
		assert_int_equal(parse(bad[i], "reg.example/a", &c, &err), -1);
		assert_int_equal(err.code, OCI_E_FORMAT);
	}
}

static void credentials_find_follows_the_links_of_a_mounted_secret(void **state)
{
	AUTO_CREDENTIALS c = {0};
	char path[] = "/tmp/test-credentials-XXXXXX";

	assert_non_null(mkdtemp(path));
	oci_autofree char *link = oci_str_printf("%s/.dockerconfigjson", path);
	oci_autofree char *target = oci_str_printf("%s/credentials/ok-docker.json", getenv("MODELCAR_ASSETS"));
	struct oci_strings files = {.items = &link, .count = 1};
	assert_int_equal(symlink(target, link), 0);
	assert_int_equal(oci_credentials_find(&files, "quay.example/x", &c, NULL), 0);
	assert_same(c.username, "bob");
	assert_int_equal(unlink(link), 0);
	assert_int_equal(rmdir(path), 0);
}

static void credentials_find_wants_a_named_file_to_exist(void **state)
{
	AUTO_CREDENTIALS c = {0};
	struct oci_error err = {0};

	char *absent = (char[]){"/nonexistent/auth.json"};
	struct oci_strings files = {.items = &absent, .count = 1};

	assert_int_equal(oci_credentials_find(&files, "reg.example/a", &c, &err), -1);
	assert_int_equal(err.code, OCI_E_USAGE);
}

/* Write `entry` for reg.example to <home>/<dir>/<name>. */
static void write_config(int home, const char *dir, const char *name, const char *user)
{
	oci_autofree char *text = oci_str_printf(
		"{\"auths\":{\"reg.example\":{\"username\":\"%s\",\"password\":\"x\"}}}", user);

	assert_int_equal(oci_fs_mkdirs_beneath(home, dir, 0700, NULL), 0);
	oci_autoclose int fd = oci_fs_open_dir_beneath(home, dir, NULL);
	assert_true(fd >= 0);
	assert_int_equal(oci_fs_write_file(fd, name, text, strlen(text), 0600, false, NULL), 0);
}

static void assert_found_user(const char *want)
{
	AUTO_CREDENTIALS c = {0};
	assert_int_equal(oci_credentials_find(NULL, "reg.example/a", &c, NULL), 0);
	assert_same(c.username, want);
}

static void credentials_find_searches_in_the_documented_order(void **state)
{
	char path[] = "/tmp/test-credentials-XXXXXX";

	assert_non_null(mkdtemp(path));
	oci_autoclose int home = oci_fs_open_dir(path, NULL);
	oci_autofree char *run = oci_str_printf("%s/run", path);
	oci_autofree char *docker = oci_str_printf("%s/docker", path);
	unsetenv("REGISTRY_AUTH_FILE");
	unsetenv("XDG_CONFIG_HOME");
	setenv("HOME", path, 1);
	setenv("XDG_RUNTIME_DIR", run, 1);
	setenv("DOCKER_CONFIG", docker, 1);
	assert_found_user(NULL);
	write_config(home, ".docker", "config.json", "home docker");
	assert_found_user("home docker");
	write_config(home, ".config/containers", "auth.json", "home containers");
	assert_found_user("home containers");
	write_config(home, "run/containers", "auth.json", "runtime");
	assert_found_user("runtime");
	write_config(home, "docker", "config.json", "docker config");
	assert_found_user("docker config");
	oci_autoclose int tmp = oci_fs_open_dir("/tmp", NULL);
	assert_int_equal(oci_fs_remove_tree(tmp, path + strlen("/tmp/"), NULL), 0);
}

static int add_helper_to_path(void **state)
{
	oci_autofree char *path = oci_str_printf("%s/credentials/bin:%s", getenv("MODELCAR_ASSETS"), getenv("PATH"));
	return path ? setenv("PATH", path, 1) : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credentials_parse_splits_auth_at_the_first_colon),
		cmocka_unit_test(credentials_parse_prefers_the_longest_namespace),
		cmocka_unit_test(credentials_parse_knows_other_ways_to_write_a_host),
		cmocka_unit_test(credentials_parse_gives_nothing_to_strangers),
		cmocka_unit_test(credentials_parse_asks_a_helper),
		cmocka_unit_test(credentials_parse_reports_a_helper_that_fails),
		cmocka_unit_test(credentials_parse_refuses_what_it_cannot_read),
		cmocka_unit_test(credentials_find_follows_the_links_of_a_mounted_secret),
		cmocka_unit_test(credentials_find_wants_a_named_file_to_exist),
		cmocka_unit_test(credentials_find_searches_in_the_documented_order),
	};
	return cmocka_run_group_tests(tests, add_helper_to_path, NULL);
}
