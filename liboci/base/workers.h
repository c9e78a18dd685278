/* workers.h - an array of items, a shared index, the caller works too
 *
 *     static int hash_one(struct oci_worker *w, size_t item, struct oci_error *err);
 *     oci_workers_run(4, count, hash_one, plan, &cancel, err);
 *
 * Items are handed out in order. The first error wins: no further item is
 * handed out, oci_worker_stopped() turns true for those under way, and that
 * error is returned. `cancel` (may be NULL) is a signal number that somebody
 * stores there; a run that it ends returns OCI_E_CANCELLED, and so does an item
 * that fails after it. With one thread or one item no thread is started; where
 * threads cannot be had, fewer do the work. Their stacks are 256 KiB. All
 * threads have ended when the call returns.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct oci_worker {
	void *ctx;
	unsigned number;               /* 0 .. threads-1: index of private state */
	const atomic_int *cancel;      /* may be NULL */
	const atomic_bool *failed;     /* another worker failed */
};

typedef int (*oci_worker_fn)(struct oci_worker *worker, size_t item, struct oci_error *err);

int oci_workers_run(unsigned threads, size_t items, oci_worker_fn fn, void *ctx,
	const atomic_int *cancel, struct oci_error *err);

/* True when the item under way should end soon. */
bool oci_worker_stopped(const struct oci_worker *worker);

/* Usable processors: the smaller of sched_getaffinity and the cgroup quota
 * (v2 cpu.max, v1 cfs_quota), at least 1. */
unsigned oci_workers_cpus(void);
