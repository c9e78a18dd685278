#include "base/workers.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cgroup.h"
#include "base/cleanup.h"

#define STACK_BYTES (256 * OCI_KIB)

struct pool {
	oci_worker_fn fn;
	void *ctx;
	size_t items;
	const atomic_int *cancel;
	atomic_size_t next;
	atomic_bool failed;
	struct oci_error error; /* written by the worker that set `failed` */
};

struct thread {
	pthread_t id;
	unsigned number;
	struct pool *pool;
};

static int signal_number(const atomic_int *cancel)
{
	return cancel ? atomic_load(cancel) : 0;
}

static int fail_cancelled(const atomic_int *cancel, struct oci_error *err)
{
	return oci_fail(err, OCI_E_CANCELLED, "cancelled by signal %d", signal_number(cancel));
}

/* What fails after a cancel fails because of it, whatever it says. */
static void record_failure(struct pool *pool, struct oci_error *err)
{
	if (atomic_exchange(&pool->failed, true))
		return;
	if (signal_number(pool->cancel) != 0 && err->code != OCI_E_CANCELLED) {
		*err = (struct oci_error){0};
		fail_cancelled(pool->cancel, err);
	}
	if (err->code == OCI_OK)
		oci_fail(err, OCI_E_BUG, "worker failed without a reason");
	pool->error = *err;
}

static void work(struct pool *pool, unsigned number)
{
	struct oci_worker worker = {pool->ctx, number, pool->cancel, &pool->failed};

	while (!oci_worker_stopped(&worker)) {
		struct oci_error err = {0};
		size_t item = atomic_fetch_add(&pool->next, 1);

		if (item >= pool->items)
			return;
		if (pool->fn(&worker, item, &err) < 0)
			record_failure(pool, &err);
	}
}

static void *thread_main(void *arg)
{
	struct thread *thread = arg;

	work(thread->pool, thread->number);
	return NULL;
}

/* Starts up to `count` threads, numbered from 1; returns how many run. Fewer
 * is no failure: the caller works, too. */
static unsigned start_threads(struct pool *pool, struct thread *threads, unsigned count)
{
	pthread_attr_t attr;
	unsigned started = 0;

	if (pthread_attr_init(&attr) != 0)
		return 0;
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (; started < count; started++) {
		struct thread *thread = &threads[started];

		*thread = (struct thread){.number = started + 1, .pool = pool};
		if (pthread_create(&thread->id, &attr, thread_main, thread) != 0)
			break;
	}
	pthread_attr_destroy(&attr);
	return started;
}

int oci_workers_run(unsigned threads, size_t items, oci_worker_fn fn, void *ctx,
	const atomic_int *cancel, struct oci_error *err)
{
	struct pool pool = {.fn = fn, .ctx = ctx, .items = items, .cancel = cancel};
	unsigned useful = threads < items ? threads : (unsigned)items;
	unsigned helpers = useful > 1 ? useful - 1 : 0;
	oci_autofree struct thread *helper = NULL;

	if (helpers > 0) {
		helper = calloc(helpers, sizeof *helper);
		if (!helper)
			return oci_fail_nomem(err);
		helpers = start_threads(&pool, helper, helpers);
	}
	work(&pool, 0);
	for (unsigned i = 0; i < helpers; i++)
		pthread_join(helper[i].id, NULL);
	if (atomic_load(&pool.failed)) {
		if (err && err->code == OCI_OK)
			*err = pool.error;
		return -1;
	}
	return atomic_load(&pool.next) < items ? fail_cancelled(cancel, err) : 0;
}

bool oci_worker_stopped(const struct oci_worker *worker)
{
	return atomic_load(worker->failed) || signal_number(worker->cancel) != 0;
}

static unsigned affinity_cpus(void)
{
	cpu_set_t set;
	long online;

	if (sched_getaffinity(0, sizeof set, &set) == 0)
		return (unsigned)CPU_COUNT(&set);
	online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (unsigned)online : 1;
}

unsigned oci_workers_cpus(void)
{
	unsigned cpus = affinity_cpus();
	unsigned quota;

	if (oci_cgroup_cpus("", &quota) && quota < cpus)
		cpus = quota;
	return cpus > 0 ? cpus : 1;
}
