#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "http/pace.h"

static int pace_new(void **state)
{
	static struct oci_pace pace;
	oci_pace_init(&pace);
	*state = &pace;
	return 0;
}

static int pace_done(void **state)
{
	oci_pace_clear(*state);
	return 0;
}

static uint64_t waited_ms(struct oci_pace *pace)
{
	uint64_t begun = oci_clock_ms();
	assert_int_equal(oci_pace_wait(pace, NULL, NULL), 0);
	return oci_clock_ms() - begun;
}

static void pace_lets_everything_pass_at_first(void **state)
{
	oci_pace_tell(*state, 200, 0);
	oci_pace_tell(*state, 503, 0);
	for (int i = 0; i < 100; i++)
		assert_true(waited_ms(*state) < 50);
}

static void pace_waits_as_long_as_the_registry_says(void **state)
{
	oci_pace_tell(*state, 503, 200);
	uint64_t waited = waited_ms(*state);
	assert_in_range(waited, 150, 1000);
}

static void pace_keeps_a_distance_after_429_and_forgets_it(void **state)
{
	struct oci_pace *pace = *state;

	oci_pace_tell(pace, 429, 0);
	oci_pace_tell(pace, 429, 0);
	assert_int_equal(pace->gap_ms, 200);
	(void)waited_ms(pace);
	assert_in_range(waited_ms(pace), 150, 1000);
	for (int i = 0; i < 20; i++)
		oci_pace_tell(pace, 429, 0);
	assert_int_equal(pace->gap_ms, 5000);
	for (int i = 0; i < 100; i++)
		oci_pace_tell(pace, 200, 0);
	assert_int_equal(pace->gap_ms, 0);
}

static void pace_stops_waiting_when_cancelled(void **state)
{
	atomic_int cancel = 15;
	struct oci_error err = {0};

	oci_pace_tell(*state, 429, 100000);
	assert_int_equal(oci_pace_wait(*state, &cancel, &err), -1);
	assert_int_equal(err.code, OCI_E_CANCELLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pace_lets_everything_pass_at_first, pace_new, pace_done),
		cmocka_unit_test_setup_teardown(pace_waits_as_long_as_the_registry_says, pace_new, pace_done),
		cmocka_unit_test_setup_teardown(pace_keeps_a_distance_after_429_and_forgets_it, pace_new, pace_done),
		cmocka_unit_test_setup_teardown(pace_stops_waiting_when_cancelled, pace_new, pace_done),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
