#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/error.h"

static void fail_records_code_and_text(void **state)
{
	struct oci_error err = {0};

	assert_int_equal(oci_fail(&err, OCI_E_DIGEST, "blob '%s' is %d bytes", "abc", 7), -1);
	assert_int_equal(err.code, OCI_E_DIGEST);
	assert_string_equal(err.text, "blob 'abc' is 7 bytes");
	assert_int_equal(err.sys, 0);
	assert_int_equal(err.http, 0);
	assert_int_equal(err.side, OCI_SIDE_NONE);
}

static void the_first_failure_stays(void **state)
{
	struct oci_error err = {0};

	oci_fail(&err, OCI_E_FORMAT, "first");
	assert_int_equal(oci_fail(&err, OCI_E_IO, "second"), -1);
	assert_int_equal(oci_fail_sys(&err, ENOSPC, OCI_E_IO, "third"), -1);
	assert_int_equal(oci_fail_nomem(&err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
	assert_int_equal(err.sys, 0);
	assert_string_equal(err.text, "first");
}

static void a_null_error_is_silence(void **state)
{
	assert_int_equal(oci_fail(NULL, OCI_E_IO, "x"), -1);
	assert_int_equal(oci_fail_sys(NULL, EIO, OCI_E_IO, "x"), -1);
	assert_int_equal(oci_fail_nomem(NULL), -1);
	assert_int_equal(oci_wrap(NULL, "x"), -1);
	assert_int_equal(oci_fail_side(NULL, OCI_SIDE_DEST), -1);
}

static void a_failure_without_a_code_is_a_bug(void **state)
{
	struct oci_error err = {0};

	oci_fail(&err, OCI_OK, "x");
	assert_int_equal(err.code, OCI_E_BUG);
}

static void fail_sys_appends_the_reason(void **state)
{
	struct oci_error err = {0};

	assert_int_equal(oci_fail_sys(&err, ENOENT, OCI_E_NOT_FOUND, "cannot open '%s'", "a"), -1);
	assert_int_equal(err.code, OCI_E_NOT_FOUND);
	assert_int_equal(err.sys, ENOENT);
	assert_string_equal(err.text, "cannot open 'a': No such file or directory");
}

static void fail_sys_lets_errno_speak_for_itself(void **state)
{
	static const struct {
		int sys;
		enum oci_errc code;
	} cases[] = {
		{ENOSPC, OCI_E_NOSPACE},
		{EDQUOT, OCI_E_NOSPACE},
		{EFBIG, OCI_E_NOSPACE},
		{EACCES, OCI_E_PERM},
		{EPERM, OCI_E_PERM},
		{EROFS, OCI_E_PERM},
		{ENOMEM, OCI_E_NOMEM},
		{ECANCELED, OCI_E_CANCELLED},
		{EIO, OCI_E_SOURCE},
		{ENOENT, OCI_E_SOURCE},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct oci_error err = {0};

		oci_fail_sys(&err, cases[i].sys, OCI_E_SOURCE, "x");
		assert_int_equal(err.code, cases[i].code);
		assert_int_equal(err.sys, cases[i].sys);
	}
}

static void fail_sys_cuts_the_text_and_not_the_reason(void **state)
{
	struct oci_error err = {0};
	char name[1000];

	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	oci_fail_sys(&err, EIO, OCI_E_IO, "read '%s'", name);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	assert_non_null(strstr(err.text, "nnn: Input/output error"));
}

static void fail_sys_knows_no_unknown_number(void **state)
{
	struct oci_error err = {0};

	oci_fail_sys(&err, 9999, OCI_E_IO, "x");
	assert_string_equal(err.text, "x: Unknown error 9999");
}

static void nomem_has_its_own_code(void **state)
{
	struct oci_error err = {0};

	assert_int_equal(oci_fail_nomem(&err), -1);
	assert_int_equal(err.code, OCI_E_NOMEM);
	assert_string_equal(err.text, "out of memory");
}

static void wrap_prefixes_and_keeps_the_code(void **state)
{
	struct oci_error err = {0};

	oci_fail_sys(&err, EIO, OCI_E_IO, "read");
	assert_int_equal(oci_wrap(&err, "layer %d", 3), -1);
	assert_int_equal(oci_wrap(&err, "image '%s'", "a"), -1);
	assert_int_equal(err.code, OCI_E_IO);
	assert_int_equal(err.sys, EIO);
	assert_string_equal(err.text, "image 'a': layer 3: read: Input/output error");
}


static void wrap_without_a_failure_is_a_bug(void **state)
{
	struct oci_error err = {0};

	assert_int_equal(oci_wrap(&err, "layer"), -1);
	assert_int_equal(err.code, OCI_E_BUG);
	assert_string_equal(err.text, "layer: failed without a reason");
}

static void wrap_of_a_full_text_stays_terminated(void **state)
{
	struct oci_error err = {0};
	char name[600];

	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	oci_fail(&err, OCI_E_IO, "%s", name);
	oci_wrap(&err, "layer");
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	assert_memory_equal(err.text, "layer: nnn", 10);
}

static void a_cut_text_ends_with_a_whole_character(void **state)
{
	/* 511 bytes of room: é at 510 and 511 does not fit whole. */
	for (size_t lead = 505; lead <= 511; lead++) {
		struct oci_error err = {0};
		char name[520];
		size_t len;

		memset(name, 'n', lead);
		memcpy(name + lead, "\xc3\xa9\xc3\xa9", 5);
		oci_fail(&err, OCI_E_IO, "%s", name);
		len = strlen(err.text);
		assert_true(len >= 509 || len == lead + 4);
		assert_int_not_equal((unsigned char)err.text[len - 1], 0xc3);
		assert_true(err.text[len - 1] == 'n' || (unsigned char)err.text[len - 1] == 0xa9);
	}
}

static void side_is_said_once(void **state)
{
	struct oci_error err = {0};

	assert_int_equal(oci_fail_side(&err, OCI_SIDE_SOURCE), -1);
	assert_int_equal(oci_fail_side(&err, OCI_SIDE_DEST), -1);
	assert_int_equal(err.side, OCI_SIDE_SOURCE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fail_records_code_and_text),
		cmocka_unit_test(the_first_failure_stays),
		cmocka_unit_test(a_null_error_is_silence),
		cmocka_unit_test(a_failure_without_a_code_is_a_bug),
		cmocka_unit_test(fail_sys_appends_the_reason),
		cmocka_unit_test(fail_sys_lets_errno_speak_for_itself),
		cmocka_unit_test(fail_sys_cuts_the_text_and_not_the_reason),
		cmocka_unit_test(fail_sys_knows_no_unknown_number),
		cmocka_unit_test(nomem_has_its_own_code),
		cmocka_unit_test(wrap_prefixes_and_keeps_the_code),
		cmocka_unit_test(wrap_without_a_failure_is_a_bug),
		cmocka_unit_test(wrap_of_a_full_text_stays_terminated),
		cmocka_unit_test(a_cut_text_ends_with_a_whole_character),
		cmocka_unit_test(side_is_said_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
