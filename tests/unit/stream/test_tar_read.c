#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include "raw.h"

static void our_own_tar_comes_back(void **state)
{
	struct drip d; /* outlives the tar */
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = NULL;
	unsigned char want[700], got[700];
	struct oci_tar_entry e;
	const void *data;
	size_t len, done = 0;

	oci_buf_init(&buf, ARCHIVE_MAX);
	add_ours(&buf);
	tar = open_buf(&d, &buf);
	assert_int_equal(oci_tar_next(tar, &e, NULL), 1);
	assert_string_equal(e.path, "models");
	assert_int_equal(e.type, OCI_TAR_DIR);
	assert_int_equal(e.mode, 0775);
	assert_int_equal(oci_tar_next(tar, &e, NULL), 1);
	assert_string_equal(e.path, "models/a");
	assert_int_equal(e.type, OCI_TAR_FILE);
	assert_int_equal(e.mode, 0664);
	assert_int_equal(e.size_bytes, 700);
	assert_null(e.link);
	while (oci_tar_read(tar, &data, &len, NULL) == 0 && len > 0) {
		memcpy(got + done, data, len);
		done += len;
	}
	drip_pattern(want, sizeof want);
	assert_int_equal(done, 700);
	assert_memory_equal(got, want, 700);
	assert_int_equal(oci_tar_next(tar, &e, NULL), 0);
	assert_true(d.ended);
}

static void data_that_nobody_reads_is_skipped(void **state)
{
	struct drip d; /* outlives the tar */
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = NULL;
	static unsigned char data[OCI_MIB];
	struct oci_tar_entry e;

	oci_buf_init(&buf, ARCHIVE_MAX);
	add_raw(&buf, &(struct raw){ .name = "a", .type = '0', .size_bytes = sizeof data });
	add_data(&buf, data, sizeof data);
	add_raw(&buf, &(struct raw){ .name = "b", .type = '0' });
	add_end(&buf);
	tar = open_buf(&d, &buf);
	assert_int_equal(oci_tar_next(tar, &e, NULL), 1);
	assert_int_equal(oci_tar_next(tar, &e, NULL), 1);
	assert_string_equal(e.path, "b");
	assert_int_equal(oci_tar_next(tar, &e, NULL), 0);
}

static void input_is_read_to_its_end_after_the_last_member(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_error err = { 0 };
	unsigned members;

	oci_buf_init(&buf, ARCHIVE_MAX);
	add_ours(&buf);
	assert_int_equal(oci_buf_append_zeros(&buf, OCI_MIB, NULL), 0);
	assert_int_equal(oci_buf_puts(&buf, "and more", NULL), 0);
	struct drip d = drip_of(buf.data, buf.len, 4096);
	assert_int_equal(read_all(&d, &members, &err), OCI_OK);
	assert_int_equal(members, 2);
	assert_true(d.ended);
	assert_int_equal(d.left, 0);
}

static void failure_after_the_last_member_is_a_failure(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_error err = { 0 };
	unsigned members;

	oci_buf_init(&buf, ARCHIVE_MAX);
	add_ours(&buf);
	struct drip d = drip_of(buf.data, buf.len, buf.len);
	d.fails = OCI_E_DIGEST;
	assert_int_equal(read_all(&d, &members, &err), OCI_E_DIGEST);
}

static void nothing_and_zero_blocks_are_empty_tars(void **state)
{
	static const size_t sizes[] = { 0, 512, 1024, 10240, 1 << 20 };

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
		oci_buf_init(&buf, ARCHIVE_MAX);
		assert_int_equal(oci_buf_append_zeros(&buf, sizes[i], NULL), 0);
		struct drip d = drip_of(buf.data, buf.len, 512);
		struct oci_error err = { 0 };
		unsigned members;
		assert_int_equal(read_all(&d, &members, &err), OCI_OK);
		assert_int_equal(members, 0);
		assert_true(d.ended);
	}
}

/* Between members, after the last byte of data and within the end mark nothing
 * can be missed. */
static bool is_whole(size_t len)
{
	return len == 0 || len == 512 || len >= 1024 + 700;
}

static void every_cut_in_a_header_or_in_data_is_refused(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, ARCHIVE_MAX);
	add_ours(&buf);
	for (size_t len = 0; len <= buf.len; len++) {
		struct drip d = drip_of(buf.data, len, 300);
		struct oci_error err = { 0 };
		unsigned members;
		assert_int_equal(read_all(&d, &members, &err), is_whole(len) ? OCI_OK : OCI_E_FORMAT);
	}
}

