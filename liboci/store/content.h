/* content.h - bytes that can be read again from any offset
 *
 * What lets an upload go on after a cut: oci_store_put() (store/store.h) opens
 * them as often as it takes. Nobody has to verify them: who takes them does,
 * unless they prove themselves (`digest`).
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "core/digest.h"
#include "stream/reader.h"

struct oci_digest_pool;

struct oci_content {
	struct oci_reader *(*open)(void *ctx, uint64_t offset, struct oci_error *err);
	void *ctx;
	const atomic_bool *unwanted; /* true: let go of it soon (OCI_E_CANCELLED), all is in vain; NULL: go on */
	struct oci_digest_pool *pool; /* of threads that put one content each; NULL: it is hashed alone */
	/* Content that hashes what its readers hand out, each byte once: its digest,
	 * after the last. Who takes it does not hash again. NULL: who takes it hashes. */
	int (*digest)(void *ctx, struct oci_digest *ret, struct oci_error *err);
	/* Opens a file that is this content byte for byte, for who can send it without reading it
	 * where the other end proves it; -1 with `err`. NULL: there is none. */
	int (*file)(void *ctx, struct oci_error *err);
	/* What it is made of, for a process that does not know its digest yet, or the one after
	 * that, to go on with an upload; NULL: by digest alone. */
	const struct oci_digest *identity;
};
