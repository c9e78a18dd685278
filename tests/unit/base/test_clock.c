#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/clock.h"

static void sleep_lasts_as_long_as_asked(void **state)
{
	uint64_t start = oci_clock_ms();
	uint64_t took;

	oci_clock_sleep_ms(30);
	took = oci_clock_ms() - start;
	assert_in_range(took, 29, 10000);
}

static void wake(int sig)
{
}

static void a_signal_does_not_shorten_a_sleep(void **state)
{
	struct sigaction action = {.sa_handler = wake};
	struct itimerval soon = {.it_value = {0, 5000}};
	uint64_t start = oci_clock_ms();

	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	oci_clock_sleep_ms(40);
	assert_in_range(oci_clock_ms() - start, 39, 10000);
}

static void format_writes_rfc3339(void **state)
{
	static const struct {
		time_t when;
		const char *text;
	} cases[] = {
		{0, "1970-01-01T00:00:00Z"},
		{1767323045, "2026-01-02T03:04:05Z"},
		{951782400, "2000-02-29T00:00:00Z"},
		{-1, "1969-12-31T23:59:59Z"},
		{253402300799, "9999-12-31T23:59:59Z"},
		{253402300800, "9999-12-31T23:59:59Z"},
		{INT64_MAX, "9999-12-31T23:59:59Z"},
		{INT64_MIN, "0000-01-01T00:00:00Z"},
	};
	char out[OCI_CLOCK_TEXT_MAX];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		oci_clock_format(cases[i].when, out);
		assert_string_equal(out, cases[i].text);
	}
}

static void source_date_is_zero_when_not_set(void **state)
{
	time_t when = 5;

	unsetenv("SOURCE_DATE_EPOCH");
	assert_int_equal(oci_clock_source_date(&when, NULL), 0);
	assert_int_equal(when, 0);
	when = 5;
	setenv("SOURCE_DATE_EPOCH", "", 1);
	assert_int_equal(oci_clock_source_date(&when, NULL), 0);
	assert_int_equal(when, 0);
}

static void source_date_is_read_as_seconds(void **state)
{
	time_t when = 5;

	setenv("SOURCE_DATE_EPOCH", "1767323045", 1);
	assert_int_equal(oci_clock_source_date(&when, NULL), 0);
	assert_int_equal(when, 1767323045);
}

static void source_date_refuses_what_is_no_number(void **state)
{
	static const char *const bad[] = {"yesterday", "-1", "1.5", "12 ", "253402300800",
		"99999999999999999999"};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct oci_error err = {0};
		time_t when = 5;

		setenv("SOURCE_DATE_EPOCH", bad[i], 1);
		assert_int_equal(oci_clock_source_date(&when, &err), -1);
		assert_int_equal(err.code, OCI_E_USAGE);
		assert_non_null(strstr(err.text, bad[i]));
		assert_int_equal(when, 5);
	}
	unsetenv("SOURCE_DATE_EPOCH");
}

static void parse_reads_every_form(void **state)
{
	static const struct {
		const char *text;
		time_t when;
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-01-02T03:04:05Z", 1767323045},
		{"2026-01-02t03:04:05z", 1767323045},
		{"2026-01-02 03:04:05Z", 1767323045},
		{"2026-01-02T03:04:05.123456789Z", 1767323045},
		{"2026-01-02T05:04:05+02:00", 1767323045},
		{"2026-01-01T21:34:05-05:30", 1767323045},
		{"2000-02-29T00:00:00Z", 951782400},
		{"2016-12-31T23:59:60Z", 1483228800},
		{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
		{"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
		{"Sun Nov  6 08:49:37 1994", 784111777},
		{"Sun Nov 16 08:49:37 1994", 784975777},
		{"Friday, 02-Jan-26 03:04:05 GMT", 1767323045},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		time_t when = -5;

		assert_true(oci_clock_parse(cases[i].text, &when));
		assert_int_equal(when, cases[i].when);
	}
}

static void parse_refuses_what_is_no_time(void **state)
{
	static const char *const bad[] = {
		"",
		"2026",
		"2026-01-02",
		"2026-01-02T03:04:05",
		"2026-01-02T03:04:05Zx",
		"2026-01-02T03:04:05.Z",
		"2026-01-02T03:04:05+0200",
		"2026-01-02T03:04:05+24:00",
		"2026-13-02T03:04:05Z",
		"2026-00-02T03:04:05Z",
		"2026-02-29T03:04:05Z",
		"1900-02-29T03:04:05Z",
		"2026-01-00T03:04:05Z",
		"2026-01-02T24:04:05Z",
		"2026-01-02T03:60:05Z",
		"2026-01-02T03:04:61Z",
		"26-01-02T03:04:05Z",
		"+026-01-02T03:04:05Z",
		" 2026-01-02T03:04:05Z",
		"06 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 CET",
		"Sun, 06 Nov 1994 08:49:37 GMT ",
		"Sun, 31 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nom 1994 08:49:37 GMT",
		"Xun, 06 Nov 1994 08:49:37 GMT",
		"Sun Nov 6 08:49:37 1994",
		"120",
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		time_t when = 5;

		assert_false(oci_clock_parse(bad[i], &when));
		assert_int_equal(when, 5);
	}
}

static void stamps_are_nanoseconds_since_1970_and_before(void **state)
{
	const struct timespec later = {.tv_sec = 12, .tv_nsec = 345}, before = {.tv_sec = -1, .tv_nsec = 999999999},
			      far = {.tv_sec = INT64_MAX};

	assert_int_equal(oci_clock_stamp_ns(&later), 12000000345);
	assert_int_equal(oci_clock_stamp_ns(&before), -1);
	assert_int_equal(oci_clock_stamp_ns(&far), -1000000000);
}

static void parse_reads_back_what_format_writes(void **state)
{
	for (time_t when = -62167219200; when < 253402300799; when += 86400LL * 97 + 3607) {
		char out[OCI_CLOCK_TEXT_MAX];
		time_t again;

		oci_clock_format(when, out);
		assert_true(oci_clock_parse(out, &again));
		assert_int_equal(again, when);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sleep_lasts_as_long_as_asked),
		cmocka_unit_test(a_signal_does_not_shorten_a_sleep),
		cmocka_unit_test(format_writes_rfc3339),
		cmocka_unit_test(source_date_is_zero_when_not_set),
		cmocka_unit_test(source_date_is_read_as_seconds),
		cmocka_unit_test(source_date_refuses_what_is_no_number),
		cmocka_unit_test(parse_reads_every_form),
		cmocka_unit_test(parse_refuses_what_is_no_time),
		cmocka_unit_test(parse_reads_back_what_format_writes),
		cmocka_unit_test(stamps_are_nanoseconds_since_1970_and_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
