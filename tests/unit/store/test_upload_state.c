#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "store/upload_state.h"

#define PLAIN "https://reg.example/v2/a/m/blobs/uploads/1234"

struct place {
	char root[32], *dir;
	int fd; /* of root */
	struct oci_digest digest;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof *p);

	snprintf(p->root, sizeof p->root, "/tmp/upload-state-XXXXXX");
	if (!p || !mkdtemp(p->root))
		return -1;
	p->dir = oci_str_printf("%s/deep/state", p->root);
	p->fd = open(p->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	oci_digest_of(OCI_SHA256, "blob", 4, &p->digest);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	oci_fs_remove_tree(AT_FDCWD, p->root, NULL);
	close(p->fd);
	rmdir(p->root);
	free(p->dir);
	free(p);
	return 0;
}

static void open_state(const struct place *p, struct oci_upload_state *upload, const char *repository)
{
	oci_upload_state_open(upload, p->dir, "https://reg.example", repository, &p->digest);
}

/* What the next process would find. */
static char *found(const struct place *p, const char *repository)
{
	struct oci_upload_state upload;
	char *session = NULL;

	open_state(p, &upload, repository);
	assert_int_equal(oci_upload_state_load(&upload, &session, NULL), 0);
	oci_upload_state_close(&upload);
	return session;
}

static void save(const struct place *p, const char *session)
{
	struct oci_upload_state upload;

	open_state(p, &upload, "a/m");
	oci_upload_state_save(&upload, session);
	oci_upload_state_close(&upload);
}

static size_t count_entries(const struct place *p, mode_t *mode)
{
	DIR *list = opendir(p->dir);
	struct dirent *entry;
	size_t count = 0;
	struct stat st;

	assert_non_null(list);
	while ((entry = readdir(list))) {
		if (entry->d_name[0] == '.')
			continue;
		count++;
		assert_int_equal(fstatat(dirfd(list), entry->d_name, &st, 0), 0);
		*mode |= st.st_mode & 07777;
	}
	closedir(list);
	return count;
}

static void the_next_process_finds_the_session(void **state)
{
	oci_autofree char *session = NULL;

	save(*state, PLAIN "?_state=sealed");
	session = found(*state, "a/m");
	assert_string_equal(session, PLAIN "?_state=sealed");
}

static void another_repository_finds_nothing(void **state)
{
	save(*state, PLAIN);
	assert_null(found(*state, "a/other"));
}

static void only_the_owner_may_read_it(void **state)
{
	mode_t mode = 0;

	save(*state, PLAIN);
	count_entries(*state, &mode);
	assert_int_equal(mode, 0600);
}

static void a_signed_address_is_never_written(void **state)
{
	save(*state, PLAIN "?X-Amz-Signature=secret");
	assert_null(found(*state, "a/m"));
	save(*state, PLAIN "?_state=x&sig=secret");
	assert_null(found(*state, "a/m"));
}

static void a_signed_address_removes_what_an_older_one_left(void **state)
{
	save(*state, PLAIN);
	save(*state, PLAIN "?token=secret");
	assert_null(found(*state, "a/m"));
}

static void nothing_is_left_of_a_stored_blob(void **state)
{
	struct oci_upload_state upload;
	mode_t mode = 0;

	open_state(*state, &upload, "a/m");
	oci_upload_state_save(&upload, PLAIN);
	oci_upload_state_remove(&upload);
	oci_upload_state_close(&upload);
	assert_int_equal(count_entries(*state, &mode), 0);
}

static void a_blob_that_is_stored_after_all_is_forgotten(void **state)
{
	const struct place *p = *state;
	mode_t mode = 0;

	oci_upload_state_forget(p->dir, "https://reg.example", "a/m", &p->digest);
	assert_int_equal(access(p->dir, F_OK), -1);
	save(p, PLAIN);
	oci_upload_state_forget(p->dir, "https://reg.example", "a/m", &p->digest);
	assert_int_equal(count_entries(p, &mode), 0);
}

static void a_lock_that_a_killed_process_left_is_removed_with_its_blob(void **state)
{
	const struct place *p = *state;
	struct oci_upload_state upload;
	mode_t mode = 0;

	open_state(p, &upload, "a/m");
	close(upload.lock); /* as its end would, without a word */
	close(upload.dir);
	assert_int_equal(count_entries(p, &mode), 1);
	oci_upload_state_forget(p->dir, "https://reg.example", "a/m", &p->digest);
	assert_int_equal(count_entries(p, &mode), 0);
}

static void a_second_upload_of_the_blob_goes_without_state(void **state)
{
	struct oci_upload_state first, second;
	oci_autofree char *session = NULL;

	open_state(*state, &first, "a/m");
	oci_upload_state_save(&first, PLAIN);
	open_state(*state, &second, "a/m");
	assert_int_equal(second.dir, -1);
	assert_int_equal(oci_upload_state_load(&second, &session, NULL), 0);
	assert_null(session);
	oci_upload_state_save(&second, PLAIN "2");
	oci_upload_state_remove(&second);
	oci_upload_state_close(&second);
	oci_upload_state_close(&first);
	session = found(*state, "a/m");
	assert_string_equal(session, PLAIN);
}

