#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/workers.h"
#include "refuse_call.h"

#define ITEMS 1000
#define THREADS 4
#define PATIENCE_MS 20000

/* Only what no worker shares is written without an atomic. */
struct plan {
	unsigned char done[ITEMS];
	unsigned per_worker[THREADS];
	pthread_t ids[THREADS];
	atomic_uint calls;
	atomic_uint inside;
	atomic_uint stopped;
	atomic_int cancel;
	size_t bad_item;
};

static int mark(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct plan *plan = worker->ctx;

	plan->done[item]++;
	plan->per_worker[worker->number]++;
	plan->ids[worker->number] = pthread_self();
	atomic_fetch_add(&plan->calls, 1);
	return 0;
}

static void every_item_is_done_once(void **state)
{
	for (unsigned threads = 0; threads <= THREADS; threads++) {
		struct plan plan = {0};
		unsigned sum = 0;

		assert_int_equal(oci_workers_run(threads, ITEMS, mark, &plan, NULL, NULL), 0);
		for (size_t i = 0; i < ITEMS; i++)
			assert_int_equal(plan.done[i], 1);
		for (unsigned i = 0; i < THREADS; i++)
			sum += plan.per_worker[i];
		assert_int_equal(sum, ITEMS);
	}
}

static void one_thread_or_one_item_runs_in_the_caller(void **state)
{
	static const struct {
		unsigned threads;
		size_t items;
	} cases[] = {{0, 3}, {1, 3}, {THREADS, 1}};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct plan plan = {0};

		assert_int_equal(oci_workers_run(cases[i].threads, cases[i].items, mark, &plan, NULL, NULL),
			0);
		assert_int_equal(plan.per_worker[0], cases[i].items);
		assert_true(pthread_equal(plan.ids[0], pthread_self()));
	}
}

static void no_items_is_success(void **state)
{
	struct plan plan = {.cancel = 15};

	assert_int_equal(oci_workers_run(THREADS, 0, mark, &plan, NULL, NULL), 0);
	assert_int_equal(oci_workers_run(THREADS, 0, mark, &plan, &plan.cancel, NULL), 0);
	assert_int_equal(atomic_load(&plan.calls), 0);
}

/* Waits until as many as there are workers are inside at the same time. */
static int meet(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct plan *plan = worker->ctx;
	uint64_t until = oci_clock_ms() + PATIENCE_MS;

	plan->ids[worker->number] = pthread_self();
	atomic_fetch_add(&plan->inside, 1);
	while (atomic_load(&plan->inside) < THREADS) {
		if (oci_clock_ms() > until)
			return oci_fail(err, OCI_E_TIMEOUT, "the others did not come");
		sched_yield();
	}
	return 0;
}

