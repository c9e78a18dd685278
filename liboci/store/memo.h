/* memo.h - the last few manifests that passed, so that none is fetched twice
 *
 * Bounded by count and by 8 MiB in all. Used by several threads.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/buf.h"
#include "core/descriptor.h"
#include "stream/reader.h"

#define OCI_MEMO_COUNT 8
#define OCI_MEMO_BYTES (8 * OCI_MIB)

struct oci_memo {
	pthread_mutex_t lock;
	size_t next;
	struct oci_memo_entry {
		struct oci_digest digest;
		char *data; /* NULL: free */
		size_t len;
	} entries[OCI_MEMO_COUNT];
};

void oci_memo_init(struct oci_memo *memo);
void oci_memo_clear(struct oci_memo *memo);
/* Copies; when there is no memory for it, nothing is remembered. */
void oci_memo_put(struct oci_memo *memo, const struct oci_digest *digest, const void *data, size_t len);
/* Append a copy to `out`. 1: found, 0: not, -1: failure. */
int oci_memo_get(struct oci_memo *memo, const struct oci_digest *digest, struct oci_buf *out,
	struct oci_error *err);
