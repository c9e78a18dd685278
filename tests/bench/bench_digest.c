/* The rate of SHA-256 on one core, in GB a second of processor time: OpenSSL
 * with one stream, and this library with one to four. Rounds alternate, so that
 * what else the machine does falls on all of them; the median counts. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "core/digest.h"

#define STREAMS 4
#define ROUNDS 15
#define PIECE OCI_MIB /* as a worker has it in its buffer */
#define PIECES 64     /* a round and stream */

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double rate_openssl(const unsigned char *data)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	double start = cpu_s();

	if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		exit(1);
	for (size_t i = 0; i < PIECES; i++)
		EVP_DigestUpdate(ctx, data, PIECE);
	EVP_MD_CTX_free(ctx);
	return (double)PIECE * PIECES / (cpu_s() - start) / 1e9;
}

static double rate_lanes(const unsigned char *data, size_t streams)
{
	struct oci_hash hashes[STREAMS];
	double start;

	for (size_t i = 0; i < streams; i++)
		oci_hash_init(&hashes[i], OCI_SHA256);
	start = cpu_s();
	for (size_t n = 0; n < PIECES; n++) {
		struct oci_hash_lane lanes[STREAMS];

		for (size_t i = 0; i < streams; i++)
			lanes[i] = (struct oci_hash_lane){&hashes[i], data + i * PIECE, PIECE};
		oci_hash_update_many(lanes, streams);
	}
	return (double)(PIECE * PIECES * streams) / (cpu_s() - start) / 1e9;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof *values, by_value);
	return values[ROUNDS / 2];
}

int main(void)
{
	double rates[STREAMS + 1][ROUNDS], openssl;
	unsigned char *data = malloc(STREAMS * PIECE);

	if (!data)
		return 1;
	for (size_t i = 0; i < STREAMS * PIECE; i++)
		data[i] = (unsigned char)(i * i >> 5);
	for (size_t r = 0; r < ROUNDS; r++) {
		rates[0][r] = rate_openssl(data);
		for (size_t s = 1; s <= STREAMS; s++)
			rates[s][r] = rate_lanes(data, s);
	}
	openssl = median(rates[0]);
	printf("lanes worth while: %u\nOpenSSL, 1 stream:  %.2f GB/s\n", oci_hash_lanes(), openssl);
	for (size_t s = 1; s <= STREAMS; s++)
		printf("here, %zu stream%s %s %.2f GB/s  %.2f x\n", s, s == 1 ? ": " : "s:", "   ",
			median(rates[s]), median(rates[s]) / openssl);
	free(data);
	return 0;
}
