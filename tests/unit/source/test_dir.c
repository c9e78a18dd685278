#include "dir_fixture.h"

#include "base/cleanup.h"

static void dir_lists_regular_files_sorted_by_path_bytes(void **state)
{
	struct oci_dir dir = {0};

	make_dir("m/a");
	make_file("m/a/x", "1");
	make_file("m/a.b", "22");
	make_file("m/B", "");
	make_dir("m/empty");
	scan("m", NULL, &dir);
	assert_files(&dir, "B a.b a/x");
	assert_int_equal(dir.files[1].size_bytes, 2);
	assert_content(&dir, "a/x", "1");
	oci_dir_clear(&dir);
}

static void dir_tells_absent_from_not_a_directory_from_empty(void **state)
{
	make_file("file", "");
	assert_refused("absent", OCI_E_NOT_FOUND, "absent");
	assert_refused("file", OCI_E_USAGE, "file");
	assert_refused("m", OCI_E_SOURCE, "no file");
}

static void dir_refuses_what_is_no_file(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "m/socket"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	make_file("m/f", "x");
	assert_int_equal(mkfifo("m/fifo", 0666), 0);
	assert_refused("m", OCI_E_SOURCE, "'fifo' is a fifo");
	make_link("fifo", "m/a-link");
	assert_refused("m", OCI_E_SOURCE, "'a-link' is a fifo");
	unlink("m/a-link");
	unlink("m/fifo");
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_refused("m", OCI_E_SOURCE, "'socket' is a socket");
	close(fd);
	unlink("m/socket");
	if (mknod("m/null", S_IFCHR | 0666, makedev(1, 3)) == 0)
		assert_refused("m", OCI_E_SOURCE, "'null' is a device");
}

static void dir_refuses_names_an_image_cannot_hold(void **state)
{
	static const char *const names[][2] = {{"m/.wh.model", "deletion"}, {"m/.wh..wh..opq", "deletion"},
		{"m/bad\xff", "UTF-8"}, {"m/new\nline", "control"}, {"m/\xc2\x9b", "control"}};

	make_file("m/good", "x");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		make_file(names[i][0], "x");
		assert_refused("m", OCI_E_SOURCE, names[i][1]);
		unlink(names[i][0]);
	}
	make_dir("m/.wh.d");
	assert_refused("m", OCI_E_SOURCE, "deletion");
}

static void dir_refuses_what_it_may_not_read(void **state)
{
	if (geteuid() == 0)
		skip();
	make_file("m/f", "x");
	make_file("m/locked", "x");
	assert_int_equal(chmod("m/locked", 0), 0);
	assert_refused("m", OCI_E_SOURCE, "'locked'");
	unlink("m/locked");
	make_dir("m/d");
	assert_int_equal(chmod("m/d", 0), 0);
	assert_refused("m", OCI_E_SOURCE, "d");
	assert_int_equal(chmod("m/d", 0777), 0);
}

static bool has_skipped(const struct oci_dir *dir, const char *path, const char *why)
{
	for (size_t i = 0; i < dir->skipped_count; i++) {
		if (!strcmp(dir->skipped[i].path, path) && !strcmp(dir->skipped[i].why, why))
			return true;
	}
	return false;
}

static void dir_leaves_out_rubbish_and_its_own_state(void **state)
{
	struct oci_dir_options all = {.no_default_excludes = true};
	struct oci_dir dir = {0};

	make_dir("m/.git");
	make_file("m/.git/HEAD", "x");
	make_dir("m/sub");
	make_dir("m/sub/__pycache__");
	make_file("m/sub/__pycache__/a.pyc", "x");
	make_file("m/sub/.modelcar.json", "x");
	make_file("m/.modelcar.json", "x");
	make_file("m/notes.txt~", "x");
	make_file("m/model.bin", "x");
	assert_int_equal(mkfifo("m/.git/fifo", 0666), 0);
	scan("m", NULL, &dir);
	assert_files(&dir, "model.bin sub/.modelcar.json");
	assert_true(has_skipped(&dir, ".git", "default: .git"));
	assert_true(has_skipped(&dir, "sub/__pycache__", "default: __pycache__"));
	assert_true(has_skipped(&dir, "notes.txt~", "default: *~"));
	assert_true(has_skipped(&dir, ".modelcar.json", "own state"));
	assert_int_equal(dir.skipped_count, 4);
	oci_dir_clear(&dir);

	unlink("m/.git/fifo");
	scan("m", &all, &dir);
	assert_files(&dir, ".git/HEAD model.bin notes.txt~ sub/.modelcar.json sub/__pycache__/a.pyc");
	oci_dir_clear(&dir);
}

