/* rate.h - so many bytes a second, of all connections together
 *
 *     struct oci_rate rate;
 *     oci_rate_init(&rate);
 *     oci_rate_set(&rate, 10 * 1000 * 1000);
 *
 * Every client that is given the same rate draws on it. What may not flow yet
 * stays in the socket, so that the other side slows down. Short of a quarter of
 * a second's bytes, nothing is saved up while a connection rests.
 *
 * Used by several threads. NULL is a rate without limit in all but init and clear.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oci_rate {
	atomic_uint_fast64_t bytes_per_second; /* 0: no limit, and no lock is taken */
	pthread_mutex_t lock; /* guards what follows */
	uint64_t paid_ms;     /* until then the bytes are given away */
	uint64_t odd_bytes;   /* given away, and less than a millisecond's */
};

void oci_rate_init(struct oci_rate *rate);
void oci_rate_clear(struct oci_rate *rate);
void oci_rate_set(struct oci_rate *rate, uint64_t bytes_per_second);

/* Is there a limit? */
bool oci_rate_limits(struct oci_rate *rate);
/* Milliseconds until bytes may flow again; 0: now. */
uint64_t oci_rate_wait_ms(struct oci_rate *rate);
/* They flowed. */
void oci_rate_spend(struct oci_rate *rate, size_t bytes);
