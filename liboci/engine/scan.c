#include "engine/scan.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define CHUNK OCI_MIB

int oci_scan(struct oci_reader *reader, const struct oci_worker *worker, const struct oci_observer *observer,
	oci_scan_take take, void *ctx, struct oci_error *err)
{
	oci_autofree char *chunk = malloc(CHUNK);
	ssize_t n;

	if (!chunk)
		return oci_fail_nomem(err);
	while ((n = oci_reader_read(reader, chunk, CHUNK, err)) > 0) {
		if (oci_worker_stopped(worker))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled");
		if (take(ctx, chunk, (size_t)n, err) < 0)
			return -1;
		oci_event_bytes(observer, (uint64_t)n);
	}
	return n < 0 ? -1 : 0;
}
