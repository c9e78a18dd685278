#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "core/digest.h"
#include "core/sha256.h"

#define STREAMS_MAX 20

/* A fixed seed: a failure must come again. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static unsigned rounds(unsigned few)
{
	return getenv("MODELCAR_FULL") ? 50 * few : few;
}

/* Empty, shorter than a block, around a block, long. */
static size_t random_len(void)
{
	static const size_t below[] = {1, 64, 130, 1000, 20000};

	return next_random() % below[next_random() % (sizeof below / sizeof *below)];
}

struct stream {
	unsigned char *data; /* malloc of exactly its length, so that a sanitizer sees reads beyond */
	size_t len, done;
	struct oci_hash hash;
	unsigned char chain[OCI_CHAIN_BYTES];
};

static void stream_init(struct stream *s, enum oci_digest_alg alg, size_t len)
{
	*s = (struct stream){.data = malloc(len ? len : 1), .len = len};
	assert_non_null(s->data);
	for (size_t i = 0; i < len; i++)
		s->data[i] = (unsigned char)next_random();
	oci_hash_init(&s->hash, alg);
	oci_chain_start(s->chain);
}

/* The second opinion: OpenSSL's high-level interface. */
static bool stream_agrees(struct stream *s)
{
	struct oci_digest got, want = {.alg = s->hash.alg};
	const EVP_MD *md = s->hash.alg == OCI_SHA512 ? EVP_sha512() : EVP_sha256();

	assert_int_equal(EVP_Digest(s->data, s->len, want.bytes, NULL, md, NULL), 1);
	oci_hash_final(&s->hash, &got);
	return oci_digest_equal(&got, &want);
}

static size_t random_piece(const struct stream *s)
{
	size_t left = s->len - s->done;
	size_t piece = next_random() % 3 == 0 ? left : random_len();

	return piece < left ? piece : left;
}

/* Some of the streams get some of their bytes; true while any has bytes left. */
static bool update_some(struct stream *streams, size_t count)
{
	struct oci_hash_lane lanes[STREAMS_MAX];
	size_t used = 0;
	bool more = false;

	for (size_t i = 0; i < count; i++) {
		struct stream *s = &streams[i];
		size_t piece = random_piece(s);

		if (next_random() % 4 == 0) {
			more = true;
			continue;
		}
		lanes[used++] = (struct oci_hash_lane){&s->hash, piece ? s->data + s->done : NULL, piece};
		s->done += piece;
		more = more || s->done < s->len;
	}
	oci_hash_update_many(lanes, used);
	for (size_t i = 0; i < used; i++)
		assert_int_equal(lanes[i].len, 0);
	return more;
}

static void lanes_of_any_mix_agree_with_evp(void **state)
{
	for (unsigned round = 0; round < rounds(300); round++) {
		struct stream streams[STREAMS_MAX];
		size_t count = 1 + next_random() % STREAMS_MAX;

		for (size_t i = 0; i < count; i++)
			stream_init(&streams[i], next_random() % 8 ? OCI_SHA256 : OCI_SHA512, random_len());
		while (update_some(streams, count))
			;
		for (size_t i = 0; i < count; i++) {
			assert_true(stream_agrees(&streams[i]));
			free(streams[i].data);
		}
	}
}

static void lanes_of_no_stream_are_no_work(void **state)
{
	oci_hash_update_many(NULL, 0);
	oci_chain_update_many(NULL, 0);
}

/* Whole blocks through oci_chain_update_many(), the tail by chain_final. */
static void chains_side_by_side_agree_with_evp(void **state)
{
	for (unsigned round = 0; round < rounds(300); round++) {
		struct stream streams[STREAMS_MAX];
		struct oci_chain_lane lanes[STREAMS_MAX];
		size_t count = 1 + next_random() % STREAMS_MAX;

		for (size_t i = 0; i < count; i++) {
			struct stream *s = &streams[i];

			stream_init(s, OCI_SHA256, random_len());
			s->done = s->len / OCI_CHAIN_BLOCK * OCI_CHAIN_BLOCK;
			lanes[i] = (struct oci_chain_lane){s->chain, s->data, s->done};
		}
		oci_chain_update_many(lanes, count);
		for (size_t i = 0; i < count; i++) {
			struct stream *s = &streams[i];
			struct oci_digest whole, got;

			oci_digest_of(OCI_SHA256, s->data, s->len, &whole);
			oci_chain_final(s->chain, s->data + s->done, s->len - s->done, s->len, &got);
			assert_true(oci_digest_equal(&got, &whole));
			oci_hash_update(&s->hash, s->data, s->len);
			assert_true(stream_agrees(s));
			free(s->data);
		}
	}
}

static void hash_resumes_where_a_chain_stands(void **state)
{
	for (unsigned round = 0; round < rounds(200); round++) {
		struct stream s;
		unsigned char chain[OCI_CHAIN_BYTES];

		stream_init(&s, OCI_SHA256, random_len());
		s.done = s.len / OCI_CHAIN_BLOCK;
		s.done = next_random() % (s.done + 1) * OCI_CHAIN_BLOCK;
		oci_hash_update(&s.hash, s.data, s.done);
		oci_hash_chain(&s.hash, chain);
		memset(&s.hash, 0xee, sizeof s.hash);
		oci_hash_resume(&s.hash, chain, s.done);
		oci_hash_update(&s.hash, s.data + s.done, s.len - s.done);
		assert_true(stream_agrees(&s));
		free(s.data);
	}
}

/* Right with one lane, wrong in the last of several. */
static void compress_badly(const struct oci_sha256_lane *lanes, size_t count, size_t blocks)
{
	oci_sha256_native()(lanes, count, blocks);
	if (count > 1)
		lanes[count - 1].state[7] ^= 1;
}

static void self_test_tells_right_from_wrong(void **state)
{
	if (!oci_sha256_native()) {
		print_message("no SHA instructions here\n");
		skip();
	}
	assert_true(oci_sha256_is_right(oci_sha256_native()));
	assert_false(oci_sha256_is_right(compress_badly));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lanes_of_any_mix_agree_with_evp),
		cmocka_unit_test(lanes_of_no_stream_are_no_work),
		cmocka_unit_test(chains_side_by_side_agree_with_evp),
		cmocka_unit_test(hash_resumes_where_a_chain_stands),
		cmocka_unit_test(self_test_tells_right_from_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
