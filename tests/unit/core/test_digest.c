#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "core/digest.h"

#define ABC_SHA256 "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC_SHA512                                                                    \
	"sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"         \
	"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

/* A fixed seed: a failure must come again. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static unsigned char *random_bytes(size_t len)
{
	unsigned char *data = malloc(len ? len : 1);
	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (unsigned char)next_random();
	return data;
}

/* The second opinion: OpenSSL's high-level interface. */
static void evp_digest(enum oci_digest_alg alg, const void *data, size_t len, struct oci_digest *ret)
{
	unsigned size = 0;
	*ret = (struct oci_digest){.alg = alg};
	assert_int_equal(EVP_Digest(data, len, ret->bytes, &size, alg == OCI_SHA512 ? EVP_sha512() : EVP_sha256(),
		NULL), 1);
}

static void digest_parse_and_format_are_inverse(void **state)
{
	char text[OCI_DIGEST_TEXT_MAX];
	struct oci_digest digest;
	assert_int_equal(oci_digest_parse(ABC_SHA256, &digest, NULL), 0);
	assert_int_equal(digest.alg, OCI_SHA256);
	assert_string_equal(oci_digest_format(&digest, text), ABC_SHA256);
	assert_string_equal(oci_digest_hex(&digest, text), strchr(ABC_SHA256, ':') + 1);
	assert_int_equal(oci_digest_parse(ABC_SHA512, &digest, NULL), 0);
	assert_int_equal(digest.alg, OCI_SHA512);
	assert_string_equal(oci_digest_format(&digest, text), ABC_SHA512);
	assert_string_equal(oci_digest_hex(&digest, text), strchr(ABC_SHA512, ':') + 1);
}

static void digest_parse_rejects_malformed_text(void **state)
{
	static const char *const bad[] = {
		"", ":", "sha256", "sha256:", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
		"SHA256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
		"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015add",
		ABC_SHA256 "\n", " " ABC_SHA256, ABC_SHA256 "/..", "sha256:../../../../etc/passwd", "../sha256:aa",
		"sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha256::ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a", "+:a", "a+:b", "a..b:c",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct oci_error err = {0};
		struct oci_digest digest = {.alg = 0};
		assert_int_equal(oci_digest_parse(bad[i], &digest, &err), -1);
		assert_int_equal(err.code, OCI_E_FORMAT);
		assert_int_equal(digest.alg, 0);
	}
}

static void digest_parse_calls_other_algorithms_unsupported(void **state)
{
	static const char *const others[] = {
		"md5:d41d8cd98f00b204e9800998ecf8427e", "blake3:aa", "sha384:00", "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBN",
		"sha25:00", "sha2566:00",
	};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct oci_error err = {0};
		struct oci_digest digest;
		assert_int_equal(oci_digest_parse(others[i], &digest, &err), -1);
		assert_int_equal(err.code, OCI_E_UNSUPPORTED);
	}
}

static void digest_equal_needs_a_digest_on_both_sides(void **state)
{
	struct oci_digest none = {0}, a, b;
	oci_digest_of(OCI_SHA256, "abc", 3, &a);
	oci_digest_of(OCI_SHA256, "abc", 3, &b);
	assert_true(oci_digest_equal(&a, &b));
	b.bytes[31] ^= 1;
	assert_false(oci_digest_equal(&a, &b));
	oci_digest_of(OCI_SHA512, "abc", 3, &b);
	assert_false(oci_digest_equal(&a, &b));
	assert_false(oci_digest_equal(&a, &none));
	assert_false(oci_digest_equal(&none, &none));
}

static void digest_of_an_absent_digest_is_empty_text(void **state)
{
	char text[OCI_DIGEST_TEXT_MAX];
	struct oci_digest none = {0};
	assert_string_equal(oci_digest_format(&none, text), "");
	assert_string_equal(oci_digest_hex(&none, text), "");
	assert_string_equal(oci_digest_alg_name(none.alg), "");
	assert_string_equal(oci_digest_alg_name(OCI_SHA512), "sha512");
}

