#include "store/pump.h"

#include <stdlib.h>

#include "base/cleanup.h"

#define CHUNK_BYTES OCI_MIB /* full and aligned: what goes to a disk may pass the page cache by */
#define CHUNK_ALIGN 4096

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
	oci_autofree char *chunk = aligned_alloc(CHUNK_ALIGN, CHUNK_BYTES);
	ssize_t n;

	if (!chunk)
		return oci_fail_nomem(err);
	for (;;) {
		if (oci_store_check_wanted(content, cancel, err) < 0)
			return -1;
		n = oci_reader_read_full(from, chunk, CHUNK_BYTES, err);
		if (n < 0)
			return oci_fail_side(err, OCI_SIDE_SOURCE);
		if (n == 0)
			return 0;
		if (oci_sink_write(to, chunk, (size_t)n, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
		oci_event_bytes(observer, (uint64_t)n);
		if ((size_t)n < CHUNK_BYTES)
			return 0;
	}
}

/* Content that is not what its digest says is the source's fault. */
static int blame(struct oci_error *err)
{
	bool content = err && err->code == OCI_E_DIGEST;
	return oci_fail_side(err, content ? OCI_SIDE_SOURCE : OCI_SIDE_DEST);
}

int oci_content_prove(const struct oci_content *content, const struct oci_digest *want, struct oci_digest *ret,
	struct oci_error *err)
{
	char promised[OCI_DIGEST_TEXT_MAX], found[OCI_DIGEST_TEXT_MAX];

	if (content->digest(content->ctx, ret, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	if (!want->alg || oci_digest_equal(ret, want))
		return 0;
	oci_fail(err, OCI_E_DIGEST, "content hashes to '%s' instead of '%s'", oci_digest_format(ret, found),
		oci_digest_format(want, promised));
	return oci_fail_side(err, OCI_SIDE_SOURCE);
}

int oci_store_pump(struct oci_store *s, const struct oci_descriptor *d, const struct oci_content *content,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_error *err)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = content->open(content->ctx, 0, err);
	struct oci_digest digest = d->digest;
	struct oci_sink *sink;

	if (!reader)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	sink = oci_store_begin(s, d, err);
	if (!sink)
		return oci_fail_side(err, OCI_SIDE_DEST);
	if (content->digest && sink->ops->trust)
		sink->ops->trust(sink);
	if (pump(reader, sink, content, observer, cancel, err) < 0 ||
		(content->digest && oci_content_prove(content, &d->digest, &digest, err) < 0)) {
		oci_sink_abort(sink);
		return blame(err);
	}
	return oci_sink_commit(sink, &digest, err) < 0 ? blame(err) : 0;
}
