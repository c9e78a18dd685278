#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "engine/block_index.h"
#include "base/str.h"

/* One layer of one file whose bytes come from a seeded generator. */
struct sample {
	char *bytes;
	uint64_t size, start;
	struct oci_block_index index;
	const struct oci_block_index_layer *layer;
};

static unsigned seed;

static void make_sample(struct sample *s, uint64_t file_size)
{
	const struct oci_layer_file file = {"sub/weights.bin", file_size};
	const struct oci_layer_shape shape = {.root = OCI_MODEL_ROOT, .files = &file, .count = 1};
	OCI_CLEANUP(oci_block_index_tape_clear) struct oci_block_index_tape tape;
	struct oci_block_index_file entry = {.path = (char *)"sub/weights.bin", .size_bytes = file_size};
	struct oci_block_index_layer layer = {0};
	struct oci_layer_walk walk;
	struct oci_layer_segment segment;

	*s = (struct sample){0};
	assert_int_equal(oci_layer_measure(&shape, &s->size, &s->start, NULL), 0);
	s->bytes = malloc(s->size);
	assert_non_null(s->bytes);
	oci_layer_walk_init(&walk, &shape);
	while (oci_layer_walk_next(&walk, &segment, NULL) > 0)
		for (uint64_t i = 0; i < segment.length; i++)
			s->bytes[segment.offset + i] =
				segment.bytes ? ((const char *)segment.bytes)[i] : (char)rand_r(&seed);
	oci_layer_walk_clear(&walk);
	oci_block_index_tape_init(&tape, s->start);
	for (uint64_t done = 0, take; done < s->size; done += take) {
		take = (uint64_t)rand_r(&seed) % (6 * OCI_MIB) + 1;
		if (take > s->size - done)
			take = s->size - done;
		assert_int_equal(oci_block_index_tape_update(&tape, s->bytes + done, take, NULL), 0);
	}
	oci_block_index_tape_final(&tape, &layer.digest);
	layer.size_bytes = s->size;
	layer.start = entry.offset = s->start;
	assert_int_equal(oci_block_index_add_layer(&s->index, &layer, &entry, 1, tape.chains.data, NULL), 0);
	s->layer = &s->index.layers[0];
}

static void free_sample(struct sample *s)
{
	oci_block_index_clear(&s->index);
	free(s->bytes);
}

static size_t block_length(const struct sample *s, uint64_t k)
{
	uint64_t at = s->start + k * OCI_BLOCK_BYTES;

	return s->size - at < OCI_BLOCK_BYTES ? (size_t)(s->size - at) : OCI_BLOCK_BYTES;
}

static bool block_ok(const struct sample *s, uint64_t k, uint64_t as)
{
	return oci_block_index_block_ok(&s->index, s->layer, as, s->bytes + s->start + k * OCI_BLOCK_BYTES,
		block_length(s, k));
}

static void every_block_proves_itself_in_any_order(void **state)
{
	/* Below, at and above a block; last block of one byte of data; several blocks. */
	static const uint64_t sizes[] = {1, 511, OCI_BLOCK_BYTES - 1024, OCI_BLOCK_BYTES, OCI_BLOCK_BYTES + 1,
		3 * OCI_BLOCK_BYTES - 1024, 3 * OCI_BLOCK_BYTES + 12345};

	for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
		OCI_CLEANUP(free_sample) struct sample s;
		uint64_t blocks, offset;

		make_sample(&s, sizes[n]);
		blocks = oci_block_index_blocks(s.size, s.start);
		assert_int_equal(s.index.chain_count, blocks);
		offset = (uint64_t)rand_r(&seed) % blocks;
		for (uint64_t i = 0; i < blocks; i++)
			assert_true(block_ok(&s, (offset + i * 7) % blocks, (offset + i * 7) % blocks));
		assert_true(oci_block_index_head_ok(&s.index, s.layer, s.bytes, s.start));
	}
}

static void any_flipped_bit_is_caught_in_its_block(void **state)
{
	OCI_CLEANUP(free_sample) struct sample s;
	uint64_t blocks;

	make_sample(&s, 2 * OCI_BLOCK_BYTES + 777);
	blocks = oci_block_index_blocks(s.size, s.start);
	for (int i = 0; i < 24; i++) {
		uint64_t at = (uint64_t)rand_r(&seed) * 4099 % s.size;
		char bit = (char)(1 << (rand_r(&seed) % 8));
		uint64_t wrong = 0;

		s.bytes[at] ^= bit;
		for (uint64_t k = 0; k < blocks; k++)
			wrong += !block_ok(&s, k, k);
		wrong += !oci_block_index_head_ok(&s.index, s.layer, s.bytes, s.start);
		assert_int_equal(wrong, 1);
		s.bytes[at] ^= bit;
	}
}

