/* flow.h - how many transfers at a time are worth it
 *
 * Links differ: one connection fills a short one, and over a long or shaped one
 * each brings its own share. So it begins with `least`, adds some while the rate
 * of all together grows by a seventh or more, and takes the last ones back where it does not.
 * Where a quarter of them fail within a second, and not just one (a server that serves so many
 * at a time and no more), it is half as many from then on, down to one.
 *
 *     struct oci_flow flow;
 *     oci_flow_init(&flow, 4, 16);
 *     ...in each of 16 threads:
 *     if (oci_flow_enter(&flow, worker))       waits for a place; false: the work is over
 *             oci_flow_moved(&flow, bytes, oci_clock_ms());   as they come
 *             oci_flow_failed(&flow, count, oci_clock_ms());  so many in all, again and again
 *     oci_flow_leave(&flow);                   after a true of enter
 *     ...when all threads have left:
 *     oci_flow_clear(&flow);
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/workers.h"

/* A rate is that of a second; the one after a change is not looked at. */
#define OCI_FLOW_WINDOW_MS 1000

struct oci_flow {
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	unsigned limit, most, running;
	unsigned before;      /* the limit that `rate` was measured at */
	uint64_t rate;        /* the best so far, bytes in a window */
	bool settled, fresh;  /* no more growth; the limit has just changed */
	uint64_t begun_ms, bytes; /* of this window */
	unsigned failures;        /* known at ... */
	uint64_t looked_ms;
};

void oci_flow_init(struct oci_flow *flow, unsigned least, unsigned most);
void oci_flow_clear(struct oci_flow *flow);
bool oci_flow_enter(struct oci_flow *flow, const struct oci_worker *worker);
void oci_flow_leave(struct oci_flow *flow);
/* `now_ms` of a clock that does not jump. */
void oci_flow_moved(struct oci_flow *flow, uint64_t bytes, uint64_t now_ms);
void oci_flow_failed(struct oci_flow *flow, unsigned count, uint64_t now_ms);
