#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "stream/tar.h"

#define NAME_MAX_BYTES 4000
#define GIB UINT64_C(1073741824)

/* "models/", then components of 200 bytes, `len` bytes in all. */
static const char *name_of(size_t len, char out[NAME_MAX_BYTES + 1])
{
	memset(out, 'n', len);
	memcpy(out, "models/", 7);
	for (size_t i = 207; i + 1 < len; i += 201)
		out[i] = '/';
	out[len] = '\0';
	return out;
}

static void add(struct oci_buf *out, const char *path, uint64_t size_bytes)
{
	enum oci_tar_type type = oci_str_ends(path, "/") ? OCI_TAR_DIR : OCI_TAR_FILE;

	assert_int_equal(oci_tar_add_header(out, path, type, size_bytes, NULL), 0);
}

/* libarchive's opinion of one member without its data. */
static void assert_member(struct archive *a, const char *path, mode_t mode, uint64_t size_bytes)
{
	struct archive_entry *e;

	assert_int_equal(archive_read_next_header(a, &e), ARCHIVE_OK);
	assert_string_equal(archive_entry_pathname(e), path);
	assert_int_equal(archive_entry_mode(e), mode);
	assert_int_equal(archive_entry_size(e), size_bytes);
	assert_int_equal(archive_entry_uid(e), 0);
	assert_int_equal(archive_entry_gid(e), 0);
	assert_int_equal(archive_entry_mtime(e), 0);
	assert_string_equal(archive_entry_uname(e), "");
	assert_string_equal(archive_entry_gname(e), "");
	assert_int_equal(archive_format(a), ARCHIVE_FORMAT_TAR_GNUTAR);
}

static struct archive *open_tar(const struct oci_buf *tar)
{
	struct archive *a = archive_read_new();

	assert_int_equal(archive_read_support_format_tar(a), ARCHIVE_OK);
	assert_int_equal(archive_read_open_memory(a, tar->data, tar->len), ARCHIVE_OK);
	return a;
}

static void libarchive_reads_names_of_any_length(void **state)
{
	static const size_t lengths[] = { 8, 99, 100, 101, 207, 208, 255, 256, 511, 512, 513, 4000 };
	OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;
	char name[NAME_MAX_BYTES + 1];

	oci_buf_init(&tar, OCI_MIB);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
		add(&tar, name_of(lengths[i], name), 0);
	assert_int_equal(oci_buf_append_zeros(&tar, OCI_TAR_END_BYTES, NULL), 0);

	struct archive *a = open_tar(&tar);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
		assert_member(a, name_of(lengths[i], name), AE_IFREG | 0664, 0);
	struct archive_entry *e;
	assert_int_equal(archive_read_next_header(a, &e), ARCHIVE_EOF);
	archive_read_free(a);
}

static void libarchive_reads_utf8_names_and_directories(void **state)
{
	static const char *const names[] = { "models/", "models/Füße/日本/",
		"models/Füße/日本/重み.safetensors", "models/cafe\xcc\x81/" };
	OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;

	oci_buf_init(&tar, OCI_MIB);
	for (size_t i = 0; i < 4; i++)
		add(&tar, names[i], 0);

	struct archive *a = open_tar(&tar);
	for (size_t i = 0; i < 4; i++)
		assert_member(a, names[i], i == 2 ? AE_IFREG | 0664 : AE_IFDIR | 0775, 0);
	archive_read_free(a);
}

static void libarchive_reads_sizes_up_to_the_largest(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 8 * GIB - 1, 8 * GIB, 12 * GIB, INT64_MAX - 1 };

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;
		oci_buf_init(&tar, OCI_MIB);
		add(&tar, "models/big", sizes[i]);
		struct archive *a = open_tar(&tar);
		assert_member(a, "models/big", AE_IFREG | 0664, sizes[i]);
		archive_read_free(a);
	}
}

static void size_is_octal_below_8_gib_and_base_256_from_there_on(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;

	oci_buf_init(&tar, OCI_MIB);
	add(&tar, "a", 8 * GIB - 1);
	add(&tar, "a", 8 * GIB);
	assert_memory_equal(tar.data + 124, "77777777777", 12);
	assert_memory_equal(tar.data + OCI_TAR_BLOCK + 124, "\x80\0\0\0\0\0\0\x02\0\0\0\0", 12);
}

