/* registry_put.h - a blob into a registry, however often the connection is cut
 *
 * Small blobs, and those for registries that take no pieces: POST and one PUT.
 * Others: POST, PATCH requests as store/chunk.h sizes them, a closing PUT.
 * After a failure that passes:
 *
 * - the session is asked how far it came, and goes on there. Nothing is sent
 *   again that the registry has, and no PATCH is repeated blindly;
 * - a session that is gone begins anew, unless the blob turns out to be there
 *   (a closing PUT whose answer was lost);
 * - 413 and slow answers make the next requests smaller, 400, 404, 405, 416 or
 *   501 to the first PATCH of a blob make it one PUT.
 *
 * It gives up when nothing new was sent for `retry_for_ms`. The cancel flag
 * lets the request under way go on for 10 seconds; the session stays, and is in
 * the state directory (upload_state.h) for the next process.
 */
#pragma once

#include "store/store.h"

/* ops->put of the registry store. */
int oci_registry_put(struct oci_store *s, const struct oci_descriptor *d, const struct oci_content *content,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_error *err);
