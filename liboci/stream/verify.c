#include "stream/verify.h"

#include <inttypes.h>
#include <stdlib.h>

struct verify_reader {
	struct oci_reader base;
	struct oci_reader *inner;
	struct oci_digest want;
	uint64_t size_bytes;
	uint64_t seen_bytes;
	struct oci_hash hash;
	struct oci_verify_trail *trail; /* NULL: nobody asks */
};

static int check_end(struct verify_reader *v, struct oci_error *err)
{
	char want[OCI_DIGEST_TEXT_MAX], got[OCI_DIGEST_TEXT_MAX];
	struct oci_digest digest;

	oci_digest_format(&v->want, want);
	if (v->seen_bytes != v->size_bytes && v->size_bytes != OCI_VERIFY_ANY_SIZE)
		return oci_fail(err, OCI_E_DIGEST, "blob '%s' ended after %" PRIu64 " of %" PRIu64 " bytes",
			want, v->seen_bytes, v->size_bytes);
	oci_hash_final(&v->hash, &digest);
	if (!oci_digest_equal(&digest, &v->want))
		return oci_fail(err, OCI_E_DIGEST, "blob '%s' hashes to '%s'", want,
			oci_digest_format(&digest, got));
	return 0;
}

/* Hash, and leave a mark where a multiple of the step is passed. */
static void take(struct verify_reader *v, const unsigned char *data, size_t len)
{
	while (len > 0) {
		size_t part = OCI_VERIFY_STEP - v->seen_bytes % OCI_VERIFY_STEP;

		if (!v->trail || part > len)
			part = len;
		oci_hash_update(&v->hash, data, part);
		v->seen_bytes += part;
		data += part;
		len -= part;
		if (v->trail && v->seen_bytes % OCI_VERIFY_STEP == 0) {
			v->trail->last.offset = v->seen_bytes;
			oci_hash_chain(&v->hash, v->trail->last.chain);
		}
	}
}

static ssize_t verify_read(struct oci_reader *base, void *data, size_t size, struct oci_error *err)
{
	struct verify_reader *v = (struct verify_reader *)base;
	char want[OCI_DIGEST_TEXT_MAX];

	ssize_t n = oci_reader_read(v->inner, data, size, err);
	if (n < 0)
		return -1;
	if (n == 0)
		return check_end(v, err);
	if ((uint64_t)n > v->size_bytes - v->seen_bytes)
		return oci_fail(err, OCI_E_DIGEST, "blob '%s' is longer than its %" PRIu64 " bytes",
			oci_digest_format(&v->want, want), v->size_bytes);
	take(v, data, (size_t)n);
	return n;
}

static void verify_close(struct oci_reader *base)
{
	struct verify_reader *v = (struct verify_reader *)base;

	oci_reader_close(v->inner);
	free(v);
}

static const struct oci_reader_ops verify_ops = { verify_read, verify_close };

struct oci_reader *oci_verify_reader_along_take(struct oci_reader *inner, const struct oci_descriptor *want,
	struct oci_verify_trail *trail, struct oci_error *err)
{
	bool chains = want->digest.alg == OCI_SHA256;
	struct verify_reader *v = NULL;

	if (want->digest.alg == 0)
		oci_fail(err, OCI_E_BUG, "a blob without a digest cannot be verified");
	else if (trail && trail->from.offset > 0 && !chains)
		oci_fail(err, OCI_E_BUG, "only a sha256 can be gone on with");
	else if ((v = calloc(1, sizeof *v)) == NULL)
		oci_fail_nomem(err);
	if (v == NULL) {
		oci_reader_close(inner);
		return NULL;
	}
	v->base.ops = &verify_ops;
	v->inner = inner;
	v->want = want->digest;
	v->size_bytes = want->size_bytes;
	v->trail = chains ? trail : NULL;
	if (v->trail && trail->from.offset > 0) {
		v->seen_bytes = trail->from.offset;
		oci_hash_resume(&v->hash, trail->from.chain, trail->from.offset);
	} else {
		oci_hash_init(&v->hash, want->digest.alg);
	}
	return &v->base;
}

struct oci_reader *oci_verify_reader_take(struct oci_reader *inner, const struct oci_descriptor *want,
	struct oci_error *err)
{
	return oci_verify_reader_along_take(inner, want, NULL, err);
}