/* Named by what the blob is made of, until its digest is known. */
static void begin_unnamed(const struct place *p, struct oci_upload_state *upload)
{
	struct oci_digest identity;

	oci_digest_of(OCI_SHA256, "files", 5, &identity);
	oci_upload_state_open(upload, p->dir, "https://reg.example", "a/m", &identity);
	oci_upload_state_save(upload, PLAIN);
}

static void an_upload_whose_digest_becomes_known_goes_by_that(void **state)
{
	struct place *p = *state;
	struct oci_upload_state upload;
	oci_autofree char *session = NULL;
	mode_t mode = 0;

	begin_unnamed(p, &upload);
	oci_upload_state_rename(&upload, "https://reg.example", "a/m", &p->digest);
	oci_upload_state_save(&upload, PLAIN "2");
	oci_upload_state_close(&upload);
	assert_int_equal(count_entries(p, &mode), 2);
	session = found(p, "a/m");
	assert_string_equal(session, PLAIN "2");
}

static void an_upload_gives_way_to_one_of_the_same_digest(void **state)
{
	struct place *p = *state;
	struct oci_upload_state first, second;
	oci_autofree char *session = NULL;

	open_state(p, &first, "a/m");
	oci_upload_state_save(&first, PLAIN "first");
	begin_unnamed(p, &second);
	oci_upload_state_rename(&second, "https://reg.example", "a/m", &p->digest);
	assert_int_equal(second.dir, -1);
	oci_upload_state_save(&second, PLAIN "second");
	oci_upload_state_close(&second);
	oci_upload_state_close(&first);
	session = found(p, "a/m");
	assert_string_equal(session, PLAIN "first");
}

static void a_damaged_file_is_no_session(void **state)
{
	const struct place *p = *state;
	struct oci_upload_state upload;

	open_state(p, &upload, "a/m");
	assert_int_equal(oci_fs_write_file(upload.dir, upload.name, "{\"session\":", 11, 0600, false, NULL), 0);
	oci_upload_state_close(&upload);
	assert_null(found(p, "a/m"));
}

static void a_directory_that_cannot_be_made_is_no_failure(void **state)
{
	struct place *p = *state;
	struct oci_upload_state upload;

	assert_int_equal(oci_fs_write_file(p->fd, "deep", "", 0, 0600, false, NULL), 0);
	open_state(p, &upload, "a/m");
	assert_int_equal(upload.dir, -1);
	oci_upload_state_save(&upload, PLAIN);
	oci_upload_state_close(&upload);
	assert_null(found(p, "a/m"));
}

static void files_of_last_week_are_removed(void **state)
{
	const struct place *p = *state;
	struct timespec old[2] = {{.tv_sec = time(NULL) - 8 * 24 * 3600}, {.tv_sec = time(NULL) - 8 * 24 * 3600}};
	struct oci_upload_state upload;
	oci_autofree char *session = NULL;

	save(p, PLAIN);
	open_state(p, &upload, "a/m");
	assert_int_equal(utimensat(upload.dir, upload.name, old, 0), 0);
	assert_int_equal(oci_fs_write_file(upload.dir, "notes", "", 0, 0600, false, NULL), 0);
	assert_int_equal(utimensat(upload.dir, "notes", old, 0), 0);
	oci_upload_state_close(&upload);
	session = found(p, "a/m");
	assert_null(session);
	oci_autofree char *notes = oci_str_printf("%s/notes", p->dir);
	assert_int_equal(access(notes, F_OK), 0);
}

static void what_was_half_written_by_a_killed_process_is_removed(void **state)
{
	static const char half[] = ".modelcar.0123456789abcdef.part";
	const struct timespec minute_ago[2] = {{.tv_sec = time(NULL) - 60}, {.tv_sec = time(NULL) - 60}};
	const struct place *p = *state;
	oci_autofree char *path = oci_str_printf("%s/%s", p->dir, half);
	oci_autoclose int fd = -1;

	save(p, PLAIN);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(futimens(fd, minute_ago), 0);
	close(oci_steal_fd(&fd));
	save(p, PLAIN);
	assert_int_equal(access(path, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_next_process_finds_the_session),
		TEST(another_repository_finds_nothing),
		TEST(only_the_owner_may_read_it),
		TEST(a_signed_address_is_never_written),
		TEST(a_signed_address_removes_what_an_older_one_left),
		TEST(nothing_is_left_of_a_stored_blob),
		TEST(a_blob_that_is_stored_after_all_is_forgotten),
		TEST(a_lock_that_a_killed_process_left_is_removed_with_its_blob),
		TEST(a_second_upload_of_the_blob_goes_without_state),
		TEST(an_upload_whose_digest_becomes_known_goes_by_that),
		TEST(an_upload_gives_way_to_one_of_the_same_digest),
		TEST(a_damaged_file_is_no_session),
		TEST(a_directory_that_cannot_be_made_is_no_failure),
		TEST(files_of_last_week_are_removed),
		TEST(what_was_half_written_by_a_killed_process_is_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
