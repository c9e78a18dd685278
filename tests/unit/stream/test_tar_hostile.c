#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "raw.h"

static void what_is_no_tar_is_refused(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, ARCHIVE_MAX);
	assert_int_equal(oci_buf_puts(&buf, "{\"not\":\"a tar\"}", NULL), 0);
	assert_int_equal(read_code(&buf), OCI_E_FORMAT);
	assert_int_equal(oci_buf_append_zeros(&buf, 4096, NULL), 0);
	assert_int_equal(read_code(&buf), OCI_E_FORMAT);
}

static void damaged_header_is_refused(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, ARCHIVE_MAX);
	add_ours(&buf);
	buf.data[512] ^= 1;
	assert_int_equal(read_code(&buf), OCI_E_FORMAT);
}

static void bad_names_are_refused(void **state)
{
	static const char *const names[] = { "..", "../a", "/../a", "./../a", "a/..", "a/../b", "a//b",
		"a/./b", "a\nb", "a\x1b[0m", "a\xff", "\xc0\xae\xc0\xae/a", "\xed\xa0\x80", ".", "" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf plain, pax;
		oci_buf_init(&plain, ARCHIVE_MAX);
		oci_buf_init(&pax, ARCHIVE_MAX);
		add_raw(&plain, &(struct raw){ .name = names[i], .type = '0' });
		assert_int_equal(read_code(&plain), OCI_E_FORMAT);
		if (names[i][0] == '\0')
			continue;
		add_pax_path(&pax, names[i]);
		add_raw(&pax, &(struct raw){ .name = "good", .type = '0' });
		assert_int_equal(read_code(&pax), OCI_E_FORMAT);
	}
}

static void bad_links_are_refused(void **state)
{
	static const struct raw links[] = {
		{ .name = "hard", .type = '1', .link = "../a" },
		{ .name = "hard", .type = '1', .link = "/" },
		{ .name = "hard", .type = '1', .link = "a\xff" },
		{ .name = "soft", .type = '2', .link = "" },
		{ .name = "soft", .type = '2', .link = "a\nb" },
	};

	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
		oci_buf_init(&buf, ARCHIVE_MAX);
		add_raw(&buf, &links[i]);
		assert_int_equal(read_code(&buf), OCI_E_FORMAT);
	}
}

/* Outside of what lands nobody minds them. */
static void devices_fifos_and_continuations_are_other(void **state)
{
	for (const char *type = "346M"; *type != '\0'; type++) {
		struct drip d; /* outlives the tar */
		OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
		OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = NULL;
		struct oci_error err = { 0 };
		struct oci_tar_entry e;

		oci_buf_init(&buf, ARCHIVE_MAX);
		add_raw(&buf, &(struct raw){ .name = "dev/sda", .type = *type });
		tar = open_buf(&d, &buf);
		assert_int_equal(oci_tar_next(tar, &e, &err), 1);
		assert_int_equal(e.type, OCI_TAR_OTHER);
		assert_string_equal(e.path, "dev/sda");
	}
}

