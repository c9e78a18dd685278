#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "http/rate.h"

static void rate_without_limit_never_waits(void **state)
{
	struct oci_rate rate;

	oci_rate_init(&rate);
	oci_rate_spend(&rate, 1000000000);
	assert_int_equal(oci_rate_wait_ms(&rate), 0);
	oci_rate_clear(&rate);
	oci_rate_spend(NULL, 5);
	assert_int_equal(oci_rate_wait_ms(NULL), 0);
}

static void rate_makes_up_for_what_was_spent(void **state)
{
	struct oci_rate rate;

	oci_rate_init(&rate);
	oci_rate_set(&rate, 1000000);
	assert_int_equal(oci_rate_wait_ms(&rate), 0);
	oci_rate_spend(&rate, 2000000);
	/* two seconds, less the quarter that a rested connection has saved up */
	assert_in_range(oci_rate_wait_ms(&rate), 1650, 1750);
	oci_rate_set(&rate, 0);
	assert_int_equal(oci_rate_wait_ms(&rate), 0);
	oci_rate_clear(&rate);
}

static void rate_loses_no_bytes_to_rounding(void **state)
{
	struct oci_rate rate;

	oci_rate_init(&rate);
	oci_rate_set(&rate, 3000000);
	for (int i = 0; i < 100000; i++)
		oci_rate_spend(&rate, 100);
	/* 10 MB take 3.33 s; the loop's own time does not count */
	uint64_t saved = 250;
	assert_in_range(oci_rate_wait_ms(&rate), 3333 - saved - 400, 3334);
	oci_rate_clear(&rate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rate_without_limit_never_waits),
		cmocka_unit_test(rate_makes_up_for_what_was_spent),
		cmocka_unit_test(rate_loses_no_bytes_to_rounding),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