static void cut_name_does_not_end_in_a_slash(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;
	char name[NAME_MAX_BYTES + 1];

	name_of(110, name);
	name[99] = '/';
	oci_buf_init(&tar, OCI_MIB);
	add(&tar, name, 0);
	const char *cut = tar.data + 2 * OCI_TAR_BLOCK;
	assert_memory_equal(cut, name, 99);
	assert_int_equal(cut[99], 0);
}

static void header_bytes_says_what_add_header_appends(void **state)
{
	char name[NAME_MAX_BYTES + 1];

	for (size_t len = 8; len <= 1200; len++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;
		oci_buf_init(&tar, OCI_MIB);
		add(&tar, name_of(len, name), 0);
		assert_int_equal(tar.len, oci_tar_header_bytes(name));
		assert_int_equal(tar.len % OCI_TAR_BLOCK, 0);
	}
}

static void padding_completes_the_last_block(void **state)
{
	assert_int_equal(oci_tar_padding(0), 0);
	assert_int_equal(oci_tar_padding(1), 511);
	assert_int_equal(oci_tar_padding(511), 1);
	assert_int_equal(oci_tar_padding(512), 0);
	assert_int_equal(oci_tar_padding(8 * GIB + 1), 511);
}

static void add_header_refuses_what_is_not_written(void **state)
{
	static const struct {
		const char *path;
		enum oci_tar_type type;
		uint64_t size_bytes;
		enum oci_errc code;
	} cases[] = {
		{ "models/a", OCI_TAR_SYMLINK, 0, OCI_E_BUG },
		{ "models/a", OCI_TAR_HARDLINK, 0, OCI_E_BUG },
		{ "models/a", OCI_TAR_DIR, 0, OCI_E_BUG },
		{ "models/a/", OCI_TAR_FILE, 0, OCI_E_BUG },
		{ "models/a/", OCI_TAR_DIR, 1, OCI_E_BUG },
		{ "", OCI_TAR_FILE, 0, OCI_E_BUG },
		{ "models/a", OCI_TAR_FILE, UINT64_C(1) << 63, OCI_E_UNSUPPORTED },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;
		struct oci_error err = { 0 };
		oci_buf_init(&tar, OCI_MIB);
		int result = oci_tar_add_header(&tar, cases[i].path, cases[i].type, cases[i].size_bytes, &err);
		assert_int_equal(result, -1);
		assert_int_equal(err.code, cases[i].code);
		assert_int_equal(tar.len, 0);
	}
}

