#include "http/retry.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"

#define RETRY_FIRST_MS 500
#define RETRY_LAST_MS 16000
#define RETRY_SLICE_MS 100

bool oci_retry_status(int status)
{
	switch (status) {
	case 408:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		return true;
	default:
		return false;
	}
}

bool oci_retry_failure(const struct oci_error *failure)
{
	return failure->code == OCI_E_NETWORK || failure->code == OCI_E_RATE;
}

uint64_t oci_retry_after_ms(const char *text, uint64_t max_ms)
{
	uint64_t seconds = 0;
	time_t when;

	if (!text)
		return 0;
	if (!oci_str_u64(text, &seconds)) {
		time_t now = time(NULL);
		if (!oci_clock_parse(text, &when) || when <= now)
			return 0;
		seconds = (uint64_t)(when - now);
	}
	return seconds > max_ms / 1000 ? max_ms : seconds * 1000;
}

static uint64_t random_below(uint64_t limit)
{
	uint32_t value = 0;
	if (getrandom(&value, sizeof value, 0) != sizeof value)
		value = (uint32_t)oci_clock_ms();
	return value % limit;
}

int oci_retry_sleep(uint64_t wait_ms, const atomic_int *cancel, struct oci_error *err)
{
	uint64_t until = oci_clock_ms() + wait_ms;

	for (uint64_t now = oci_clock_ms(); now < until; now = oci_clock_ms()) {
		if (cancel && atomic_load(cancel))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled");
		oci_clock_sleep_ms(until - now < RETRY_SLICE_MS ? until - now : RETRY_SLICE_MS);
	}
	return 0;
}

uint64_t oci_retry_wait_ms(unsigned attempt, uint64_t at_least_ms)
{
	uint64_t backoff = RETRY_FIRST_MS;
	while (attempt-- > 0 && backoff < RETRY_LAST_MS)
		backoff *= 2;
	uint64_t wait = backoff / 2 + random_below(backoff / 2);
	return wait > at_least_ms ? wait : at_least_ms;
}

int oci_retry_wait(unsigned attempt, uint64_t at_least_ms, const atomic_int *cancel, struct oci_error *err)
{
	return oci_retry_sleep(oci_retry_wait_ms(attempt, at_least_ms), cancel, err);
}