static void failure_of_the_input_wins_wherever_it_happens(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, ARCHIVE_MAX);
	add_ours(&buf);
	for (size_t len = 0; len <= buf.len; len++) {
		struct drip d = drip_of(buf.data, len, 300);
		struct oci_error err = { 0 };
		unsigned members;
		d.fails = OCI_E_NETWORK;
		assert_int_equal(read_all(&d, &members, &err), OCI_E_NETWORK);
		assert_string_equal(err.text, "drip failed");
	}
}

/* Libarchive's writers: what the world's tars look like. */
static void write_with(int format, const char *const *names, size_t count, struct oci_buf *out)
{
	static char memory[OCI_MIB];
	struct archive *a = archive_write_new();
	size_t used;

	oci_buf_init(out, ARCHIVE_MAX);
	assert_int_equal(archive_write_set_format(a, format), ARCHIVE_OK);
	assert_int_equal(archive_write_open_memory(a, memory, sizeof memory, &used), ARCHIVE_OK);
	for (size_t i = 0; i < count; i++) {
		struct archive_entry *e = archive_entry_new();
		archive_entry_set_pathname(e, names[i]);
		archive_entry_set_mode(e, AE_IFREG | 0640);
		archive_entry_set_size(e, 4);
		archive_entry_set_mtime(e, 1700000000, 123456789);
		archive_entry_set_uname(e, "jürgen");
		assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
		assert_int_equal(archive_write_data(a, "data", 4), 4);
		archive_entry_free(e);
	}
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	assert_int_equal(oci_buf_append(out, memory, used, NULL), 0);
	archive_write_free(a);
}

#define LONG_NAME                                                    \
	"a/directory/whose/name/is/rather/long/and/does/not/fit/into/" \
	"one/hundred/bytes/so/that/it/is/split/or/written/elsewhere"

static void tars_of_every_dialect_are_read(void **state)
{
	static const int formats[] = { ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FORMAT_TAR_GNUTAR,
		ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FORMAT_TAR_PAX_RESTRICTED };
	static const char *const names[] = { "a", "ein-Füßchen", LONG_NAME };

	for (size_t i = 0; i < 4; i++) {
		struct drip d; /* outlives the tar */
		OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
		OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = NULL;
		struct oci_tar_entry e;
		write_with(formats[i], names, 3, &buf);
		tar = open_buf(&d, &buf);
		for (size_t k = 0; k < 3; k++) {
			assert_int_equal(oci_tar_next(tar, &e, NULL), 1);
			assert_string_equal(e.path, names[k]);
			assert_int_equal(e.size_bytes, 4);
			assert_int_equal(e.mode, 0640);
		}
		assert_int_equal(oci_tar_next(tar, &e, NULL), 0);
	}
}

static void data_begins_at_the_position_after_the_header(void **state)
{
	static const int formats[] = { ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FORMAT_TAR_GNUTAR,
		ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, ARCHIVE_FORMAT_TAR_PAX_RESTRICTED };
	static const char *const names[] = { "a", "ein-Füßchen", LONG_NAME };

	for (size_t i = 0; i < 4; i++) {
		struct drip d; /* outlives the tar */
		OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
		OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = NULL;
		struct oci_tar_entry e;
		write_with(formats[i], names, 3, &buf);
		tar = open_buf(&d, &buf);
		for (size_t k = 0; k < 3; k++) {
			assert_int_equal(oci_tar_next(tar, &e, NULL), 1);
			assert_memory_equal(buf.data + oci_tar_position(tar), "data\0", 5);
			assert_int_equal(oci_tar_position(tar) % OCI_TAR_BLOCK, 0);
		}
	}
}

static void assert_path(const struct oci_buf *buf, const char *path)
{
	struct drip d; /* outlives the tar */
	OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = NULL;
	struct oci_tar_entry e;

	tar = open_buf(&d, buf);
	assert_int_equal(oci_tar_next(tar, &e, NULL), 1);
	assert_string_equal(e.path, path);
}

static void assert_names_keep_their_bytes(void)
{
	/* Decomposed, compatibility and supplementary characters. */
	static const char *const names[] = { "cafe\xcc\x81", "\xe2\x84\xaa", "\xcd\xbe", "\xe1\xbf\xaf",
		"日本", "\xf0\x9f\x9a\x97" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf plain, pax;
		oci_buf_init(&plain, ARCHIVE_MAX);
		oci_buf_init(&pax, ARCHIVE_MAX);
		add_raw(&plain, &(struct raw){ .name = names[i], .type = '0' });
		add_pax_path(&pax, names[i]);
		add_raw(&pax, &(struct raw){ .name = "other", .type = '0' });
		assert_path(&plain, names[i]);
		assert_path(&pax, names[i]);
	}
}

