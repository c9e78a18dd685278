/* The low-level SHA interface is the only one of OpenSSL whose state can be
 * read and set; it is marked deprecated but still what EVP ends up calling. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "core/digest.h"

#include <assert.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "core/sha256.h"

#define GROUP 32 /* lanes that are looked at together */

/* Whole blocks are compressed as they come; what is left lies in `rest`,
 * done % OCI_SHA256_BLOCK bytes of it. */
struct sha256 {
	uint32_t words[OCI_SHA256_WORDS];
	uint64_t done;
	unsigned char rest[OCI_SHA256_BLOCK];
};

/* Whole blocks of one stream. */
struct run {
	struct oci_sha256_lane lane;
	size_t blocks;
};

_Static_assert(sizeof(struct sha256) <= sizeof(((struct oci_hash *)0)->state), "SHA-256 state must fit");
_Static_assert(sizeof(SHA512_CTX) <= sizeof(((struct oci_hash *)0)->state), "SHA-512 state must fit");
_Static_assert(_Alignof(SHA512_CTX) <= 16, "the state must be aligned for SHA-512");
_Static_assert(SHA256_DIGEST_LENGTH == OCI_CHAIN_BYTES, "a chaining value is as long as a digest");
_Static_assert(OCI_SHA256_BLOCK == OCI_CHAIN_BLOCK, "a chaining value stands between blocks");

static const uint32_t first_words[OCI_SHA256_WORDS] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/* OpenSSL's state `done` bytes into a message, a multiple of the block. */
static void context_load(SHA256_CTX *ctx, const uint32_t *words, uint64_t done)
{
	SHA256_Init(ctx);
	memcpy(ctx->h, words, sizeof ctx->h);
	ctx->Nl = (uint32_t)(done << 3);
	ctx->Nh = (uint32_t)(done >> 29);
}

static void compress_openssl(const struct oci_sha256_lane *lanes, size_t count, size_t blocks)
{
	for (size_t i = 0; i < count; i++) {
		SHA256_CTX ctx;

		context_load(&ctx, lanes[i].state, 0);
		SHA256_Update(&ctx, lanes[i].data, blocks * OCI_SHA256_BLOCK);
		memcpy(lanes[i].state, ctx.h, sizeof ctx.h);
	}
}

bool oci_sha256_is_right(oci_sha256_fn fn)
{
	enum { BLOCKS = 5 };
	unsigned char data[OCI_SHA256_LANES_MAX][BLOCKS * OCI_SHA256_BLOCK];

	for (size_t i = 0; i < sizeof data; i++)
		((unsigned char *)data)[i] = (unsigned char)(i * i * 7 + i / 3);
	for (size_t count = 1; count <= OCI_SHA256_LANES_MAX; count++) {
		uint32_t got[OCI_SHA256_LANES_MAX][OCI_SHA256_WORDS], want[OCI_SHA256_LANES_MAX][OCI_SHA256_WORDS];
		struct oci_sha256_lane mine[OCI_SHA256_LANES_MAX], theirs[OCI_SHA256_LANES_MAX];

		for (size_t i = 0; i < OCI_SHA256_LANES_MAX; i++) {
			memcpy(got[i], first_words, sizeof got[i]);
			memcpy(want[i], first_words, sizeof want[i]);
			mine[i] = (struct oci_sha256_lane){got[i], data[i]};
			theirs[i] = (struct oci_sha256_lane){want[i], data[i]};
		}
		fn(mine, count, BLOCKS);
		compress_openssl(theirs, count, BLOCKS);
		if (memcmp(got, want, sizeof got) != 0)
			return false;
	}
	return true;
}

static bool kernel_wants_fips(void)
{
	oci_autoclose int fd = open("/proc/sys/crypto/fips_enabled", O_RDONLY | O_CLOEXEC);
	char flag;

	return fd >= 0 && read(fd, &flag, 1) == 1 && flag == '1';
}

/* Set once, before its first use, and never changed. */
static struct {
	pthread_once_t once;
	oci_sha256_fn compress;
	unsigned lanes;
} machine = {.once = PTHREAD_ONCE_INIT};

static void machine_choose(void)
{
	oci_sha256_fn native = oci_sha256_native();

	if (native && !EVP_default_properties_is_fips_enabled(NULL) && !kernel_wants_fips() &&
		oci_sha256_is_right(native)) {
		machine.compress = native;
		machine.lanes = OCI_SHA256_LANES_MAX;
		return;
	}
	machine.compress = compress_openssl;
	machine.lanes = 1;
}

