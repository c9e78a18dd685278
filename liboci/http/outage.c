#include "http/outage.h"

#include "base/clock.h"
#include "http/retry.h"

static void tell_once(struct oci_http *http, const struct oci_error *why)
{
	if (!atomic_exchange(&http->outage_told, true))
		oci_event_warn(http->observer, "%s; trying again, for %u s without progress (--retry-for)", why->text,
			(unsigned)(http->retry_for_ms / 1000));
}

bool oci_outage_is_over_long(struct oci_http *http, unsigned failures, uint64_t since_ms,
	const struct oci_error *why)
{
	if (failures > 1 && oci_clock_ms() - since_ms >= http->retry_for_ms)
		return true;
	if (failures < OCI_RETRY_TRIES)
		return false;
	if (!atomic_load(&http->served))
		return true;
	tell_once(http, why);
	return false;
}