static void as_many_work_at_once_as_asked_and_the_caller_is_one(void **state)
{
	struct plan plan = {0};
	unsigned mine = 0;

	assert_int_equal(oci_workers_run(THREADS, THREADS, meet, &plan, NULL, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		mine += pthread_equal(plan.ids[i], pthread_self()) != 0;
		for (unsigned j = 0; j < i; j++)
			assert_false(pthread_equal(plan.ids[i], plan.ids[j]));
	}
	assert_int_equal(mine, 1);
	assert_true(pthread_equal(plan.ids[0], pthread_self()));
}

static int fail_at(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct plan *plan = worker->ctx;

	atomic_fetch_add(&plan->calls, 1);
	if (item != plan->bad_item)
		return 0;
	oci_fail_side(err, OCI_SIDE_DEST);
	return oci_fail(err, OCI_E_DIGEST, "item %zu is bad", item);
}

static void the_error_of_the_failing_item_is_returned(void **state)
{
	for (unsigned threads = 1; threads <= THREADS; threads++) {
		struct plan plan = {.bad_item = 500};
		struct oci_error err = {0};

		assert_int_equal(oci_workers_run(threads, ITEMS, fail_at, &plan, NULL, &err), -1);
		assert_int_equal(err.code, OCI_E_DIGEST);
		assert_int_equal(err.side, OCI_SIDE_DEST);
		assert_string_equal(err.text, "item 500 is bad");
		assert_true(atomic_load(&plan.calls) >= 501);
		assert_int_equal(oci_workers_run(threads, ITEMS, fail_at, &plan, NULL, NULL), -1);
	}
}

static void no_item_is_handed_out_after_a_failure(void **state)
{
	struct plan plan = {.bad_item = 3};

	assert_int_equal(oci_workers_run(1, ITEMS, fail_at, &plan, NULL, NULL), -1);
	assert_int_equal(atomic_load(&plan.calls), 4);
}

/* Item 0 fails when all are inside; the others end because it did. */
static int fail_or_wait(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct plan *plan = worker->ctx;
	uint64_t until = oci_clock_ms() + PATIENCE_MS;

	if (meet(worker, item, err) < 0)
		return -1;
	if (item == 0)
		return oci_fail(err, OCI_E_NETWORK, "first");
	while (!oci_worker_stopped(worker)) {
		if (oci_clock_ms() > until)
			return oci_fail(err, OCI_E_TIMEOUT, "nobody said stop");
		sched_yield();
	}
	atomic_fetch_add(&plan->stopped, 1);
	return oci_fail(err, OCI_E_IO, "later");
}

static void the_first_error_wins_and_stops_those_under_way(void **state)
{
	struct plan plan = {0};
	struct oci_error err = {0};

	assert_int_equal(oci_workers_run(THREADS, ITEMS, fail_or_wait, &plan, NULL, &err), -1);
	assert_string_equal(err.text, "first");
	assert_int_equal(err.code, OCI_E_NETWORK);
	assert_int_equal(atomic_load(&plan.stopped), THREADS - 1);
}

static int fail_silently(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	return -1;
}

static void a_failure_without_a_reason_is_a_bug(void **state)
{
	struct oci_error err = {0};

	assert_int_equal(oci_workers_run(1, 1, fail_silently, NULL, NULL, &err), -1);
	assert_int_equal(err.code, OCI_E_BUG);
}

static void an_error_recorded_before_the_run_is_kept(void **state)
{
	struct oci_error err = {0};

	oci_fail(&err, OCI_E_USAGE, "before");
	assert_int_equal(oci_workers_run(1, 1, fail_silently, NULL, NULL, &err), -1);
	assert_string_equal(err.text, "before");
}

static int cancel_at(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct plan *plan = worker->ctx;

	atomic_fetch_add(&plan->calls, 1);
	if (item == plan->bad_item)
		atomic_store(&plan->cancel, 15);
	return 0;
}

static void a_cancel_ends_the_run(void **state)
{
	for (unsigned threads = 1; threads <= THREADS; threads++) {
		struct plan plan = {.bad_item = 5};
		struct oci_error err = {0};

		assert_int_equal(oci_workers_run(threads, ITEMS, cancel_at, &plan, &plan.cancel, &err), -1);
		assert_int_equal(err.code, OCI_E_CANCELLED);
		assert_string_equal(err.text, "cancelled by signal 15");
		assert_true(atomic_load(&plan.calls) < ITEMS);
	}
}

static void a_cancel_before_the_run_does_nothing(void **state)
{
	struct plan plan = {.cancel = 2};
	struct oci_error err = {0};

	assert_int_equal(oci_workers_run(THREADS, ITEMS, mark, &plan, &plan.cancel, &err), -1);
	assert_int_equal(err.code, OCI_E_CANCELLED);
	assert_string_equal(err.text, "cancelled by signal 2");
	assert_int_equal(atomic_load(&plan.calls), 0);
}

static void a_cancel_in_the_last_item_comes_too_late(void **state)
{
	struct plan plan = {.bad_item = ITEMS - 1};

	assert_int_equal(oci_workers_run(1, ITEMS, cancel_at, &plan, &plan.cancel, NULL), 0);
	assert_int_equal(atomic_load(&plan.calls), ITEMS);
}

static int break_off(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct plan *plan = worker->ctx;

	atomic_store(&plan->cancel, 15);
	if (!oci_worker_stopped(worker))
		return 0;
	return oci_fail(err, item == plan->bad_item ? OCI_E_CANCELLED : OCI_E_NETWORK,
		"aborted in a callback");
}

static void what_fails_after_a_cancel_is_cancelled(void **state)
{
	struct plan plan = {.bad_item = 1};
	struct oci_error err = {0};

	assert_int_equal(oci_workers_run(1, 2, break_off, &plan, &plan.cancel, &err), -1);
	assert_int_equal(err.code, OCI_E_CANCELLED);
	assert_string_equal(err.text, "cancelled by signal 15");
}

static void the_words_of_a_cancelled_item_are_kept(void **state)
{
	struct plan plan = {.bad_item = 0};
	struct oci_error err = {0};

	assert_int_equal(oci_workers_run(1, 2, break_off, &plan, &plan.cancel, &err), -1);
	assert_int_equal(err.code, OCI_E_CANCELLED);
	assert_string_equal(err.text, "aborted in a callback");
}

static void there_is_a_processor(void **state)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
	assert_in_range(oci_workers_cpus(), 1, CPU_COUNT(&set));
}

static void affinity_limits_the_processors(void **state)
{
	cpu_set_t all, one;

	assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
	assert_int_equal(oci_workers_cpus(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

enum { ALONE, NOT_ALONE, NO_FILTER };

/* In a child that may start no threads. */
static int work_without_threads(void)
{
	struct plan plan = {0};

	if (!refuse_call(SYS_clone3, EAGAIN) || !refuse_call(SYS_clone, EAGAIN))
		return NO_FILTER;
	if (oci_workers_run(THREADS, ITEMS, mark, &plan, NULL, NULL) < 0)
		return NOT_ALONE;
	return plan.per_worker[0] == ITEMS ? ALONE : NOT_ALONE;
}

static void the_caller_does_it_all_where_no_thread_can_be_had(void **state)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(work_without_threads());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_FILTER)
		skip();
	assert_int_equal(WEXITSTATUS(status), ALONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_item_is_done_once),
		cmocka_unit_test(one_thread_or_one_item_runs_in_the_caller),
		cmocka_unit_test(no_items_is_success),
		cmocka_unit_test(as_many_work_at_once_as_asked_and_the_caller_is_one),
		cmocka_unit_test(the_error_of_the_failing_item_is_returned),
		cmocka_unit_test(no_item_is_handed_out_after_a_failure),
		cmocka_unit_test(the_first_error_wins_and_stops_those_under_way),
		cmocka_unit_test(a_failure_without_a_reason_is_a_bug),
		cmocka_unit_test(an_error_recorded_before_the_run_is_kept),
		cmocka_unit_test(a_cancel_ends_the_run),
		cmocka_unit_test(a_cancel_before_the_run_does_nothing),
		cmocka_unit_test(a_cancel_in_the_last_item_comes_too_late),
		cmocka_unit_test(what_fails_after_a_cancel_is_cancelled),
		cmocka_unit_test(the_words_of_a_cancelled_item_are_kept),
		cmocka_unit_test(the_caller_does_it_all_where_no_thread_can_be_had),
		cmocka_unit_test(there_is_a_processor),
		cmocka_unit_test(affinity_limits_the_processors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
