#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/digest_pool.h"
#include "store/upload_source.h"

static const char text[] = "the bytes of a blob";

struct place {
	struct oci_content content;
	struct oci_descriptor want;
	struct oci_upload_source source;
	struct oci_observer observer;
	struct oci_error err;
	const char *bytes;
	size_t len;
	unsigned opened;
	bool whole_only; /* the source serves no parts */
	uint64_t reported;
};

/* As a registry without ranges: that it has none is known when it is read. */
static ssize_t refuse(struct oci_reader *r, void *data, size_t size, struct oci_error *err)
{
	return oci_fail(err, OCI_E_UNSUPPORTED, "no ranges");
}

static void let_go(struct oci_reader *r)
{
}

static const struct oci_reader_ops no_part = {.read = refuse, .close = let_go};

static struct oci_reader *open_bytes(void *ctx, uint64_t offset, struct oci_error *err)
{
	struct place *p = ctx;

	p->opened++;
	if (p->whole_only && offset > 0) {
		static struct oci_reader none = {.ops = &no_part};
		return &none;
	}
	return oci_reader_memory(p->bytes + offset, p->len - offset, err);
}

static void count(void *ctx, const struct oci_event *event)
{
	((struct place *)ctx)->reported += event->bytes;
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof *p);

	if (!p)
		return -1;
	p->bytes = text;
	p->len = strlen(text);
	p->content = (struct oci_content){open_bytes, p};
	p->observer = (struct oci_observer){count, p};
	p->want.size_bytes = p->len;
	oci_digest_of(OCI_SHA256, text, p->len, &p->want.digest);
	*state = p;
	return oci_upload_source_init(&p->source, &p->content, &p->want, &p->observer, &p->err);
}

static int teardown(void **state)
{
	struct place *p = *state;

	oci_upload_source_clear(&p->source);
	free(p);
	return 0;
}

static void read_from(struct place *p, uint64_t offset, size_t len)
{
	const void *data;

	assert_int_equal(oci_upload_source_seek(&p->source, offset, NULL, &p->err), 0);
	while (len > 0) {
		ssize_t n = oci_upload_source_read(&p->source, len, &data, &p->err);
		assert_in_range(n, 1, len);
		assert_memory_equal(data, text + p->source.position - n, n);
		len -= (size_t)n;
	}
}

static void bytes_that_are_sent_twice_are_hashed_and_reported_once(void **state)
{
	struct place *p = *state;

	read_from(p, 0, 12);
	read_from(p, 3, 5);
	read_from(p, 8, p->len - 8);
	assert_int_equal(p->reported, p->len);
	assert_int_equal(oci_upload_source_prove(&p->source, &p->err), 0);
}

static void bytes_that_go_on_are_read_from_one_reader(void **state)
{
	struct place *p = *state;

	read_from(p, 0, 4);
	read_from(p, 4, 4);
	assert_int_equal(p->opened, 1);
}

static void a_source_without_parts_is_read_from_its_beginning(void **state)
{
	struct place *p = *state;

	read_from(p, 0, 12);
	p->whole_only = true;
	read_from(p, 3, 5);
	read_from(p, 8, p->len - 8);
	assert_int_equal(p->reported, p->len);
	assert_int_equal(p->err.code, OCI_OK);
	assert_int_equal(oci_upload_source_prove(&p->source, &p->err), 0);
}

static void what_an_earlier_process_sent_is_hashed_on_the_way(void **state)
{
	struct place *p = *state;

	read_from(p, 10, p->len - 10);
	assert_int_equal(p->reported, p->len);
	assert_int_equal(oci_upload_source_prove(&p->source, &p->err), 0);
}

static void other_content_is_the_sources_fault(void **state)
{
	struct place *p = *state;

	p->bytes = "the bytes of a flob";
	assert_int_equal(oci_upload_source_seek(&p->source, p->len, NULL, &p->err), 0);
	assert_int_equal(oci_upload_source_prove(&p->source, &p->err), -1);
	assert_int_equal(p->err.code, OCI_E_DIGEST);
	assert_int_equal(p->err.side, OCI_SIDE_SOURCE);
}

static void content_that_goes_on_is_refused(void **state)
{
	struct place *p = *state;

	p->len = strlen(text) + 1; /* the zero byte */
	assert_int_equal(oci_upload_source_seek(&p->source, strlen(text), NULL, &p->err), 0);
	assert_int_equal(oci_upload_source_prove(&p->source, &p->err), -1);
	assert_int_equal(p->err.code, OCI_E_DIGEST);
}

static void content_that_ends_early_is_refused(void **state)
{
	struct place *p = *state;

	p->len -= 5;
	assert_int_equal(oci_upload_source_seek(&p->source, strlen(text), NULL, &p->err), -1);
	assert_int_equal(p->err.code, OCI_E_DIGEST);
	assert_int_equal(p->err.side, OCI_SIDE_SOURCE);
}

static void the_cancel_flag_ends_a_long_way_to_the_offset(void **state)
{
	struct place *p = *state;
	atomic_int cancel = 15;

	assert_int_equal(oci_upload_source_seek(&p->source, 8, &cancel, &p->err), -1);
	assert_int_equal(p->err.code, OCI_E_CANCELLED);
}

static void in_a_pool_it_is_expected_while_there_is_more_to_hash_and_no_longer(void **state)
{
	struct place *p = *state;
	struct oci_digest_pool pool;

	oci_digest_pool_init(&pool, OCI_DIGEST_POOL_LANES, 1);
	p->content.pool = &pool;
	read_from(p, 0, 4);
	assert_int_equal(pool.members, 1);
	oci_upload_source_pause(&p->source);
	assert_int_equal(pool.members, 0);
	read_from(p, 2, 5);
	assert_int_equal(pool.members, 1);
	read_from(p, 7, p->len - 7);
	assert_int_equal(pool.members, 0);
	assert_int_equal(oci_upload_source_prove(&p->source, &p->err), 0);
	assert_int_equal(pool.members, 0);
	oci_digest_pool_clear(&pool);
}

static void what_is_given_up_leaves_the_pool(void **state)
{
	struct place *p = *state;
	struct oci_digest_pool pool;

	oci_digest_pool_init(&pool, OCI_DIGEST_POOL_LANES, 1);
	p->content.pool = &pool;
	read_from(p, 0, 4);
	oci_upload_source_clear(&p->source);
	assert_int_equal(pool.members, 0);
	oci_digest_pool_clear(&pool);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_that_are_sent_twice_are_hashed_and_reported_once),
		TEST(bytes_that_go_on_are_read_from_one_reader),
		TEST(a_source_without_parts_is_read_from_its_beginning),
		TEST(what_an_earlier_process_sent_is_hashed_on_the_way),
		TEST(other_content_is_the_sources_fault),
		TEST(content_that_goes_on_is_refused),
		TEST(content_that_ends_early_is_refused),
		TEST(the_cancel_flag_ends_a_long_way_to_the_offset),
		TEST(in_a_pool_it_is_expected_while_there_is_more_to_hash_and_no_longer),
		TEST(what_is_given_up_leaves_the_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
