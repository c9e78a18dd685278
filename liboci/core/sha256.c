#include "core/sha256.h"

#include <stdbool.h>

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define SHA_CODE __attribute__((target("sha,sse4.1")))

typedef __m128i quad; /* four words */

struct halves { /* of the state, in the order that the instructions want */
	quad abef, cdgh;
};

#elif defined(__aarch64__)

#include <arm_neon.h>
#include <sys/auxv.h>

#define SHA_CODE __attribute__((target("+crypto")))

typedef uint32x4_t quad;

struct halves {
	quad abcd, efgh;
};

#endif

#ifdef SHA_CODE

#define SHA_STEP static inline __attribute__((always_inline)) SHA_CODE

static const _Alignas(64) uint32_t constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* What each processor says in its own words: the state in and out, 16 bytes of
 * the message, four rounds, and the four message words that come 16 after. */
#if defined(__x86_64__)

SHA_STEP struct halves halves_load(const uint32_t *state)
{
	quad cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xb1);
	quad efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1b);

	return (struct halves){_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}

SHA_STEP void halves_store(struct halves h, uint32_t *state)
{
	quad feba = _mm_shuffle_epi32(h.abef, 0x1b);
	quad dchg = _mm_shuffle_epi32(h.cdgh, 0xb1);

	_mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

SHA_STEP struct halves halves_add(struct halves a, struct halves b)
{
	return (struct halves){_mm_add_epi32(a.abef, b.abef), _mm_add_epi32(a.cdgh, b.cdgh)};
}

SHA_STEP quad message_load(const unsigned char *data)
{
	const quad big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);

	return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)data), big_endian);
}

SHA_STEP struct halves four_rounds(struct halves h, quad w, const uint32_t *k)
{
	quad wk = _mm_add_epi32(w, _mm_load_si128((const __m128i *)(const void *)k));

	h.cdgh = _mm_sha256rnds2_epu32(h.cdgh, h.abef, wk);
	h.abef = _mm_sha256rnds2_epu32(h.abef, h.cdgh, _mm_shuffle_epi32(wk, 0x0e));
	return h;
}

SHA_STEP quad message_next(quad w0, quad w4, quad w8, quad w12)
{
	quad sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w4), _mm_alignr_epi8(w12, w8, 4));

	return _mm_sha256msg2_epu32(sum, w12);
}

#else

SHA_STEP struct halves halves_load(const uint32_t *state)
{
	return (struct halves){vld1q_u32(state), vld1q_u32(state + 4)};
}

SHA_STEP void halves_store(struct halves h, uint32_t *state)
{
	vst1q_u32(state, h.abcd);
	vst1q_u32(state + 4, h.efgh);
}

SHA_STEP struct halves halves_add(struct halves a, struct halves b)
{
	return (struct halves){vaddq_u32(a.abcd, b.abcd), vaddq_u32(a.efgh, b.efgh)};
}

SHA_STEP quad message_load(const unsigned char *data)
{
	return vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data)));
}

SHA_STEP struct halves four_rounds(struct halves h, quad w, const uint32_t *k)
{
	quad wk = vaddq_u32(w, vld1q_u32(k));

	return (struct halves){vsha256hq_u32(h.abcd, h.efgh, wk), vsha256h2q_u32(h.efgh, h.abcd, wk)};
}

SHA_STEP quad message_next(quad w0, quad w4, quad w8, quad w12)
{
	return vsha256su1q_u32(vsha256su0q_u32(w0, w4), w8, w12);
}

#endif

struct lane_work {
	struct halves now;
	quad w[4]; /* the last 16 words of the message */
};

/* 16 rounds of every lane, in turns of four. `more`: words for the next 16. */
SHA_STEP void sixteen_rounds(struct lane_work *work, const uint32_t *k, const size_t lanes, const bool more)
{
#pragma GCC unroll 4
	for (size_t i = 0; i < 4; i++) {
#pragma GCC unroll 3
		for (size_t l = 0; l < lanes; l++) {
			quad *w = work[l].w;

			work[l].now = four_rounds(work[l].now, w[i], k + 4 * i);
			if (more)
				w[i] = message_next(w[i], w[(i + 1) % 4], w[(i + 2) % 4], w[(i + 3) % 4]);
		}
	}
}

/* `lanes` is a constant wherever this is inlined, so that all lives in registers. */
SHA_STEP void compress(const struct oci_sha256_lane *lane, const size_t lanes, size_t blocks)
{
	struct halves state[OCI_SHA256_LANES_MAX];
	struct lane_work work[OCI_SHA256_LANES_MAX];

#pragma GCC unroll 3
	for (size_t l = 0; l < lanes; l++)
		state[l] = halves_load(lane[l].state);
	for (size_t at = 0; at < blocks * OCI_SHA256_BLOCK; at += OCI_SHA256_BLOCK) {
#pragma GCC unroll 3
		for (size_t l = 0; l < lanes; l++) {
			work[l].now = state[l];
#pragma GCC unroll 4
			for (size_t i = 0; i < 4; i++)
				work[l].w[i] = message_load(lane[l].data + at + 16 * i);
		}
		for (size_t k = 0; k < 48; k += 16)
			sixteen_rounds(work, constants + k, lanes, true);
		sixteen_rounds(work, constants + 48, lanes, false);
#pragma GCC unroll 3
		for (size_t l = 0; l < lanes; l++)
			state[l] = halves_add(state[l], work[l].now);
	}
#pragma GCC unroll 3
	for (size_t l = 0; l < lanes; l++)
		halves_store(state[l], lane[l].state);
}

static SHA_CODE void compress_native(const struct oci_sha256_lane *lanes, size_t count, size_t blocks)
{
	switch (count) {
	case 1:
		compress(lanes, 1, blocks);
		break;
	case 2:
		compress(lanes, 2, blocks);
		break;
	default:
		compress(lanes, 3, blocks);
		break;
	}
}

#endif

#if defined(__x86_64__)

static bool processor_has_it(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3))
		return 0;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

#elif defined(__aarch64__)

static bool processor_has_it(void)
{
	return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0;
}

#endif

oci_sha256_fn oci_sha256_native(void)
{
#ifdef SHA_CODE
	return processor_has_it() ? compress_native : NULL;
#else
	return NULL;
#endif
}
