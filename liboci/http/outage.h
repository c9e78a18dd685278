/* outage.h - a registry that served us and does not any more; private to http/
 *
 * Who never had a good answer is told soon that there is none to be had: five
 * tries (retry.h). Who had one is in mid work, and the registry is restarted, or
 * the network is: that is worth the patience of `retry_for_ms`. The user hears
 * of it once.
 */
#pragma once

#include "http/exchange.h"

/* Is it time to give up, after `failures` in a row since something moved last, at
 * `since_ms` (oci_clock_ms)? `why` is the last of them. */
bool oci_outage_is_over_long(struct oci_http *http, unsigned failures, uint64_t since_ms,
	const struct oci_error *why);