static void dir_obeys_include_and_exclude(void **state)
{
	struct oci_strings include = {0}, exclude = {0};
	struct oci_dir_options options = {.include = &include, .exclude = &exclude};
	struct oci_dir dir = {0};

	make_dir("m/onnx");
	make_dir("m/keep");
	make_file("m/a.safetensors", "x");
	make_file("m/b.bin", "x");
	make_file("m/keep/c.safetensors", "x");
	make_file("m/onnx/d.safetensors", "x");
	make_link("nowhere", "m/broken.txt");
	assert_int_equal(mkfifo("m/pipe", 0666), 0);
	oci_strings_add(&include, "*.safetensors", NULL);
	oci_strings_add(&exclude, "onnx/", NULL);
	scan("m", &options, &dir);
	assert_files(&dir, "a.safetensors keep/c.safetensors");
	assert_true(has_skipped(&dir, "onnx", "onnx/"));
	assert_int_equal(dir.skipped_count, 1);
	oci_dir_clear(&dir);

	oci_strings_add(&exclude, "**", NULL);
	struct oci_error err = {0};
	assert_int_equal(oci_dir_scan("m", &options, &dir, &err), -1);
	assert_int_equal(err.code, OCI_E_SOURCE);
	oci_strings_clear(&include);
	oci_strings_clear(&exclude);
}

static void assert_changed_before_open(void (*change)(void))
{
	struct oci_dir dir = {0};
	struct oci_error err = {0};

	make_file("m/f", "before");
	scan("m", NULL, &dir);
	change();
	assert_int_equal(oci_dir_open_file(&dir, 0, &err), -1);
	assert_int_equal(err.code, OCI_E_SOURCE);
	assert_non_null(strstr(err.text, "'f'"));
	oci_dir_clear(&dir);
	unlink("m/f");
}

static void change_size(void)
{
	make_file("m/f", "before and after");
}

static void shrink(void)
{
	assert_int_equal(truncate("m/f", 3), 0);
}

static void change_mtime(void)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
	assert_int_equal(utimensat(AT_FDCWD, "m/f", times, 0), 0);
}

static void replace_inode(void)
{
	make_file("new", "before");
	assert_int_equal(rename("new", "m/f"), 0);
}

static void remove_it(void)
{
	unlink("m/f");
}

static void replace_by_fifo(void)
{
	unlink("m/f");
	assert_int_equal(mkfifo("m/f", 0666), 0);
}

static void replace_by_link_out(void)
{
	make_file("outside", "before");
	unlink("m/f");
	make_link("../outside", "m/f");
}

static void dir_refuses_to_open_a_file_that_is_another(void **state)
{
	assert_changed_before_open(change_size);
	assert_changed_before_open(shrink);
	assert_changed_before_open(change_mtime);
	assert_changed_before_open(replace_inode);
	assert_changed_before_open(remove_it);
	assert_changed_before_open(replace_by_fifo);
	assert_changed_before_open(replace_by_link_out);
}

static void assert_changed_while_read(void (*change)(void))
{
	struct oci_dir dir = {0};
	struct oci_error err = {0};

	make_file("m/f", "before");
	scan("m", NULL, &dir);
	int fd = oci_dir_open_file(&dir, 0, NULL);
	assert_true(fd >= 0);
	assert_int_equal(oci_dir_check(&dir, 0, fd, NULL), 0);
	change();
	assert_int_equal(oci_dir_check(&dir, 0, fd, &err), -1);
	assert_int_equal(err.code, OCI_E_SOURCE);
	assert_non_null(strstr(err.text, "'f' changed while it was read"));
	close(fd);
	oci_dir_clear(&dir);
	unlink("m/f");
}

