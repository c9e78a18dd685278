#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "core/json.h"
#include "failure.h"

struct log {
	char path[64];
	char text[2048];
};

static void log_create(struct log *log)
{
	snprintf(log->path, sizeof log->path, "/tmp/test_failure.XXXXXX");
	int fd = mkstemp(log->path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "old and longer than nothing", 27), 27);
	close(fd);
	setenv("MODELCAR_TERMINATION_LOG", log->path, 1);
}

static void log_read(struct log *log)
{
	int fd = open(log->path, O_RDONLY);
	assert_true(fd >= 0);
	ssize_t n = read(fd, log->text, sizeof log->text - 1);
	assert_true(n >= 0);
	log->text[n] = '\0';
	close(fd);
	unlink(log->path);
}

static void codes_follow_the_error_and_the_signal(void **state)
{
	struct oci_error err = {.code = OCI_E_NOSPACE};
	assert_int_equal(failure_exit_code(&err, SIGTERM), 30);
	err.code = OCI_E_CANCELLED;
	assert_int_equal(failure_exit_code(&err, SIGTERM), 143);
	assert_int_equal(failure_exit_code(&err, SIGINT), 130);
	err.code = OCI_OK;
	assert_int_equal(failure_exit_code(&err, 0), 1);
}

static void the_termination_message_is_json(void **state)
{
	struct log log;
	struct oci_error err = {0};
	log_create(&log);
	oci_fail(&err, OCI_E_NOT_FOUND, "tag 'a\"b' is absent");
	assert_int_equal(failure_report(&err, 0), 10);
	log_read(&log);
	assert_string_equal(log.text,
		"{\"code\":10,\"reason\":\"NotFound\",\"message\":\"tag 'a\\\"b' is absent\"}");
}

static void the_termination_message_stays_below_a_kibibyte(void **state)
{
	struct log log;
	struct oci_error err = {.code = OCI_E_NETWORK};
	log_create(&log);
	memset(err.text, '\001', sizeof err.text - 1);
	memcpy(err.text + 100, "\xc3\xa4\xc3\xa4\xc3\xa4", 6);
	assert_int_equal(failure_report(&err, 0), 20);
	log_read(&log);
	assert_in_range(strlen(log.text), 600, 1024);
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc =
		oci_json_parse(log.text, strlen(log.text), &OCI_JSON_SMALL, NULL);
	assert_non_null(doc);
	assert_int_equal(strncmp(oci_json_text(doc, "message"), "\\x01\\x01\\x01", 12), 0);
}

static void a_file_that_is_not_there_is_not_made(void **state)
{
	struct oci_error err = {.code = OCI_E_USAGE};
	setenv("MODELCAR_TERMINATION_LOG", "/tmp/test_failure.absent", 1);
	assert_int_equal(failure_report(&err, 0), 2);
	assert_int_equal(access("/tmp/test_failure.absent", F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_follow_the_error_and_the_signal),
		cmocka_unit_test(the_termination_message_is_json),
		cmocka_unit_test(the_termination_message_stays_below_a_kibibyte),
		cmocka_unit_test(a_file_that_is_not_there_is_not_made),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
