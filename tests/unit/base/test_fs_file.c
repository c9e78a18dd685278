#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "temp_dir.h"

static void assert_content(int dir, const char *path, const char *want)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, OCI_MIB);
	assert_int_equal(oci_fs_read_file(dir, path, &buf, NULL), 0);
	assert_string_equal(oci_buf_text(&buf), want);
}

static int count_entry(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	++*(unsigned *)ctx;
	return 0;
}

static unsigned entries(void **state)
{
	unsigned count = 0;

	assert_int_equal(oci_fs_walk(temp_dir_fd(state), count_entry, &count, NULL), 0);
	return count;
}

static void a_temporary_name_is_prefix_hex_and_suffix(void **state)
{
	unsigned char bytes[8];
	char one[32], two[32], hex[17];

	assert_int_equal(oci_fs_temp_name(".blob", ".part", one, sizeof one, NULL), 0);
	assert_int_equal(oci_fs_temp_name(".blob", ".part", two, sizeof two, NULL), 0);
	assert_int_equal(strlen(one), 5 + 1 + 16 + 5);
	assert_true(oci_str_starts(one, ".blob."));
	assert_true(oci_str_ends(one, ".part"));
	memcpy(hex, one + 6, 16);
	hex[16] = '\0';
	assert_true(oci_str_unhex(hex, bytes, sizeof bytes));
	assert_string_not_equal(one, two);
}

static void a_temporary_name_must_fit(void **state)
{
	struct oci_error err = {0};
	char name[23];

	assert_int_equal(oci_fs_temp_name("p", ".part", name, sizeof name, &err), -1);
	assert_int_equal(err.code, OCI_E_BUG);
	assert_int_equal(oci_fs_temp_name("p", ".par", name, sizeof name, NULL), 0);
}