static void dir_sees_that_a_file_changed_while_it_was_read(void **state)
{
	assert_changed_while_read(change_size);
	assert_changed_while_read(shrink);
	assert_changed_while_read(change_mtime);
}

static bool is_b(const void *ctx, const char *path)
{
	return strcmp(path, ctx) == 0;
}

static void dir_takes_only_what_it_is_told(void **state)
{
	struct oci_dir_options options = {.only = is_b, .only_ctx = ".cache/b"};
	struct oci_dir dir = {0};

	make_file("m/a", "x");
	make_dir("m/.cache");
	make_file("m/.cache/b", "x");
	make_link("nowhere", "m/broken");
	scan("m", &options, &dir);
	assert_files(&dir, ".cache/b");
	oci_dir_clear(&dir);
}

static void dir_does_not_take_a_link_for_a_change(void **state)
{
	struct oci_dir dir = {0};

	make_file("m/f", "before");
	scan("m", NULL, &dir);
	assert_int_equal(link("m/f", "twin"), 0);
	oci_autoclose int fd = oci_dir_open_file(&dir, 0, NULL);
	assert_true(fd >= 0);
	assert_int_equal(oci_dir_check(&dir, 0, fd, NULL), 0);
	change_mtime();
	assert_int_equal(oci_dir_check(&dir, 0, fd, NULL), -1);
	oci_dir_clear(&dir);
}

static void assert_compared(void (*change)(void), const char *said)
{
	struct oci_dir before = {0}, now = {0};
	struct oci_error err = {0};

	make_file("m/f", "before");
	make_file("m/z", "z");
	scan("m", NULL, &before);
	if (change)
		change();
	scan("m", NULL, &now);
	assert_int_equal(oci_dir_compare(&before, &now, &err), change ? -1 : 0);
	assert_true(!change || err.code == OCI_E_SOURCE);
	if (said && !strstr(err.text, said))
		fail_msg("'%s' is not in '%s'", said, err.text);
	oci_dir_clear(&before);
	oci_dir_clear(&now);
	unlink("m/f");
}

static void add_file(void)
{
	make_file("m/g", "x");
}

static void add_last_file(void)
{
	unlink("m/g");
	make_file("m/zz", "x");
}

static void remove_last(void)
{
	unlink("m/zz");
}

static void dir_compare_names_the_first_that_differs(void **state)
{
	assert_compared(NULL, NULL);
	assert_compared(change_size, "'f' changed");
	assert_compared(replace_inode, "'f' changed");
	assert_compared(remove_it, "'f' changed while the directory was read: it is gone");
	assert_compared(add_file, "'g' changed while the directory was read: it is new");
	assert_compared(add_last_file, "'g' changed while the directory was read: it is gone");
	assert_compared(remove_last, "'zz' changed while the directory was read: it is gone");
}

static void dir_clear_takes_a_zeroed_struct(void **state)
{
	struct oci_dir dir = {0};

	int stdin_flags = fcntl(0, F_GETFD);
	oci_dir_clear(&dir);
	assert_int_equal(fcntl(0, F_GETFD), stdin_flags);
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(dir_lists_regular_files_sorted_by_path_bytes),
		TEST(dir_tells_absent_from_not_a_directory_from_empty),
		TEST(dir_refuses_what_is_no_file),
		TEST(dir_refuses_names_an_image_cannot_hold),
		TEST(dir_refuses_what_it_may_not_read),
		TEST(dir_leaves_out_rubbish_and_its_own_state),
		TEST(dir_obeys_include_and_exclude),
		TEST(dir_refuses_to_open_a_file_that_is_another),
		TEST(dir_sees_that_a_file_changed_while_it_was_read),
		TEST(dir_takes_only_what_it_is_told),
		TEST(dir_does_not_take_a_link_for_a_change),
		TEST(dir_compare_names_the_first_that_differs),
		TEST(dir_clear_takes_a_zeroed_struct),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
