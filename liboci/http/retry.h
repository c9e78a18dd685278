/* retry.h - when to try again, and how long to wait */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define OCI_RETRY_TRIES 5

/* 408, 429 and server errors that pass. */
bool oci_retry_status(int status);
/* The same of a request that failed, itself or on its way to a token. */
bool oci_retry_failure(const struct oci_error *failure);
/* Milliseconds that a Retry-After text (seconds or HTTP date) asks for, at
 * most `max_ms`; 0 when there is none. */
uint64_t oci_retry_after_ms(const char *text, uint64_t max_ms);
/* Sleep; OCI_E_CANCELLED when the flag rises. */
int oci_retry_sleep(uint64_t wait_ms, const atomic_int *cancel, struct oci_error *err);
/* How long to wait before try `attempt` + 1: 0.5 s doubling to 16 s, half of it
 * random, and not less than `at_least_ms`. */
uint64_t oci_retry_wait_ms(unsigned attempt, uint64_t at_least_ms);
/* Do. OCI_E_CANCELLED when the flag rises. */
int oci_retry_wait(unsigned attempt, uint64_t at_least_ms, const atomic_int *cancel, struct oci_error *err);