unsigned oci_hash_lanes(void)
{
	pthread_once(&machine.once, machine_choose);
	return machine.lanes;
}

static void compress_one(uint32_t *words, const void *data, size_t blocks)
{
	struct oci_sha256_lane lane = {words, data};

	oci_hash_lanes();
	machine.compress(&lane, 1, blocks);
}

static size_t drop_finished(struct run *runs, size_t count)
{
	size_t left = 0;

	for (size_t i = 0; i < count; i++)
		if (runs[i].blocks > 0)
			runs[left++] = runs[i];
	return left;
}

/* As many as go together, for as long as the shortest of them lasts. */
static void compress_step(struct run *runs, size_t count)
{
	struct oci_sha256_lane lanes[OCI_SHA256_LANES_MAX];
	size_t blocks = runs[0].blocks;

	for (size_t i = 0; i < count; i++) {
		lanes[i] = runs[i].lane;
		if (runs[i].blocks < blocks)
			blocks = runs[i].blocks;
	}
	machine.compress(lanes, count, blocks);
	for (size_t i = 0; i < count; i++) {
		runs[i].lane.data += blocks * OCI_SHA256_BLOCK;
		runs[i].blocks -= blocks;
	}
}

static void compress_many(struct run *runs, size_t count)
{
	unsigned lanes = oci_hash_lanes();

	while ((count = drop_finished(runs, count)) > 0) {
		/* Two and two are faster than three and one. */
		size_t together = count == 4 ? 2 : count;

		compress_step(runs, together < lanes ? together : lanes);
	}
}

static struct sha256 *sha256_of(struct oci_hash *hash)
{
	return (struct sha256 *)(void *)hash->state;
}

static SHA512_CTX *sha512_of(struct oci_hash *hash)
{
	return (SHA512_CTX *)(void *)hash->state;
}

/* Take what completes a block that was begun; returns how much that is. */
static size_t sha256_top_up(struct sha256 *s, const void *data, size_t len)
{
	size_t have = s->done % OCI_SHA256_BLOCK;
	size_t take = OCI_SHA256_BLOCK - have < len ? OCI_SHA256_BLOCK - have : len;

	if (have == 0)
		return 0;
	memcpy(s->rest + have, data, take);
	s->done += take;
	if (have + take == OCI_SHA256_BLOCK)
		compress_one(s->words, s->rest, 1);
	return take;
}

/* Keep what is no whole block, when the others are done with. */
static void sha256_keep(struct sha256 *s, const unsigned char *data, size_t len)
{
	size_t rest = len % OCI_SHA256_BLOCK;

	s->done += len;
	if (rest > 0)
		memcpy(s->rest, data + (len - rest), rest);
}

static void sha256_update(struct sha256 *s, const unsigned char *data, size_t len)
{
	size_t taken = sha256_top_up(s, data, len);

	data += taken;
	len -= taken;
	if (len >= OCI_SHA256_BLOCK)
		compress_one(s->words, data, len / OCI_SHA256_BLOCK);
	sha256_keep(s, data, len);
}

void oci_hash_init(struct oci_hash *hash, enum oci_digest_alg alg)
{
	assert(alg == OCI_SHA256 || alg == OCI_SHA512);
	hash->alg = alg;
	if (alg == OCI_SHA512) {
		SHA512_Init(sha512_of(hash));
		return;
	}
	sha256_of(hash)->done = 0;
	memcpy(sha256_of(hash)->words, first_words, sizeof first_words);
}

void oci_hash_update(struct oci_hash *hash, const void *data, size_t len)
{
	if (len == 0)
		return;
	if (hash->alg == OCI_SHA512)
		SHA512_Update(sha512_of(hash), data, len);
	else
		sha256_update(sha256_of(hash), data, len);
}

static void update_group(struct oci_hash_lane *lanes, size_t count)
{
	struct run runs[GROUP];

	for (size_t i = 0; i < count; i++) {
		struct oci_hash_lane *lane = &lanes[i];
		size_t taken = lane->len;

		if (lane->hash->alg == OCI_SHA256 && lane->len > 0)
			taken = sha256_top_up(sha256_of(lane->hash), lane->data, lane->len);
		else
			oci_hash_update(lane->hash, lane->data, lane->len);
		if (taken > 0)
			lane->data = (const unsigned char *)lane->data + taken;
		lane->len -= taken;
		runs[i] = (struct run){{sha256_of(lane->hash)->words, lane->data}, lane->len / OCI_SHA256_BLOCK};
	}
	compress_many(runs, count);
	for (size_t i = 0; i < count; i++) {
		struct oci_hash_lane *lane = &lanes[i];

		if (lane->len == 0)
			continue;
		sha256_keep(sha256_of(lane->hash), lane->data, lane->len);
		lane->data = (const unsigned char *)lane->data + lane->len;
		lane->len = 0;
	}
}