static void add_header_keeps_to_the_buffer_s_maximum(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;
	struct oci_error err = { 0 };
	char name[NAME_MAX_BYTES + 1];

	oci_buf_init(&tar, 2 * OCI_TAR_BLOCK);
	assert_int_equal(oci_tar_add_header(&tar, name_of(101, name), OCI_TAR_FILE, 0, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
}

/* A tar of holes: headers with data that takes no memory. */
static void put_sparse(int fd, const char *path, uint64_t size_bytes)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf header;
	uint64_t size = size_bytes + oci_tar_padding(size_bytes);

	oci_buf_init(&header, OCI_MIB);
	add(&header, path, size_bytes);
	assert_int_equal(write(fd, header.data, header.len), header.len);
	off_t end = lseek(fd, size, SEEK_CUR);
	assert_true(end > 0);
	assert_int_equal(ftruncate(fd, end), 0);
}

/* What `tar tvf` says of a file: all it prints, NULL when there is no tar. */
static void list_with_tar(int tar, struct oci_buf *out)
{
	int to[2];
	char chunk[512];
	ssize_t n;
	int status;

	assert_int_equal(pipe(to), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(tar, 0);
		dup2(to[1], 1);
		setenv("LC_ALL", "C.UTF-8", 1);
		setenv("TZ", "UTC", 1);
		execlp("tar", "tar", "--seek", "-tvf", "/proc/self/fd/0", (char *)NULL);
		_exit(127);
	}
	close(to[1]);
	while ((n = read(to[0], chunk, sizeof chunk)) > 0)
		assert_int_equal(oci_buf_append(out, chunk, n, NULL), 0);
	close(to[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		skip();
	assert_int_equal(status, 0);
}

static void gnu_tar_lists_what_was_written(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf want, got;
	oci_autoclose int fd = memfd_create("tar", MFD_CLOEXEC);
	static const uint64_t sizes[] = { 0, 513, 8 * GIB - 1, 8 * GIB, 12 * GIB };
	static const size_t lengths[] = { 100, 101, 255, 256, NAME_MAX_BYTES };
	char name[NAME_MAX_BYTES + 1];

	assert_true(fd >= 0);
	oci_buf_init(&want, OCI_MIB);
	oci_buf_init(&got, OCI_MIB);
	put_sparse(fd, "models/日本/", 0);
	oci_buf_printf(&want, NULL, "drwxrwxr-x 0/0 %15d 1970-01-01 00:00 models/日本/\n", 0);
	for (size_t i = 0; i < 5; i++) {
		put_sparse(fd, name_of(lengths[i], name), sizes[i]);
		oci_buf_printf(&want, NULL, "-rw-rw-r-- 0/0 %15llu 1970-01-01 00:00 %s\n",
			(unsigned long long)sizes[i], name);
	}
	off_t end = lseek(fd, 0, SEEK_CUR);
	assert_int_equal(ftruncate(fd, end + OCI_TAR_END_BYTES), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);

	list_with_tar(fd, &got);
	assert_string_equal(oci_buf_text(&got), oci_buf_text(&want));
}

#define GOLDEN_LINE_BYTES 16

/* The bytes below a heading of spec/tar.md: "<offset> <32 hex digits>" a line
 * within a fence, lines of zeros left out. Returns how many lines there were. */
static size_t read_golden(const char *heading, unsigned char *out, size_t size)
{
	const char *assets = getenv("MODELCAR_ASSETS");
	oci_autofree char *path = NULL;
	char line[256];
	size_t lines = 0;
	int fences = 0;

	assert_non_null(assets);
	assert_non_null(path = oci_str_printf("%s/../../spec/tar.md", assets));
	FILE *page = fopen(path, "re");
	assert_non_null(page);
	memset(out, 0, size);
	while (fgets(line, sizeof line, page) != NULL && strncmp(line, heading, strlen(heading)) != 0)
		continue;
	while (fences < 2 && fgets(line, sizeof line, page) != NULL) {
		char hex[2 * GOLDEN_LINE_BYTES + 1];
		unsigned offset;
		if (oci_str_starts(line, "```")) {
			fences++;
		} else if (fences == 1) {
			assert_int_equal(sscanf(line, "%4x %32s", &offset, hex), 2);
			assert_true(offset + GOLDEN_LINE_BYTES <= size);
			assert_true(oci_str_unhex(hex, out + offset, GOLDEN_LINE_BYTES));
			lines++;
		}
	}
	fclose(page);
	return lines;
}

static void assert_golden(const char *heading, const char *path, uint64_t size_bytes)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;
	unsigned char golden[4 * OCI_TAR_BLOCK];

	oci_buf_init(&tar, sizeof golden);
	add(&tar, path, size_bytes);
	assert_true(read_golden(heading, golden, sizeof golden) > 0);
	assert_memory_equal(tar.data, golden, tar.len);
}

static void bytes_are_those_of_the_specification(void **state)
{
	assert_golden("### A directory", "models/", 0);
	assert_golden("### A file", "models/config.json", 1234);
	assert_golden("### A name of more than 100 bytes",
		"models/a-directory-with-a-name-of-forty-two-bytes/"
		"another-directory-of-forty-two-bytes-is-it/model.safetensors", 4096);
	assert_golden("### A file of more than 8 GiB", "models/model.safetensors", 12884901889);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libarchive_reads_names_of_any_length),
		cmocka_unit_test(libarchive_reads_utf8_names_and_directories),
		cmocka_unit_test(libarchive_reads_sizes_up_to_the_largest),
		cmocka_unit_test(size_is_octal_below_8_gib_and_base_256_from_there_on),
		cmocka_unit_test(cut_name_does_not_end_in_a_slash),
		cmocka_unit_test(header_bytes_says_what_add_header_appends),
		cmocka_unit_test(padding_completes_the_last_block),
		cmocka_unit_test(add_header_refuses_what_is_not_written),
		cmocka_unit_test(add_header_keeps_to_the_buffer_s_maximum),
		cmocka_unit_test(gnu_tar_lists_what_was_written),
		cmocka_unit_test(bytes_are_those_of_the_specification),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
