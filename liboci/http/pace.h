/* pace.h - slowing down together when a registry says 429; private to http/
 *
 *     oci_pace_wait(&pace, cancel, err);        before each request
 *     oci_pace_tell(&pace, status, after_ms);   what it was answered
 *
 * A 429 (or a 503 that says when to come back) holds back all requests until
 * that time, and from then on they keep a distance, which doubles with each
 * further 429 up to 5 s and melts away with each answer that is not.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"

struct oci_pace {
	pthread_mutex_t lock;
	uint64_t next_ms; /* nothing is asked before */
	uint64_t gap_ms;
};

void oci_pace_init(struct oci_pace *pace);
void oci_pace_clear(struct oci_pace *pace);
/* OCI_E_CANCELLED when the flag rises meanwhile. */
int oci_pace_wait(struct oci_pace *pace, const atomic_int *cancel, struct oci_error *err);
void oci_pace_tell(struct oci_pace *pace, int status, uint64_t retry_after_ms);
