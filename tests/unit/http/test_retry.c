#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <time.h>

#include "base/clock.h"
#include "http/retry.h"

#define TWO_MINUTES_MS 120000

static void retry_tries_what_may_pass(void **state)
{
	static const int passing[] = {408, 429, 500, 502, 503, 504};
	static const int final[] = {200, 401, 403, 404, 405, 413, 416, 501};

	for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
		assert_true(oci_retry_status(passing[i]));
	for (size_t i = 0; i < sizeof final / sizeof *final; i++)
		assert_false(oci_retry_status(final[i]));
}

static void retry_after_takes_seconds_and_dates_up_to_a_bound(void **state)
{
	time_t soon = time(NULL) + 30;
	char date[64];
	struct tm tm;

	assert_int_equal(oci_retry_after_ms(NULL, TWO_MINUTES_MS), 0);
	assert_int_equal(oci_retry_after_ms("0", TWO_MINUTES_MS), 0);
	assert_int_equal(oci_retry_after_ms("7", TWO_MINUTES_MS), 7000);
	assert_int_equal(oci_retry_after_ms("1000000000", TWO_MINUTES_MS), 120000);
	assert_int_equal(oci_retry_after_ms("18446744073709551615", TWO_MINUTES_MS), 120000);
	assert_int_equal(oci_retry_after_ms("soon", TWO_MINUTES_MS), 0);
	assert_int_equal(oci_retry_after_ms("-5", TWO_MINUTES_MS), 0);
	assert_int_equal(oci_retry_after_ms("Wed, 21 Oct 2015 07:28:00 GMT", TWO_MINUTES_MS), 0);
	assert_non_null(gmtime_r(&soon, &tm));
	assert_true(strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
	assert_in_range(oci_retry_after_ms(date, TWO_MINUTES_MS), 25000, 30000);
}

static void retry_wait_ends_at_once_when_cancelled(void **state)
{
	atomic_int cancel = 15;
	struct oci_error err = {0};
	uint64_t start = oci_clock_ms();

	assert_int_equal(oci_retry_wait(4, 60000, &cancel, &err), -1);
	assert_int_equal(err.code, OCI_E_CANCELLED);
	assert_true(oci_clock_ms() - start < 5000);
}

static void retry_wait_is_not_shorter_than_asked(void **state)
{
	uint64_t start = oci_clock_ms();

	assert_int_equal(oci_retry_wait(0, 600, NULL, NULL), 0);
	assert_true(oci_clock_ms() - start >= 590);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(retry_tries_what_may_pass),
		cmocka_unit_test(retry_after_takes_seconds_and_dates_up_to_a_bound),
		cmocka_unit_test(retry_wait_ends_at_once_when_cancelled),
		cmocka_unit_test(retry_wait_is_not_shorter_than_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
