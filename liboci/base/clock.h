/* clock.h - time: monotonic for waiting, RFC 3339 for documents */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"

uint64_t oci_clock_ms(void); /* monotonic */
/* `wait_ms` from now, for conditions that oci_clock_cond_init() has made. */
struct timespec oci_clock_deadline(uint64_t wait_ms);
/* A condition whose deadlines are on this clock. */
void oci_clock_cond_init(pthread_cond_t *condition);
int64_t oci_clock_wall_ns(void); /* since 1970, as files are stamped */
/* The same of a stamp of a file; one of a far century wraps around. */
int64_t oci_clock_stamp_ns(const struct timespec *stamp);
void oci_clock_sleep_ms(uint64_t wait_ms); /* signals do not shorten it */

/* "2026-01-02T03:04:05Z", kept within the years 0000 and 9999; `out` holds OCI_CLOCK_TEXT_MAX bytes. */
#define OCI_CLOCK_TEXT_MAX 32
void oci_clock_format(time_t when, char out[OCI_CLOCK_TEXT_MAX]);

/* SOURCE_DATE_EPOCH when it is set and a number, else 0: the creation time of
 * everything we write, so that output is reproducible. A value that is not a
 * number, or is after the year 9999, fails with OCI_E_USAGE; an empty one is
 * not set. */
int oci_clock_source_date(time_t *ret, struct oci_error *err);

/* Parse RFC 3339 UTC or with offset, and HTTP dates (all three forms of RFC
 * 9110); false if it is neither. A fraction of a second is dropped. */
bool oci_clock_parse(const char *text, time_t *ret);