static void swapped_blocks_and_wrong_lengths_are_caught(void **state)
{
	OCI_CLEANUP(free_sample) struct sample s;

	make_sample(&s, 3 * OCI_BLOCK_BYTES + 5);
	assert_false(block_ok(&s, 1, 0));
	assert_false(block_ok(&s, 0, 1));
	assert_false(oci_block_index_block_ok(&s.index, s.layer, 0, s.bytes + s.start, OCI_BLOCK_BYTES - 64));
	assert_false(oci_block_index_block_ok(&s.index, s.layer, 3, s.bytes + s.start + 3 * OCI_BLOCK_BYTES,
		block_length(&s, 3) - 1));
	assert_false(oci_block_index_block_ok(&s.index, s.layer, 4, s.bytes, 64));
}

static void an_altered_checkpoint_is_caught_on_both_sides(void **state)
{
	OCI_CLEANUP(free_sample) struct sample s;
	uint64_t blocks;

	make_sample(&s, 3 * OCI_BLOCK_BYTES);
	blocks = oci_block_index_blocks(s.size, s.start);
	for (uint64_t k = 0; k < blocks; k++) {
		unsigned char *chain = s.index.chains + k * OCI_CHAIN_BYTES;
		unsigned at = (unsigned)rand_r(&seed) % OCI_CHAIN_BYTES;

		chain[at] ^= 1;
		assert_false(block_ok(&s, k, k));
		if (k == 0)
			assert_false(oci_block_index_head_ok(&s.index, s.layer, s.bytes, s.start));
		else
			assert_false(block_ok(&s, k - 1, k - 1));
		chain[at] ^= 1;
	}
}

static void an_index_layer_comes_back_as_it_was(void **state)
{
	OCI_CLEANUP(free_sample) struct sample s;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	OCI_CLEANUP(oci_block_index_clear) struct oci_block_index back = {0};
	struct oci_error err = {0};

	make_sample(&s, OCI_BLOCK_BYTES + 99);
	oci_buf_init(&bytes, OCI_BLOCK_INDEX_MAX);
	assert_int_equal(oci_block_index_format(&s.index, &bytes, NULL), 0);
	if (oci_block_index_parse(bytes.data, bytes.len, &back, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(back.layer_count, 1);
	assert_int_equal(back.file_count, 1);
	assert_string_equal(back.files[0].path, "sub/weights.bin");
	assert_int_equal(back.files[0].offset, s.start);
	assert_true(oci_digest_equal(&back.layers[0].digest, &s.layer->digest));
	assert_int_equal(back.chain_count, s.index.chain_count);
	assert_memory_equal(back.chains, s.index.chains, back.chain_count * OCI_CHAIN_BYTES);
}

/* A hostile index: one field of the sample's changed. */
static void expect_refused(struct sample *s, const char *what)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	struct oci_block_index back = {0};
	struct oci_error err = {0};

	oci_buf_init(&bytes, OCI_BLOCK_INDEX_MAX);
	assert_int_equal(oci_block_index_format(&s->index, &bytes, NULL), 0);
	assert_int_equal(oci_block_index_parse(bytes.data, bytes.len, &back, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
	if (!strstr(err.text, what))
		fail_msg("'%s' does not say '%s'", err.text, what);
}

static void a_hostile_index_is_refused(void **state)
{
	static char up[] = "../up", absolute[] = "/abs", dot[] = "a/./b", control[] = "a\nb";
	OCI_CLEANUP(free_sample) struct sample s;
	struct oci_block_index_layer layer;
	struct oci_block_index_file file;

	make_sample(&s, 1000);
	layer = s.index.layers[0];
	file = s.index.files[0];
	for (size_t i = 0; i < 4; i++) {
		s.index.files[0].path = (char *[]){up, absolute, dot, control}[i];
		expect_refused(&s, "unsafe path");
	}
	s.index.files[0] = file;
	s.index.files[0].offset = s.size;
	expect_refused(&s, "outside its layer");
	s.index.files[0].offset = file.offset - 512;
	expect_refused(&s, "not at its offset");
	s.index.files[0] = file;
	s.index.files[0].size_bytes = 1025;
	expect_refused(&s, "another size");
	s.index.files[0] = file;
	s.index.layers[0].start = 7;
	expect_refused(&s, "out of range");
	s.index.layers[0] = layer;
	s.index.layers[0].first = 1;
	expect_refused(&s, "out of range");
	s.index.layers[0] = layer;
	s.index.layers[0].size_bytes = layer.size_bytes + 512;
	expect_refused(&s, "another size");
	s.index.layers[0] = layer;
	s.index.files[0].layer = 1;
	expect_refused(&s, "incomplete");
	s.index.files[0] = file;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_block_proves_itself_in_any_order),
		cmocka_unit_test(any_flipped_bit_is_caught_in_its_block),
		cmocka_unit_test(swapped_blocks_and_wrong_lengths_are_caught),
		cmocka_unit_test(an_altered_checkpoint_is_caught_on_both_sides),
		cmocka_unit_test(an_index_layer_comes_back_as_it_was),
		cmocka_unit_test(a_hostile_index_is_refused),
	};
	const char *text = getenv("MODELCAR_SEED");
	uint64_t given;

	seed = text && oci_str_u64(text, &given) ? (unsigned)given : (unsigned)time(NULL);
	print_message("seed %u\n", seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
