#include "store/blob.h"

#include <inttypes.h>

void oci_tally_start(struct oci_tally *tally, const struct oci_descriptor *want)
{
	*tally = (struct oci_tally){.want = want->digest, .size_bytes = want->size_bytes};
	oci_hash_init(&tally->hash, want->digest.alg ? want->digest.alg : OCI_SHA256);
}

void oci_tally_trust(struct oci_tally *tally)
{
	tally->trusted = true;
}

int oci_tally_add(struct oci_tally *tally, const void *data, size_t len, struct oci_error *err)
{
	if (len > tally->size_bytes - tally->seen_bytes)
		return oci_fail(err, OCI_E_DIGEST, "content goes beyond its size of %" PRIu64 " bytes",
			tally->size_bytes);
	if (!tally->trusted)
		oci_hash_update(&tally->hash, data, len);
	tally->seen_bytes += len;
	return 0;
}

int oci_tally_check(struct oci_tally *tally, const struct oci_digest *digest, struct oci_error *err)
{
	char promised[OCI_DIGEST_TEXT_MAX], found[OCI_DIGEST_TEXT_MAX];
	const struct oci_digest *want = digest;
	struct oci_digest got;

	if (tally->seen_bytes != tally->size_bytes)
		return oci_fail(err, OCI_E_DIGEST, "content ends after %" PRIu64 " of %" PRIu64 " bytes",
			tally->seen_bytes, tally->size_bytes);
	if (tally->trusted)
		got = *digest;
	else
		oci_hash_final(&tally->hash, &got);
	if (tally->want.alg && oci_digest_equal(&got, digest))
		want = &tally->want;
	if (!oci_digest_equal(&got, want))
		return oci_fail(err, OCI_E_DIGEST, "content of '%s' hashes to '%s'",
			oci_digest_format(want, promised), oci_digest_format(&got, found));
	return 0;
}

int oci_blob_check_range(const struct oci_descriptor *d, uint64_t offset, uint64_t length,
	struct oci_error *err)
{
	if (offset <= d->size_bytes && length <= d->size_bytes - offset)
		return 0;
	return oci_fail(err, OCI_E_BUG,
		"range %" PRIu64 "+%" PRIu64 " lies outside a blob of %" PRIu64 " bytes",
		offset, length, d->size_bytes);
}

int oci_blob_check_size(const struct oci_descriptor *d, uint64_t stored_bytes, struct oci_error *err)
{
	char text[OCI_DIGEST_TEXT_MAX];

	if (stored_bytes == d->size_bytes)
		return 0;
	return oci_fail(err, OCI_E_DIGEST, "blob '%s' has %" PRIu64 " bytes, its descriptor says %" PRIu64,
		oci_digest_format(&d->digest, text), stored_bytes, d->size_bytes);
}

int oci_blob_fail_missing(const struct oci_digest *digest, struct oci_error *err)
{
	char text[OCI_DIGEST_TEXT_MAX];

	return oci_fail(err, OCI_E_NOT_FOUND, "blob '%s' is not here", oci_digest_format(digest, text));
}