static void digest_of_known_text_is_the_published_one(void **state)
{
	char text[OCI_DIGEST_TEXT_MAX];
	struct oci_digest digest;
	oci_digest_of(OCI_SHA256, "abc", 3, &digest);
	assert_string_equal(oci_digest_format(&digest, text), ABC_SHA256);
	oci_digest_of(OCI_SHA512, "abc", 3, &digest);
	assert_string_equal(oci_digest_format(&digest, text), ABC_SHA512);
	oci_digest_of(OCI_SHA256, NULL, 0, &digest);
	assert_string_equal(oci_digest_format(&digest, text),
		"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void hash_in_random_pieces(enum oci_digest_alg alg, const unsigned char *data, size_t len)
{
	struct oci_hash hash;
	struct oci_digest got, want;
	oci_hash_init(&hash, alg);
	for (size_t done = 0; done < len;) {
		size_t piece = next_random() % (len - done) + 1;
		oci_hash_update(&hash, data + done, piece);
		done += piece;
	}
	oci_hash_final(&hash, &got);
	evp_digest(alg, data, len, &want);
	assert_true(oci_digest_equal(&got, &want));
}

static void hash_in_any_pieces_agrees_with_evp(void **state)
{
	for (int round = 0; round < 300; round++) {
		size_t len = round < 200 ? (size_t)round : next_random() % 100000;
		unsigned char *data = random_bytes(len);
		hash_in_random_pieces(OCI_SHA256, data, len);
		hash_in_random_pieces(OCI_SHA512, data, len);
		free(data);
	}
}

struct chained {
	unsigned char *data;
	size_t len, block, blocks; /* all full blocks; the rest is the tail */
	unsigned char (*chains)[OCI_CHAIN_BYTES]; /* blocks + 1 */
	struct oci_digest digest;
};

static void chained_init(struct chained *c, size_t len, size_t block)
{
	struct oci_hash hash;
	c->data = random_bytes(len);
	c->len = len;
	c->block = block;
	c->blocks = len / block;
	c->chains = calloc(c->blocks + 1, OCI_CHAIN_BYTES);
	assert_non_null(c->chains);
	oci_hash_init(&hash, OCI_SHA256);
	oci_hash_chain(&hash, c->chains[0]);
	for (size_t i = 0; i < c->blocks; i++) {
		oci_hash_update(&hash, c->data + i * block, block);
		oci_hash_chain(&hash, c->chains[i + 1]);
	}
	oci_hash_update(&hash, c->data + c->blocks * block, len - c->blocks * block);
	oci_hash_final(&hash, &c->digest);
}

static void chained_clear(struct chained *c)
{
	free(c->data);
	free(c->chains);
}

static bool block_holds(const struct chained *c, size_t i)
{
	unsigned char chain[OCI_CHAIN_BYTES];
	memcpy(chain, c->chains[i], sizeof(chain));
	size_t half = next_random() % (c->block / OCI_CHAIN_BLOCK + 1) * OCI_CHAIN_BLOCK;
	oci_chain_update(chain, c->data + i * c->block, half);
	oci_chain_update(chain, c->data + i * c->block + half, c->block - half);
	return memcmp(chain, c->chains[i + 1], sizeof(chain)) == 0;
}

static bool tail_holds(const struct chained *c)
{
	struct oci_digest digest;
	size_t done = c->blocks * c->block;
	oci_chain_final(c->chains[c->blocks], c->data + done, c->len - done, c->len, &digest);
	return oci_digest_equal(&digest, &c->digest);
}

static void chain_starts_with_the_value_of_the_standard(void **state)
{
	static const unsigned char standard[OCI_CHAIN_BYTES] = {
		0x6a, 0x09, 0xe6, 0x67, 0xbb, 0x67, 0xae, 0x85, 0x3c, 0x6e, 0xf3, 0x72, 0xa5, 0x4f, 0xf5, 0x3a,
		0x51, 0x0e, 0x52, 0x7f, 0x9b, 0x05, 0x68, 0x8c, 0x1f, 0x83, 0xd9, 0xab, 0x5b, 0xe0, 0xcd, 0x19,
	};
	unsigned char chain[OCI_CHAIN_BYTES];
	struct oci_hash hash;
	oci_chain_start(chain);
	assert_memory_equal(chain, standard, sizeof(chain));
	oci_hash_init(&hash, OCI_SHA256);
	oci_hash_chain(&hash, chain);
	assert_memory_equal(chain, standard, sizeof(chain));
}

static void chain_blocks_verify_alone_and_in_any_order(void **state)
{
	for (int round = 0; round < 40; round++) {
		struct chained c;
		struct oci_digest want;
		size_t block = OCI_CHAIN_BLOCK * (next_random() % 200 + 1);
		chained_init(&c, next_random() % (block * 20) + block, block);
		evp_digest(OCI_SHA256, c.data, c.len, &want);
		assert_true(oci_digest_equal(&c.digest, &want));
		for (size_t n = 0; n < 2 * c.blocks; n++)
			assert_true(block_holds(&c, next_random() % c.blocks));
		assert_true(tail_holds(&c));
		chained_clear(&c);
	}
}

static void chain_catches_every_flipped_bit(void **state)
{
	for (int round = 0; round < 200; round++) {
		struct chained c;
		size_t block = OCI_CHAIN_BLOCK * (next_random() % 20 + 1);
		chained_init(&c, block * 5 + next_random() % block + 1, block);
		size_t at = next_random() % c.len;
		c.data[at] ^= (unsigned char)(1u << next_random() % 8);
		for (size_t i = 0; i < c.blocks; i++)
			assert_int_equal(block_holds(&c, i), i != at / block);
		assert_int_equal(tail_holds(&c), at < c.blocks * block);
		chained_clear(&c);
	}
}

static void chain_catches_swapped_blocks_and_a_wrong_total(void **state)
{
	struct chained c;
	struct oci_digest digest;
	chained_init(&c, 64 * 10 + 7, 64);
	unsigned char first[64];
	memcpy(first, c.data, 64);
	memcpy(c.data, c.data + 64, 64);
	memcpy(c.data + 64, first, 64);
	assert_false(block_holds(&c, 0));
	assert_false(block_holds(&c, 1));
	assert_true(block_holds(&c, 2));
	oci_chain_final(c.chains[10], c.data + 640, 7, 647 + 64, &digest);
	assert_false(oci_digest_equal(&digest, &c.digest));
	chained_clear(&c);
}

static void chain_final_takes_a_tail_of_any_length(void **state)
{
	unsigned char *data = random_bytes(1000);
	struct oci_digest got, want;
	for (size_t len = 0; len <= 1000; len++) {
		unsigned char chain[OCI_CHAIN_BYTES];
		size_t head = next_random() % (len / OCI_CHAIN_BLOCK + 1) * OCI_CHAIN_BLOCK;
		oci_chain_start(chain);
		oci_chain_update(chain, data, head);
		oci_chain_final(chain, data + head, len - head, len, &got);
		evp_digest(OCI_SHA256, data, len, &want);
		assert_true(oci_digest_equal(&got, &want));
	}
	free(data);
}

/* Beyond 512 MiB the bit count needs its upper word. The chaining value is
 * made by hand there: only the length in the padding is under test. */
static void chain_final_counts_beyond_32_bits(void **state)
{
	unsigned char chain[OCI_CHAIN_BYTES], padded[OCI_CHAIN_BLOCK] = {'x', 0x80};
	const uint64_t total = (UINT64_C(1) << 40) + 1, bits = total * 8;
	struct oci_digest digest;
	oci_chain_start(chain);
	oci_chain_final(chain, "x", 1, total, &digest);
	for (size_t i = 0; i < 8; i++)
		padded[56 + i] = (unsigned char)(bits >> (56 - 8 * i));
	oci_chain_update(chain, padded, sizeof(padded));
	assert_memory_equal(chain, digest.bytes, sizeof(chain));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digest_parse_and_format_are_inverse),
		cmocka_unit_test(digest_parse_rejects_malformed_text),
		cmocka_unit_test(digest_parse_calls_other_algorithms_unsupported),
		cmocka_unit_test(digest_equal_needs_a_digest_on_both_sides),
		cmocka_unit_test(digest_of_an_absent_digest_is_empty_text),
		cmocka_unit_test(digest_of_known_text_is_the_published_one),
		cmocka_unit_test(hash_in_any_pieces_agrees_with_evp),
		cmocka_unit_test(chain_starts_with_the_value_of_the_standard),
		cmocka_unit_test(chain_blocks_verify_alone_and_in_any_order),
		cmocka_unit_test(chain_catches_every_flipped_bit),
		cmocka_unit_test(chain_catches_swapped_blocks_and_a_wrong_total),
		cmocka_unit_test(chain_final_takes_a_tail_of_any_length),
		cmocka_unit_test(chain_final_counts_beyond_32_bits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
