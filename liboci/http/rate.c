#include "http/rate.h"

#include "base/clock.h"

#define SAVED_MS 250

void oci_rate_init(struct oci_rate *rate)
{
	*rate = (struct oci_rate){0};
	pthread_mutex_init(&rate->lock, NULL);
}

void oci_rate_clear(struct oci_rate *rate)
{
	pthread_mutex_destroy(&rate->lock);
}

void oci_rate_set(struct oci_rate *rate, uint64_t bytes_per_second)
{
	if (rate)
		atomic_store(&rate->bytes_per_second, bytes_per_second);
}

bool oci_rate_limits(struct oci_rate *rate)
{
	return rate && atomic_load(&rate->bytes_per_second) > 0;
}

uint64_t oci_rate_wait_ms(struct oci_rate *rate)
{
	if (!oci_rate_limits(rate))
		return 0;
	pthread_mutex_lock(&rate->lock);
	uint64_t now = oci_clock_ms();
	uint64_t wait_ms = rate->paid_ms > now ? rate->paid_ms - now : 0;
	pthread_mutex_unlock(&rate->lock);
	return wait_ms;
}

void oci_rate_spend(struct oci_rate *rate, size_t bytes)
{
	uint64_t per_second = rate ? atomic_load(&rate->bytes_per_second) : 0;

	if (per_second == 0)
		return;
	pthread_mutex_lock(&rate->lock);
	uint64_t now = oci_clock_ms();
	uint64_t least = now > SAVED_MS ? now - SAVED_MS : 0;
	uint64_t owed = (rate->odd_bytes + bytes) * 1000;
	if (rate->paid_ms < least)
		rate->paid_ms = least;
	rate->paid_ms += owed / per_second;
	rate->odd_bytes = owed % per_second / 1000;
	pthread_mutex_unlock(&rate->lock);
}
