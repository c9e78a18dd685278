#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/flow.h"

/* Three seconds on a link that gives `rate_of(limit)` bytes a second, in steps of 100 ms. */
static void run(struct oci_flow *flow, uint64_t *now_ms, unsigned seconds, uint64_t (*rate_of)(unsigned limit))
{
	for (unsigned i = 0; i < 10 * seconds; i++) {
		*now_ms += 100;
		oci_flow_moved(flow, rate_of(flow->limit) / 10, *now_ms);
	}
}

static uint64_t shared_by_all(unsigned limit)
{
	return 100000000;
}

static uint64_t of_each(unsigned limit)
{
	return 10000000 * (uint64_t)limit;
}

static uint64_t up_to_eight(unsigned limit)
{
	return of_each(limit < 8 ? limit : 8);
}

static unsigned settles_at(unsigned least, unsigned most, uint64_t (*rate_of)(unsigned limit))
{
	struct oci_flow flow;
	uint64_t now_ms = 1;
	unsigned limit;

	oci_flow_init(&flow, least, most);
	run(&flow, &now_ms, 20, rate_of);
	limit = flow.limit;
	assert_true(flow.settled);
	oci_flow_clear(&flow);
	return limit;
}

static void it_grows_while_that_helps(void **state)
{
	assert_int_equal(settles_at(4, 16, of_each), 16);
	assert_int_equal(settles_at(4, 16, up_to_eight), 8);
	assert_int_equal(settles_at(4, 16, shared_by_all), 4);
	assert_int_equal(settles_at(3, 8, of_each), 8);
	assert_int_equal(settles_at(5, 5, of_each), 5);
	assert_int_equal(settles_at(5, 2, of_each), 5);
}

static void nothing_changes_within_a_second(void **state)
{
	struct oci_flow flow;
	uint64_t now_ms = 1;

	oci_flow_init(&flow, 4, 16);
	for (int i = 0; i < 1000; i++)
		oci_flow_moved(&flow, 1000000, now_ms);
	assert_int_equal(flow.limit, 4);
	run(&flow, &now_ms, 2, of_each);
	assert_true(flow.limit > 4);
	oci_flow_clear(&flow);
}

static void it_shrinks_where_some_fail(void **state)
{
	struct oci_flow flow;
	uint64_t now_ms = 1000;

	oci_flow_init(&flow, 16, 16);
	oci_flow_failed(&flow, 3, now_ms); /* less than a quarter */
	oci_flow_failed(&flow, 6, now_ms += 5000);
	assert_int_equal(flow.limit, 16);
	oci_flow_failed(&flow, 20, now_ms += 500); /* not yet */
	assert_int_equal(flow.limit, 16);
	oci_flow_failed(&flow, 10, now_ms += 500);
	assert_int_equal(flow.limit, 8);
	oci_flow_failed(&flow, 10, now_ms += 5000);
	assert_int_equal(flow.limit, 8);
	oci_flow_failed(&flow, 15, now_ms += 5000);
	assert_int_equal(flow.limit, 4);
	oci_flow_failed(&flow, 16, now_ms += 5000); /* one alone is chance */
	assert_int_equal(flow.limit, 4);
	oci_flow_failed(&flow, 18, now_ms += 5000);
	oci_flow_failed(&flow, 20, now_ms += 5000);
	oci_flow_failed(&flow, 22, now_ms += 5000);
	assert_int_equal(flow.limit, 1);
	run(&flow, &now_ms, 20, of_each);
	assert_int_equal(flow.limit, 1);
	oci_flow_clear(&flow);
}

/* Threads that read the clock, or the count, a moment before others and come a moment behind them. */
static void who_comes_late_changes_nothing(void **state)
{
	struct oci_flow flow;

	oci_flow_init(&flow, 4, 16);
	oci_flow_moved(&flow, 1000, 5001);
	oci_flow_moved(&flow, 1000, 5000);
	assert_int_equal(flow.limit, 4);
	assert_false(flow.settled);
	oci_flow_failed(&flow, 1, 5001);
	oci_flow_failed(&flow, 0, 5000);
	oci_flow_failed(&flow, 0, 6500);
	assert_int_equal(flow.limit, 4);
	oci_flow_clear(&flow);
}

static void next_to_nothing_in_the_first_second_leaves_the_least(void **state)
{
	struct oci_flow flow;

	oci_flow_init(&flow, 4, 16);
	oci_flow_moved(&flow, 0, 1);
	oci_flow_moved(&flow, 3, 5001);
	assert_int_equal(flow.limit, 4);
	oci_flow_clear(&flow);
}

struct crowd {
	struct oci_flow flow;
	atomic_uint inside, most, done;
};

static int work(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct crowd *crowd = worker->ctx;
	unsigned inside, most;

	if (!oci_flow_enter(&crowd->flow, worker))
		return oci_fail(err, OCI_E_CANCELLED, "cancelled");
	inside = atomic_fetch_add(&crowd->inside, 1) + 1;
	most = atomic_load(&crowd->most);
	while (inside > most && !atomic_compare_exchange_weak(&crowd->most, &most, inside))
		;
	atomic_fetch_sub(&crowd->inside, 1);
	atomic_fetch_add(&crowd->done, 1);
	oci_flow_leave(&crowd->flow);
	return 0;
}

static void no_more_than_the_limit_are_inside_and_all_come_in(void **state)
{
	struct crowd crowd = {0};

	oci_flow_init(&crowd.flow, 2, 8);
	assert_int_equal(oci_workers_run(8, 5000, work, &crowd, NULL, NULL), 0);
	assert_int_equal(atomic_load(&crowd.done), 5000);
	assert_in_range(atomic_load(&crowd.most), 1, 2);
	oci_flow_clear(&crowd.flow);
}

static void who_waits_hears_of_the_end(void **state)
{
	struct crowd crowd = {0};
	atomic_int cancel = 15;
	struct oci_error err = {0};

	oci_flow_init(&crowd.flow, 0, 8);
	assert_int_equal(oci_workers_run(2, 5, work, &crowd, &cancel, &err), -1);
	assert_int_equal(err.code, OCI_E_CANCELLED);
	oci_flow_clear(&crowd.flow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_grows_while_that_helps),
		cmocka_unit_test(nothing_changes_within_a_second),
		cmocka_unit_test(it_shrinks_where_some_fail),
		cmocka_unit_test(who_comes_late_changes_nothing),
		cmocka_unit_test(next_to_nothing_in_the_first_second_leaves_the_least),
		cmocka_unit_test(no_more_than_the_limit_are_inside_and_all_come_in),
		cmocka_unit_test(who_waits_hears_of_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
