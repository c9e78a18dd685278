#include "base/flow.h"

#include "base/clock.h"

#define WAIT_MS 100
#define GROWTH 2
/* More by so much is worth more connections. */
#define GAIN_NUMERATOR 8
#define GAIN_DENOMINATOR 7

void oci_flow_init(struct oci_flow *flow, unsigned least, unsigned most)
{
	*flow = (struct oci_flow){
		.limit = least, .before = least, .most = most > least ? most : least, .settled = most <= least,
	};
	pthread_mutex_init(&flow->lock, NULL);
	oci_clock_cond_init(&flow->changed);
}

void oci_flow_clear(struct oci_flow *flow)
{
	pthread_cond_destroy(&flow->changed);
	pthread_mutex_destroy(&flow->lock);
}

/* A cancelled run wakes nobody up: looked at now and then. */
static void wait_a_while(struct oci_flow *flow)
{
	const struct timespec until = oci_clock_deadline(WAIT_MS);

	(void)pthread_cond_timedwait(&flow->changed, &flow->lock, &until);
}

bool oci_flow_enter(struct oci_flow *flow, const struct oci_worker *worker)
{
	bool over;

	pthread_mutex_lock(&flow->lock);
	while (!(over = oci_worker_stopped(worker)) && flow->running >= flow->limit)
		wait_a_while(flow);
	flow->running += !over;
	pthread_mutex_unlock(&flow->lock);
	return !over;
}

void oci_flow_leave(struct oci_flow *flow)
{
	pthread_mutex_lock(&flow->lock);
	flow->running--;
	pthread_cond_signal(&flow->changed);
	pthread_mutex_unlock(&flow->lock);
}

static void set_limit(struct oci_flow *flow, unsigned limit)
{
	flow->limit = limit < flow->most ? limit : flow->most;
	flow->fresh = true;
	pthread_cond_broadcast(&flow->changed);
}

/* Bytes of a whole window, at the present limit. */
static void judge(struct oci_flow *flow, uint64_t rate)
{
	if (flow->fresh) {
		flow->fresh = false;
		return;
	}
	if (rate / GAIN_NUMERATOR <= flow->rate / GAIN_DENOMINATOR) {
		flow->settled = true;
		set_limit(flow, flow->before);
		return;
	}
	flow->rate = rate;
	flow->before = flow->limit;
	flow->settled = flow->limit == flow->most;
	if (!flow->settled)
		set_limit(flow, flow->limit * GROWTH);
}

/* Clocks are read before the lock is had, so `now_ms` may be behind what another thread left here. */
static bool is_over(uint64_t since_ms, uint64_t now_ms)
{
	return now_ms > since_ms && now_ms - since_ms >= OCI_FLOW_WINDOW_MS;
}

void oci_flow_moved(struct oci_flow *flow, uint64_t bytes, uint64_t now_ms)
{
	pthread_mutex_lock(&flow->lock);
	if (flow->begun_ms == 0)
		flow->begun_ms = now_ms;
	flow->bytes += bytes;
	if (!flow->settled && is_over(flow->begun_ms, now_ms)) {
		judge(flow, flow->bytes * OCI_FLOW_WINDOW_MS / (now_ms - flow->begun_ms));
		flow->begun_ms = now_ms;
		flow->bytes = 0;
	}
	pthread_mutex_unlock(&flow->lock);
}

void oci_flow_failed(struct oci_flow *flow, unsigned count, uint64_t now_ms)
{
	pthread_mutex_lock(&flow->lock);
	if (is_over(flow->looked_ms, now_ms) && count >= flow->failures) {
		unsigned fresh = count - flow->failures;

		flow->looked_ms = now_ms;
		flow->failures = count;
		if (fresh > 1 && fresh >= flow->limit / 4 && flow->limit > 1) {
			flow->settled = true;
			set_limit(flow, flow->limit / 2);
		}
	}
	pthread_mutex_unlock(&flow->lock);
}
