/* The low-level SHA interface is the only one of OpenSSL whose state can be
 * read and set; it is marked deprecated but still what EVP ends up calling. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "core/digest.h"

#include <assert.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/str.h"

_Static_assert(sizeof(SHA256_CTX) <= sizeof(((struct oci_hash *)0)->state), "SHA-256 state must fit");
_Static_assert(sizeof(SHA512_CTX) <= sizeof(((struct oci_hash *)0)->state), "SHA-512 state must fit");
_Static_assert(_Alignof(SHA512_CTX) <= 16, "the state must be aligned for SHA-512");
_Static_assert(SHA256_DIGEST_LENGTH == OCI_CHAIN_BYTES, "a chaining value is as long as a digest");

static const struct algorithm {
	enum oci_digest_alg alg;
	const char *name;
	size_t bytes;
} algorithms[] = {
	{OCI_SHA256, "sha256", SHA256_DIGEST_LENGTH},
	{OCI_SHA512, "sha512", SHA512_DIGEST_LENGTH},
};

#define ALGORITHM_COUNT (sizeof(algorithms) / sizeof(algorithms[0]))

static const struct algorithm *algorithm_of(enum oci_digest_alg alg)
{
	for (size_t i = 0; i < ALGORITHM_COUNT; i++) {
		if (algorithms[i].alg == alg)
			return &algorithms[i];
	}
	return NULL;
}

static const struct algorithm *algorithm_named(const char *text, size_t len)
{
	for (size_t i = 0; i < ALGORITHM_COUNT; i++) {
		if (strlen(algorithms[i].name) == len && memcmp(algorithms[i].name, text, len) == 0)
			return &algorithms[i];
	}
	return NULL;
}

/* The spec's grammar: component (separator component)* ":" encoded. */
static bool grammar_ok(const char *text)
{
	static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char encoded[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=_-";
	for (;;) {
		size_t n = strspn(text, lower);
		if (n == 0)
			return false;
		text += n;
		if (*text == ':')
			break;
		if (*text == '\0' || !strchr("+._-", *text))
			return false;
		text++;
	}
	text++;
	return *text && text[strspn(text, encoded)] == '\0';
}

int oci_digest_parse(const char *text, struct oci_digest *ret, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	if (!grammar_ok(text))
		return oci_fail(err, OCI_E_FORMAT, "digest '%s' is malformed, expected sha256:<64 hex digits>",
			oci_str_escape(text, shown));

	size_t name_len = strcspn(text, ":");
	const struct algorithm *a = algorithm_named(text, name_len);
	if (!a)
		return oci_fail(err, OCI_E_UNSUPPORTED,
			"digest '%s' is of an algorithm that is not supported, only sha256 and sha512 are",
			oci_str_escape(text, shown));

	struct oci_digest digest = {.alg = a->alg};
	if (!oci_str_unhex(text + name_len + 1, digest.bytes, a->bytes))
		return oci_fail(err, OCI_E_FORMAT, "digest '%s' is malformed, expected %s:<%zu lower-case hex digits>",
			oci_str_escape(text, shown), a->name, 2 * a->bytes);
	*ret = digest;
	return 0;
}

const char *oci_digest_hex(const struct oci_digest *digest, char out[OCI_DIGEST_TEXT_MAX])
{
	const struct algorithm *a = algorithm_of(digest->alg);
	oci_str_hex(digest->bytes, a ? a->bytes : 0, out);
	return out;
}

const char *oci_digest_format(const struct oci_digest *digest, char out[OCI_DIGEST_TEXT_MAX])
{
	const struct algorithm *a = algorithm_of(digest->alg);
	if (!a) {
		out[0] = '\0';
		return out;
	}
	size_t name_len = strlen(a->name);
	memcpy(out, a->name, name_len);
	out[name_len] = ':';
	oci_str_hex(digest->bytes, a->bytes, out + name_len + 1);
	return out;
}

const char *oci_digest_alg_name(enum oci_digest_alg alg)
{
	const struct algorithm *a = algorithm_of(alg);
	return a ? a->name : "";
}

bool oci_digest_equal(const struct oci_digest *a, const struct oci_digest *b)
{
	const struct algorithm *alg = algorithm_of(a->alg);
	return alg && a->alg == b->alg && memcmp(a->bytes, b->bytes, alg->bytes) == 0;
}

void oci_hash_init(struct oci_hash *hash, enum oci_digest_alg alg)
{
	assert(algorithm_of(alg));
	hash->alg = alg;
	if (alg == OCI_SHA512)
		SHA512_Init((SHA512_CTX *)(void *)hash->state);
	else
		SHA256_Init((SHA256_CTX *)(void *)hash->state);
}

void oci_hash_update(struct oci_hash *hash, const void *data, size_t len)
{
	if (hash->alg == OCI_SHA512)
		SHA512_Update((SHA512_CTX *)(void *)hash->state, data, len);
	else
		SHA256_Update((SHA256_CTX *)(void *)hash->state, data, len);
}

void oci_hash_final(struct oci_hash *hash, struct oci_digest *ret)
{
	*ret = (struct oci_digest){.alg = hash->alg};
	if (hash->alg == OCI_SHA512)
		SHA512_Final(ret->bytes, (SHA512_CTX *)(void *)hash->state);
	else
		SHA256_Final(ret->bytes, (SHA256_CTX *)(void *)hash->state);
}

void oci_digest_of(enum oci_digest_alg alg, const void *data, size_t len, struct oci_digest *ret)
{
	struct oci_hash hash;
	oci_hash_init(&hash, alg);
	oci_hash_update(&hash, data, len);
	oci_hash_final(&hash, ret);
}

static void chain_store(const SHA256_CTX *ctx, unsigned char chain[OCI_CHAIN_BYTES])
{
	for (size_t i = 0; i < OCI_CHAIN_BYTES; i++)
		chain[i] = (unsigned char)(ctx->h[i / 4] >> (24 - 8 * (i % 4)));
}

/* A state that stands `done` bytes into a message, a multiple of the block. */
static void chain_load(SHA256_CTX *ctx, const unsigned char chain[OCI_CHAIN_BYTES], uint64_t done)
{
	SHA256_Init(ctx);
	for (size_t i = 0; i < OCI_CHAIN_BYTES / 4; i++) {
		const unsigned char *p = chain + 4 * i;
		ctx->h[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	}
	ctx->Nl = (uint32_t)(done << 3);
	ctx->Nh = (uint32_t)(done >> 29);
}

void oci_hash_chain(const struct oci_hash *hash, unsigned char chain[OCI_CHAIN_BYTES])
{
	SHA256_CTX ctx;
	assert(hash->alg == OCI_SHA256);
	memcpy(&ctx, hash->state, sizeof(ctx));
	assert(ctx.num == 0);
	chain_store(&ctx, chain);
}

void oci_chain_start(unsigned char chain[OCI_CHAIN_BYTES])
{
	SHA256_CTX ctx;
	SHA256_Init(&ctx);
	chain_store(&ctx, chain);
}

void oci_chain_update(unsigned char chain[OCI_CHAIN_BYTES], const void *data, size_t len)
{
	SHA256_CTX ctx;
	/* A rest would be left out of the value without a word: unverified bytes. */
	assert(len % OCI_CHAIN_BLOCK == 0);
	chain_load(&ctx, chain, 0);
	SHA256_Update(&ctx, data, len);
	chain_store(&ctx, chain);
}

void oci_chain_final(const unsigned char chain[OCI_CHAIN_BYTES], const void *tail, size_t len,
	uint64_t total, struct oci_digest *ret)
{
	SHA256_CTX ctx;
	assert(len <= total && (total - len) % OCI_CHAIN_BLOCK == 0);
	chain_load(&ctx, chain, total - len);
	SHA256_Update(&ctx, tail, len);
	*ret = (struct oci_digest){.alg = OCI_SHA256};
	SHA256_Final(ret->bytes, &ctx);
}
