#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>

#include "engine/journal.h"
#include "../base/temp_dir.h"

#define COUNT 100

static void reopen(void **state, const char *manifest, uint64_t count, struct oci_journal *j)
{
	struct oci_digest digest;
	struct oci_error err = {0};

	oci_digest_of(OCI_SHA256, manifest, strlen(manifest), &digest);
	oci_journal_close(j);
	if (oci_journal_open(temp_dir_fd(state), "journal", &digest, count, j, &err) < 0)
		fail_msg("%s", err.text);
}

static void marks_are_there_for_the_next_run_of_the_same_boot(void **state)
{
	struct oci_journal j = {.fd = -1};

	reopen(state, "a", COUNT, &j);
	assert_int_equal(oci_journal_get(&j, 5), OCI_MARK_NONE);
	assert_int_equal(oci_journal_set(&j, 5, NULL), 0);
	assert_int_equal(oci_journal_set(&j, COUNT - 1, NULL), 0);
	assert_int_equal(oci_journal_set(&j, 7, NULL), 0);
	assert_int_equal(oci_journal_unset(&j, 7, NULL), 0);
	reopen(state, "a", COUNT, &j);
	for (uint64_t n = 0; n < COUNT; n++)
		assert_int_equal(oci_journal_get(&j, n), n == 5 || n == COUNT - 1 ? OCI_MARK_DONE : OCI_MARK_NONE);
	oci_journal_close(&j);
}

static void another_manifest_or_number_of_blocks_begins_anew(void **state)
{
	struct oci_journal j = {.fd = -1};

	reopen(state, "a", COUNT, &j);
	assert_int_equal(oci_journal_set(&j, 5, NULL), 0);
	reopen(state, "b", COUNT, &j);
	assert_int_equal(oci_journal_get(&j, 5), OCI_MARK_NONE);
	assert_int_equal(oci_journal_set(&j, 5, NULL), 0);
	reopen(state, "b", COUNT + 1, &j);
	assert_int_equal(oci_journal_get(&j, 5), OCI_MARK_NONE);
	oci_journal_close(&j);
}

/* Writes over the boot id in the head. */
static void change_boot(void **state)
{
	char head[512];
	int fd = openat(temp_dir_fd(state), "journal", O_RDWR);
	char *boot;

	assert_int_equal(pread(fd, head, sizeof head, 0), sizeof head);
	head[sizeof head - 1] = '\0';
	boot = strstr(head, "\"boot\":\"");
	assert_non_null(boot);
	assert_int_equal(pwrite(fd, "xxxx", 4, boot + 8 - head), 4);
	close(fd);
}

static void after_another_boot_marks_are_claims_until_they_are_proven(void **state)
{
	struct oci_journal j = {.fd = -1};

	reopen(state, "a", COUNT, &j);
	assert_int_equal(oci_journal_set(&j, 5, NULL), 0);
	assert_int_equal(oci_journal_set(&j, 6, NULL), 0);
	change_boot(state);
	reopen(state, "a", COUNT, &j);
	assert_int_equal(oci_journal_get(&j, 5), OCI_MARK_CLAIMED);
	assert_int_equal(oci_journal_set(&j, 6, NULL), 0);
	reopen(state, "a", COUNT, &j); /* killed meanwhile, on this boot */
	assert_int_equal(oci_journal_get(&j, 5), OCI_MARK_CLAIMED);
	assert_int_equal(oci_journal_get(&j, 6), OCI_MARK_DONE);
	assert_int_equal(oci_journal_get(&j, 4), OCI_MARK_NONE);
	oci_journal_close(&j);
}

static void a_file_that_is_no_journal_begins_anew(void **state)
{
	struct oci_journal j = {.fd = -1};
	char junk[2000];

	memset(junk, '1', sizeof junk - 1);
	junk[sizeof junk - 1] = '\0';
	put_file(temp_dir_fd(state), "journal", junk);
	reopen(state, "a", COUNT, &j);
	for (uint64_t n = 0; n < COUNT; n++)
		assert_int_equal(oci_journal_get(&j, n), OCI_MARK_NONE);
	oci_journal_close(&j);
}

#define test_in_temp_dir(f) cmocka_unit_test_setup_teardown(f, temp_dir_setup, temp_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_in_temp_dir(marks_are_there_for_the_next_run_of_the_same_boot),
		test_in_temp_dir(another_manifest_or_number_of_blocks_begins_anew),
		test_in_temp_dir(after_another_boot_marks_are_claims_until_they_are_proven),
		test_in_temp_dir(a_file_that_is_no_journal_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
