/* registry_mirror.h - other places to pull a repository's content from; private
 * to the registry store
 *
 * An endpoint "HOST=URL" says that URL has what HOST has: a pull-through cache,
 * a peer-to-peer agent, a copy. The URL is http:// or https:// and a host; a
 * path behind it stands before the repository's name (the project of a Harbor
 * cache). A header "HOST=Name: value" goes to all endpoints of HOST, and to no
 * other origin.
 *
 * Tags are resolved at HOST itself, always. Content and digests, which prove
 * themselves, are asked at the endpoints in their order, with ns=HOST in the
 * query, and then at HOST. A place that fails in the middle of a blob is followed by the next
 * one from that byte on. An endpoint that fails otherwise than by not having
 * the content is left alone for half a minute, so a dead one costs one wait.
 * Manifests and blobs of up to 4 MiB are checked here, so that an endpoint with
 * wrong bytes does no harm; larger ones by whoever reads them, who says when they
 * are wrong: the endpoints that gave them are then not asked for that content any
 * more, and left alone as one that fails.
 *
 * Credentials for an endpoint are those that the user's files have for its
 * host; --cert and --key are for HOST alone.
 */
#pragma once

#include "http/reader.h"
#include "store/store.h"

struct oci_mirrors;

/* The endpoints of one repository; *ret stays NULL when it has none. What is
 * not in the form above is OCI_E_USAGE, whichever host it is for. */
int oci_mirrors_new(const char *host, const char *repository, const struct oci_store_options *options,
	struct oci_mirrors **ret, struct oci_error *err);
void oci_mirrors_free(struct oci_mirrors *mirrors);

/* The manifest of this digest: 1: *ret is the answer with it, proven; 0: no endpoint
 * has it. */
int oci_mirrors_ask(struct oci_mirrors *mirrors, const struct oci_digest *digest, struct oci_http_response *ret,
	struct oci_error *err);
/* What was read of this content is wrong. */
void oci_mirrors_distrust(struct oci_mirrors *mirrors, const struct oci_digest *digest);

/* What `blob` is at its origin, from the first place that has it. `kind` is
 * "manifests" or "blobs". Strings are copied. */
struct oci_reader *oci_mirrors_open(struct oci_mirrors *mirrors, struct oci_http *origin,
	const struct oci_http_blob *blob, const char *kind, const struct oci_digest *digest, uint64_t offset,
	uint64_t length, struct oci_error *err);