void oci_hash_update_many(struct oci_hash_lane *lanes, size_t count)
{
	for (; count > GROUP; lanes += GROUP, count -= GROUP)
		update_group(lanes, GROUP);
	update_group(lanes, count);
}

static void sha256_final(const struct sha256 *s, unsigned char *out)
{
	size_t rest = s->done % OCI_SHA256_BLOCK;
	SHA256_CTX ctx;

	context_load(&ctx, s->words, s->done - rest);
	SHA256_Update(&ctx, s->rest, rest);
	SHA256_Final(out, &ctx);
}

void oci_hash_final(struct oci_hash *hash, struct oci_digest *ret)
{
	*ret = (struct oci_digest){.alg = hash->alg};
	if (hash->alg == OCI_SHA512)
		SHA512_Final(ret->bytes, sha512_of(hash));
	else
		sha256_final(sha256_of(hash), ret->bytes);
}

void oci_digest_of(enum oci_digest_alg alg, const void *data, size_t len, struct oci_digest *ret)
{
	struct oci_hash hash;

	oci_hash_init(&hash, alg);
	oci_hash_update(&hash, data, len);
	oci_hash_final(&hash, ret);
}

static void chain_store(const uint32_t *words, unsigned char chain[OCI_CHAIN_BYTES])
{
	for (size_t i = 0; i < OCI_CHAIN_BYTES; i++)
		chain[i] = (unsigned char)(words[i / 4] >> (24 - 8 * (i % 4)));
}

static void chain_load(uint32_t *words, const unsigned char chain[OCI_CHAIN_BYTES])
{
	for (size_t i = 0; i < OCI_SHA256_WORDS; i++) {
		const unsigned char *p = chain + 4 * i;

		words[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	}
}

void oci_hash_chain(const struct oci_hash *hash, unsigned char chain[OCI_CHAIN_BYTES])
{
	const struct sha256 *s = (const struct sha256 *)(const void *)hash->state;

	assert(hash->alg == OCI_SHA256 && s->done % OCI_CHAIN_BLOCK == 0);
	chain_store(s->words, chain);
}

void oci_hash_resume(struct oci_hash *hash, const unsigned char chain[OCI_CHAIN_BYTES], uint64_t done)
{
	assert(done % OCI_CHAIN_BLOCK == 0);
	hash->alg = OCI_SHA256;
	sha256_of(hash)->done = done;
	chain_load(sha256_of(hash)->words, chain);
}

void oci_chain_start(unsigned char chain[OCI_CHAIN_BYTES])
{
	chain_store(first_words, chain);
}

void oci_chain_update(unsigned char chain[OCI_CHAIN_BYTES], const void *data, size_t len)
{
	struct oci_chain_lane lane = {chain, data, len};

	oci_chain_update_many(&lane, 1);
}

static void chain_group(struct oci_chain_lane *lanes, size_t count)
{
	uint32_t words[GROUP][OCI_SHA256_WORDS];
	struct run runs[GROUP];

	for (size_t i = 0; i < count; i++) {
		/* A rest would be left out of the value without a word: unverified bytes. */
		assert(lanes[i].len % OCI_CHAIN_BLOCK == 0);
		chain_load(words[i], lanes[i].chain);
		runs[i] = (struct run){{words[i], lanes[i].data}, lanes[i].len / OCI_CHAIN_BLOCK};
	}
	compress_many(runs, count);
	for (size_t i = 0; i < count; i++) {
		chain_store(words[i], lanes[i].chain);
		if (lanes[i].len > 0)
			lanes[i].data = (const unsigned char *)lanes[i].data + lanes[i].len;
		lanes[i].len = 0;
	}
}

void oci_chain_update_many(struct oci_chain_lane *lanes, size_t count)
{
	for (; count > GROUP; lanes += GROUP, count -= GROUP)
		chain_group(lanes, GROUP);
	chain_group(lanes, count);
}

void oci_chain_final(const unsigned char chain[OCI_CHAIN_BYTES], const void *tail, size_t len,
	uint64_t total, struct oci_digest *ret)
{
	struct oci_hash hash;

	assert(len <= total && (total - len) % OCI_CHAIN_BLOCK == 0);
	oci_hash_resume(&hash, chain, total - len);
	oci_hash_update(&hash, tail, len);
	oci_hash_final(&hash, ret);
}
