#include "http/pace.h"

#include "base/clock.h"
#include "http/retry.h"

#define GAP_FIRST_MS 100
#define GAP_MAX_MS 5000
#define GAP_LEAST_MS 10

void oci_pace_init(struct oci_pace *pace)
{
	*pace = (struct oci_pace){0};
	pthread_mutex_init(&pace->lock, NULL);
}

void oci_pace_clear(struct oci_pace *pace)
{
	pthread_mutex_destroy(&pace->lock);
}

int oci_pace_wait(struct oci_pace *pace, const atomic_int *cancel, struct oci_error *err)
{
	pthread_mutex_lock(&pace->lock);
	uint64_t now = oci_clock_ms();
	uint64_t turn = pace->next_ms > now ? pace->next_ms : now;
	pace->next_ms = turn + pace->gap_ms;
	pthread_mutex_unlock(&pace->lock);
	return oci_retry_sleep(turn - now, cancel, err);
}

void oci_pace_tell(struct oci_pace *pace, int status, uint64_t retry_after_ms)
{
	bool slower = status == 429 || (status == 503 && retry_after_ms > 0);

	pthread_mutex_lock(&pace->lock);
	if (slower) {
		uint64_t until = oci_clock_ms() + retry_after_ms;
		pace->next_ms = pace->next_ms > until ? pace->next_ms : until;
		pace->gap_ms = pace->gap_ms ? pace->gap_ms * 2 : GAP_FIRST_MS;
		if (pace->gap_ms > GAP_MAX_MS)
			pace->gap_ms = GAP_MAX_MS;
	} else if (pace->gap_ms > GAP_LEAST_MS) {
		pace->gap_ms -= pace->gap_ms / 8;
	} else {
		pace->gap_ms = 0;
	}
	pthread_mutex_unlock(&pace->lock);
}
