#include "store/pump.h"

#include <stdlib.h>

#include "base/cleanup.h"

#define CHUNK_BYTES OCI_MIB

int oci_store_check_wanted(const struct oci_content *content, const atomic_int *cancel, struct oci_error *err)
{
	int number = cancel ? atomic_load_explicit(cancel, memory_order_relaxed) : 0;

	if (number)
		return oci_fail(err, OCI_E_CANCELLED, "cancelled by signal %d", number);
	if (content->unwanted && atomic_load_explicit(content->unwanted, memory_order_relaxed))
		return oci_fail(err, OCI_E_CANCELLED, "cancelled, since another transfer failed");
	return 0;
}

static int pump(struct oci_reader *from, struct oci_sink *to, const struct oci_content *content,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_error *err)
{
	oci_autofree char *chunk = malloc(CHUNK_BYTES);
	ssize_t n;

	if (!chunk)
		return oci_fail_nomem(err);
	for (;;) {
		if (oci_store_check_wanted(content, cancel, err) < 0)
			return -1;
		n = oci_reader_read(from, chunk, CHUNK_BYTES, err);
		if (n < 0)
			return oci_fail_side(err, OCI_SIDE_SOURCE);
		if (n == 0)
			return 0;
		if (oci_sink_write(to, chunk, (size_t)n, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
		oci_event_bytes(observer, (uint64_t)n);
	}
}

/* Content that is not what its digest says is the source's fault. */
static int blame(struct oci_error *err)
{
	bool content = err && err->code == OCI_E_DIGEST;
	return oci_fail_side(err, content ? OCI_SIDE_SOURCE : OCI_SIDE_DEST);
}

int oci_store_pump(struct oci_store *s, const struct oci_descriptor *d, const struct oci_content *content,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_error *err)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = content->open(content->ctx, 0, err);
	struct oci_sink *sink;

	if (!reader)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	sink = oci_store_begin(s, d, err);
	if (!sink)
		return oci_fail_side(err, OCI_SIDE_DEST);
	if (pump(reader, sink, content, observer, cancel, err) < 0) {
		oci_sink_abort(sink);
		return blame(err);
	}
	return oci_sink_commit(sink, &d->digest, err) < 0 ? blame(err) : 0;
}