/* Refused before any of its data is seen. */
static void assert_sparse(const struct oci_buf *buf)
{
	struct drip d; /* outlives the tar */
	OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = open_buf(&d, buf);
	struct oci_error err = { 0 };
	struct oci_tar_entry e;

	assert_int_equal(oci_tar_next(tar, &e, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
	assert_string_equal(err.text, "tar member 'sparse' is sparse");
}

static void sparse_members_are_refused(void **state)
{
	static const char records[] = "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
		"28 GNU.sparse.realsize=8192\n";
	static const char old[] = "31 GNU.sparse.map=0,512,8192,0\n28 GNU.sparse.realsize=8192\n";
	char map[1024] = "1\n4096\n512\n";
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf, older;

	oci_buf_init(&buf, ARCHIVE_MAX);
	add_pax(&buf, records, sizeof records - 1);
	add_raw(&buf, &(struct raw){ .name = "sparse", .type = '0', .size_bytes = sizeof map });
	add_data(&buf, map, sizeof map);
	add_end(&buf);
	assert_sparse(&buf);

	oci_buf_init(&older, ARCHIVE_MAX);
	add_pax(&older, old, sizeof old - 1);
	add_raw(&older, &(struct raw){ .name = "sparse", .type = '0', .size_bytes = 512 });
	add_data(&older, map, 512);
	add_end(&older);
	assert_sparse(&older);
}

static void sparse_members_of_old_gnu_tar_are_refused(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, ARCHIVE_MAX);
	add_raw(&buf, &(struct raw){ .name = "sparse", .type = 'S', .size_bytes = 512 });
	memcpy(buf.data + 257, "ustar  ", 8);
	memcpy(buf.data + 386, "00000000000\0" "00000001000", 24);
	memcpy(buf.data + 483, "00000020000", 12);
	seal(buf.data);
	assert_int_equal(oci_buf_append_zeros(&buf, 512, NULL), 0);
	add_end(&buf);
	assert_sparse(&buf);
}

static void size_that_is_not_the_data_s_is_refused(void **state)
{
	static const char *const records[] = { "28 GNU.sparse.realsize=9000\n", "23 GNU.sparse.size=10\n",
		"24 SCHILY.realsize=9000\n", "22 SCHILY.realsize=10\n" };

	for (size_t i = 0; i < 4; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
		oci_buf_init(&buf, ARCHIVE_MAX);
		add_pax(&buf, records[i], strlen(records[i]));
		add_raw(&buf, &(struct raw){ .name = "a", .type = '0', .size_bytes = 512 });
		assert_int_equal(oci_buf_append_zeros(&buf, 512, NULL), 0);
		add_end(&buf);
		assert_int_equal(read_code(&buf), OCI_E_FORMAT);
	}
}

static void malformed_pax_records_are_refused(void **state)
{
	static const char *const records[] = { "12 path=abcd\n", "x path=a\n", "99 path=a\n", "5 abc\n",
		"11 =path=a\n", "20 size=99999999999999999999\n" };

	for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
		oci_buf_init(&buf, ARCHIVE_MAX);
		add_pax(&buf, records[i], strlen(records[i]));
		add_raw(&buf, &(struct raw){ .name = "a", .type = '0' });
		add_end(&buf);
		assert_int_equal(read_code(&buf), OCI_E_FORMAT);
	}
}

static void chains_of_special_headers_are_refused(void **state)
{
	for (const char *type = "LKxg"; *type != '\0'; type++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
		oci_buf_init(&buf, ARCHIVE_MAX);
		for (int i = 0; i < 4000; i++) {
			add_raw(&buf, &(struct raw){ .name = "special", .type = *type, .size_bytes = 11 });
			add_data(&buf, "11 path=aa\n", 11);
		}
		add_raw(&buf, &(struct raw){ .name = "a", .type = '0' });
		add_end(&buf);
		assert_int_equal(read_code(&buf), OCI_E_FORMAT);
	}
}

static void special_headers_without_bound_are_refused(void **state)
{
	for (const char *type = "LKx"; *type != '\0'; type++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
		oci_buf_init(&buf, ARCHIVE_MAX);
		add_raw(&buf, &(struct raw){ .name = "special", .type = *type, .size_bytes = 2 * OCI_MIB });
		assert_int_equal(oci_buf_append_zeros(&buf, 2 * OCI_MIB, NULL), 0);
		add_raw(&buf, &(struct raw){ .name = "a", .type = '0' });
		add_end(&buf);
		assert_int_equal(read_code(&buf), OCI_E_FORMAT);
	}
}

static void error_shows_hostile_names_escaped(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_error err = { 0 };
	unsigned members;

	oci_buf_init(&buf, ARCHIVE_MAX);
	add_raw(&buf, &(struct raw){ .name = "a\nb", .type = '0' });
	struct drip d = drip_of(buf.data, buf.len, 512);
	assert_int_equal(read_all(&d, &members, &err), OCI_E_FORMAT);
	assert_string_equal(err.text, "tar member 'a\\x0ab' has a name that is not clean UTF-8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_tar_is_refused),
		cmocka_unit_test(damaged_header_is_refused),
		cmocka_unit_test(bad_names_are_refused),
		cmocka_unit_test(bad_links_are_refused),
			cmocka_unit_test(devices_fifos_and_continuations_are_other),
		cmocka_unit_test(sparse_members_are_refused),
		cmocka_unit_test(sparse_members_of_old_gnu_tar_are_refused),
		cmocka_unit_test(size_that_is_not_the_data_s_is_refused),
		cmocka_unit_test(malformed_pax_records_are_refused),
		cmocka_unit_test(chains_of_special_headers_are_refused),
		cmocka_unit_test(special_headers_without_bound_are_refused),
		cmocka_unit_test(error_shows_hostile_names_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
