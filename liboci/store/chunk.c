#include "store/chunk.h"

void oci_chunk_init(struct oci_chunk *chunk, atomic_uint_fast64_t *ceiling_bytes)
{
	*chunk = (struct oci_chunk){.ceiling_bytes = ceiling_bytes};
}

uint64_t oci_chunk_next(const struct oci_chunk *chunk, uint64_t left)
{
	uint64_t size = atomic_load(chunk->ceiling_bytes);
	uint64_t parts_left = chunk->parts < OCI_CHUNK_PARTS ? OCI_CHUNK_PARTS - chunk->parts : 1;
	uint64_t share = left / parts_left + (left % parts_left > 0);

	if (chunk->bytes_per_second && size / OCI_CHUNK_SECONDS > chunk->bytes_per_second)
		size = chunk->bytes_per_second * OCI_CHUNK_SECONDS;
	if (size < OCI_CHUNK_MIN)
		size = OCI_CHUNK_MIN;
	if (size < share)
		size = share;
	if (size < chunk->minimum_bytes)
		size = chunk->minimum_bytes;
	return size < left ? size : left;
}

void oci_chunk_passed(struct oci_chunk *chunk, uint64_t bytes, uint64_t took_ms)
{
	uint64_t now = took_ms ? bytes / took_ms * 1000 : bytes * 1000;

	if (now == 0)
		now = 1;
	chunk->bytes_per_second = chunk->bytes_per_second ? (chunk->bytes_per_second + now) / 2 : now;
	chunk->parts++;
}

static void lower(struct oci_chunk *chunk, uint64_t to)
{
	uint_fast64_t now = atomic_load(chunk->ceiling_bytes);

	while (to < now && !atomic_compare_exchange_weak(chunk->ceiling_bytes, &now, to))
		;
}

void oci_chunk_cut(struct oci_chunk *chunk, uint64_t passed)
{
	uint64_t floor = atomic_load(chunk->ceiling_bytes) / 4, to = OCI_CHUNK_CUT_MIN;

	while (to * 2 < passed && to * 2 < OCI_CHUNK_START)
		to *= 2;
	lower(chunk, to > floor ? to : floor);
}

bool oci_chunk_refused(struct oci_chunk *chunk, uint64_t bytes)
{
	if (bytes <= OCI_CHUNK_MIN || bytes <= chunk->minimum_bytes)
		return false;
	lower(chunk, bytes / 2 > OCI_CHUNK_MIN ? bytes / 2 : OCI_CHUNK_MIN);
	return true;
}