static void read_file_appends_up_to_the_maximum(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_error err = {0};

	put_file(temp_dir_fd(state), "a", "12345");
	oci_buf_init(&buf, 10);
	assert_int_equal(oci_fs_read_file(temp_dir_fd(state), "a", &buf, &err), 0);
	assert_int_equal(oci_fs_read_file(temp_dir_fd(state), "a", &buf, &err), 0);
	assert_string_equal(oci_buf_text(&buf), "1234512345");
	assert_int_equal(oci_fs_read_file(temp_dir_fd(state), "a", &buf, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
	assert_string_equal(err.text, "file 'a': more than the 10 bytes that are allowed here");
}

static void read_file_takes_files_larger_than_one_step(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf out;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf in;

	oci_buf_init(&in, OCI_MIB);
	oci_buf_init(&out, OCI_MIB);
	for (int i = 0; i < 30000; i++)
		assert_int_equal(oci_buf_printf(&in, NULL, "%d,", i), 0);
	assert_int_equal(oci_fs_write_file(temp_dir_fd(state), "a", in.data, in.len, 0600, false, NULL), 0);
	assert_int_equal(oci_fs_read_file(temp_dir_fd(state), "a", &out, NULL), 0);
	assert_int_equal(out.len, in.len);
	assert_memory_equal(out.data, in.data, in.len);
}

static void read_file_takes_only_files(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	int dir = temp_dir_fd(state);
	static const char *const paths[] = {"none", "dir", "fifo", "link", "../passwd", "/etc/passwd"};

	put_dir(dir, "dir");
	put_file(dir, "file", "x");
	put_link(dir, "link", "file");
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	oci_buf_init(&buf, OCI_MIB);
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		struct oci_error err = {0};

		assert_int_equal(oci_fs_read_file(dir, paths[i], &buf, &err), -1);
		assert_int_not_equal(err.code, OCI_OK);
		assert_int_equal(buf.len, 0);
	}
}

static void write_file_makes_and_replaces(void **state)
{
	int dir = temp_dir_fd(state);

	put_dir(dir, "sub");
	assert_int_equal(oci_fs_write_file(dir, "a", "one", 3, 0600, true, NULL), 0);
	assert_content(dir, "a", "one");
	assert_int_equal(oci_fs_write_file(dir, "a", "2", 1, 0600, false, NULL), 0);
	assert_content(dir, "a", "2");
	assert_int_equal(oci_fs_write_file(dir, "sub/b", "", 0, 0600, true, NULL), 0);
	assert_content(dir, "sub/b", "");
	assert_int_equal(entries(state), 3);
}

static void write_file_sets_the_exact_mode(void **state)
{
	mode_t old = umask(077);
	struct stat st;

	assert_int_equal(oci_fs_write_file(temp_dir_fd(state), "a", "x", 1, 0664, false, NULL), 0);
	umask(old);
	assert_int_equal(fstatat(temp_dir_fd(state), "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0664);
}

static void write_file_replaces_a_link_and_not_its_target(void **state)
{
	int dir = temp_dir_fd(state);
	struct stat st;

	put_file(dir, "target", "old");
	put_link(dir, "a", "target");
	assert_int_equal(oci_fs_write_file(dir, "a", "new", 3, 0600, false, NULL), 0);
	assert_content(dir, "target", "old");
	assert_int_equal(fstatat(dir, "a", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void write_file_leaves_nothing_behind_when_it_cannot_rename(void **state)
{
	struct oci_error err = {0};

	put_dir(temp_dir_fd(state), "a");
	assert_int_equal(oci_fs_write_file(temp_dir_fd(state), "a", "x", 1, 0600, false, &err), -1);
	assert_int_equal(err.sys, EISDIR);
	assert_int_equal(entries(state), 1);
	assert_int_equal(oci_fs_write_file(temp_dir_fd(state), "no/a", "x", 1, 0600, false, NULL), -1);
	assert_int_equal(oci_fs_write_file(temp_dir_fd(state), "../a", "x", 1, 0600, false, NULL), -1);
	assert_int_equal(entries(state), 1);
}

/* A limit on the size of files acts as a disk that is full. */
static void with_little_room(rlim_t bytes, struct rlimit *old)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, old), 0);
	limit = *old;
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void write_file_keeps_the_old_content_when_there_is_no_room(void **state)
{
	static const char data[10000];
	struct oci_error err = {0};
	struct rlimit old;
	int result;

	put_file(temp_dir_fd(state), "a", "old");
	with_little_room(4096, &old);
	result = oci_fs_write_file(temp_dir_fd(state), "a", data, sizeof data, 0600, true, &err);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(result, -1);
	assert_int_equal(err.code, OCI_E_NOSPACE);
	assert_string_equal(err.text, "file 'a': write failed: File too large");
	assert_content(temp_dir_fd(state), "a", "old");
	assert_int_equal(entries(state), 1);
}

static void pwrite_all_reports_no_room(void **state)
{
	static const char data[10000];
	struct oci_error err = {0};
	struct rlimit old;
	oci_autoclose int fd = openat(temp_dir_fd(state), "a", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int result;

	with_little_room(4096, &old);
	result = oci_fs_pwrite_all(fd, data, sizeof data, 0, &err);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(result, -1);
	assert_int_equal(err.code, OCI_E_NOSPACE);
}

static void write_all_and_pwrite_all_write_where_they_should(void **state)
{
	oci_autoclose int fd = openat(temp_dir_fd(state), "a", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(oci_fs_write_all(fd, "abcdef", 6, NULL), 0);
	assert_int_equal(oci_fs_pwrite_all(fd, "XY", 2, 2, NULL), 0);
	assert_int_equal(oci_fs_pwrite_all(fd, "", 0, 100, NULL), 0);
	assert_int_equal(oci_fs_write_all(fd, "g", 1, NULL), 0);
	assert_content(temp_dir_fd(state), "a", "abXYefg");
	assert_int_equal(oci_fs_pwrite_all(fd, "x", 1, UINT64_MAX, NULL), -1);
}

static void write_all_passes_a_full_pipe(void **state)
{
	oci_autofree char *data = calloc(1, 300000);
	int ends[2];
	int status;
	pid_t child;
	char sink[4096];
	size_t total = 0;
	ssize_t got;

	assert_non_null(data);
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		_exit(oci_fs_write_all(ends[1], data, 300000, NULL) == 0 ? 0 : 1);
	}
	close(ends[1]);
	while ((got = read(ends[0], sink, sizeof sink)) > 0)
		total += (size_t)got;
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(total, 300000);
}

static void writing_to_a_closed_descriptor_fails(void **state)
{
	struct oci_error err = {0}, perr = {0}, rerr = {0}, serr = {0};
	char byte;

	assert_int_equal(oci_fs_write_all(-1, "x", 1, &err), -1);
	assert_int_equal(err.code, OCI_E_IO);
	assert_int_equal(err.sys, EBADF);
	assert_int_equal(oci_fs_pwrite_all(-1, "x", 1, 0, &perr), -1);
	assert_int_equal(perr.sys, EBADF);
	assert_int_equal(oci_fs_pread_full(-1, &byte, 1, 0, &rerr), -1);
	assert_int_equal(rerr.sys, EBADF);
	assert_int_equal(oci_fs_sync(-1, &serr), -1);
	assert_int_equal(serr.sys, EBADF);
}

static void pread_full_ends_at_the_end_of_the_file(void **state)
{
	oci_autoclose int fd = -1;
	char data[16] = "";

	put_file(temp_dir_fd(state), "a", "0123456789");
	fd = openat(temp_dir_fd(state), "a", O_RDONLY | O_CLOEXEC);
	assert_int_equal(oci_fs_pread_full(fd, data, 4, 3, NULL), 4);
	assert_memory_equal(data, "3456\0", 5);
	assert_int_equal(oci_fs_pread_full(fd, data, sizeof data, 7, NULL), 3);
	assert_memory_equal(data, "789", 3);
	assert_int_equal(oci_fs_pread_full(fd, data, sizeof data, 10, NULL), 0);
	assert_int_equal(oci_fs_pread_full(fd, data, 0, 0, NULL), 0);
}

static void sync_takes_files_directories_and_what_has_none(void **state)
{
	oci_autoclose int fd = openat(temp_dir_fd(state), "a", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int ends[2];

	assert_int_equal(oci_fs_sync(fd, NULL), 0);
	assert_int_equal(oci_fs_sync(temp_dir_fd(state), NULL), 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fsync(ends[0]), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(oci_fs_sync(ends[0], NULL), 0);
	close(ends[0]);
	close(ends[1]);
}

#define test_in_temp_dir(f) cmocka_unit_test_setup_teardown(f, temp_dir_setup, temp_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_temporary_name_is_prefix_hex_and_suffix),
		cmocka_unit_test(a_temporary_name_must_fit),
		test_in_temp_dir(read_file_appends_up_to_the_maximum),
		test_in_temp_dir(read_file_takes_files_larger_than_one_step),
		test_in_temp_dir(read_file_takes_only_files),
		test_in_temp_dir(write_file_makes_and_replaces),
		test_in_temp_dir(write_file_sets_the_exact_mode),
		test_in_temp_dir(write_file_replaces_a_link_and_not_its_target),
		test_in_temp_dir(write_file_leaves_nothing_behind_when_it_cannot_rename),
		test_in_temp_dir(write_file_keeps_the_old_content_when_there_is_no_room),
		test_in_temp_dir(pwrite_all_reports_no_room),
		test_in_temp_dir(write_all_and_pwrite_all_write_where_they_should),
		cmocka_unit_test(write_all_passes_a_full_pipe),
		cmocka_unit_test(writing_to_a_closed_descriptor_fails),
		test_in_temp_dir(pread_full_ends_at_the_end_of_the_file),
		test_in_temp_dir(sync_takes_files_directories_and_what_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