static void names_keep_their_bytes_in_every_locale(void **state)
{
	assert_names_keep_their_bytes();
	assert_non_null(setlocale(LC_ALL, "C.UTF-8"));
	assert_names_keep_their_bytes();
	assert_non_null(setlocale(LC_ALL, "C"));
}

static void dots_and_slashes_around_a_name_are_removed(void **state)
{
	static const char *const names[][2] = { { "./a", "a" }, { "/a", "a" }, { "//./a/b", "a/b" },
		{ "./a/", "a" }, { "a//", "a" }, { ".a", ".a" }, { "..a", "..a" }, { "a./b", "a./b" } };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
		oci_buf_init(&buf, ARCHIVE_MAX);
		add_raw(&buf, &(struct raw){ .name = names[i][0], .type = '5' });
		assert_path(&buf, names[i][1]);
	}
}

static void root_directory_is_not_reported(void **state)
{
	static const char *const roots[] = { ".", "./", "/", "./." };
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, ARCHIVE_MAX);
	for (size_t i = 0; i < 4; i++)
		add_raw(&buf, &(struct raw){ .name = roots[i], .type = '5' });
	add_raw(&buf, &(struct raw){ .name = "./a", .type = '0' });
	assert_path(&buf, "a");
}

static void links_come_with_their_targets(void **state)
{
	struct drip d; /* outlives the tar */
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = NULL;
	struct oci_tar_entry e;
	const void *data;
	size_t len;

	oci_buf_init(&buf, ARCHIVE_MAX);
	add_raw(&buf, &(struct raw){ .name = "soft", .type = '2', .link = "../../etc/./passwd" });
	add_raw(&buf, &(struct raw){ .name = "hard", .type = '1', .link = "./models/a" });
	add_end(&buf);
	tar = open_buf(&d, &buf);
	assert_int_equal(oci_tar_next(tar, &e, NULL), 1);
	assert_int_equal(e.type, OCI_TAR_SYMLINK);
	assert_string_equal(e.link, "../../etc/./passwd");
	assert_int_equal(e.size_bytes, 0);
	assert_int_equal(oci_tar_next(tar, &e, NULL), 1);
	assert_int_equal(e.type, OCI_TAR_HARDLINK);
	assert_string_equal(e.link, "models/a");
	assert_int_equal(oci_tar_read(tar, &data, &len, NULL), 0);
	assert_int_equal(len, 0);
	assert_int_equal(oci_tar_next(tar, &e, NULL), 0);
}

static void mode_comes_with_its_special_bits_and_no_others(void **state)
{
	struct drip d; /* outlives the tar */
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = NULL;
	struct oci_tar_entry e;

	oci_buf_init(&buf, ARCHIVE_MAX);
	add_raw(&buf, &(struct raw){ .name = "a", .type = '0', .mode = 0107755 });
	tar = open_buf(&d, &buf);
	assert_int_equal(oci_tar_next(tar, &e, NULL), 1);
	assert_int_equal(e.mode, 07755);
}

static void close_accepts_null(void **state)
{
	struct oci_tar *none = NULL;

	oci_tar_close(none);
	oci_tar_cleanup(&none);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_own_tar_comes_back),
		cmocka_unit_test(data_that_nobody_reads_is_skipped),
		cmocka_unit_test(input_is_read_to_its_end_after_the_last_member),
		cmocka_unit_test(failure_after_the_last_member_is_a_failure),
		cmocka_unit_test(nothing_and_zero_blocks_are_empty_tars),
		cmocka_unit_test(every_cut_in_a_header_or_in_data_is_refused),
		cmocka_unit_test(failure_of_the_input_wins_wherever_it_happens),
		cmocka_unit_test(tars_of_every_dialect_are_read),
		cmocka_unit_test(data_begins_at_the_position_after_the_header),
		cmocka_unit_test(names_keep_their_bytes_in_every_locale),
		cmocka_unit_test(dots_and_slashes_around_a_name_are_removed),
		cmocka_unit_test(root_directory_is_not_reported),
		cmocka_unit_test(links_come_with_their_targets),
		cmocka_unit_test(mode_comes_with_its_special_bits_and_no_others),
		cmocka_unit_test(close_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
