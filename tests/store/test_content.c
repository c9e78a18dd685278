#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Content that says itself what it hashes to. */
struct proven {
	char *data;
	size_t len;
	struct oci_digest digest;
	bool read;
};

static struct oci_reader *open_proven(void *ctx, uint64_t offset, struct oci_error *err)
{
	struct proven *c = ctx;

	c->read = true;
	return oci_reader_memory(c->data + offset, c->len - offset, err);
}

static int digest_of_proven(void *ctx, struct oci_digest *ret, struct oci_error *err)
{
	const struct proven *c = ctx;

	*ret = c->digest;
	return c->read ? 0 : oci_fail(err, OCI_E_BUG, "a digest before the bytes");
}

static struct oci_content proven_init(struct proven *c, size_t len, unsigned seed)
{
	*c = (struct proven){.data = make_bytes(len, seed), .len = len};
	oci_digest_of(OCI_SHA256, c->data, len, &c->digest);
	return (struct oci_content){.open = open_proven, .digest = digest_of_proven, .ctx = c};
}

/* Small, as a registry takes in one request, and larger than a piece of a pump. */
static void content_may_bring_its_digest_at_its_end(void **state)
{
	struct place *p = *state;
	const size_t sizes[] = {1, 70000, OCI_MIB, 3 * OCI_MIB + 17};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct proven c;
		struct oci_content content = proven_init(&c, sizes[i], (unsigned)i);
		struct oci_descriptor d = {.media_type = (char *)BLOB_TYPE, .size_bytes = sizes[i]};

		assert_int_equal(oci_store_put(p->store, &d, &content, NULL, NULL, &p->err), 0);
		d.digest = c.digest;
		assert_true(exists(p, &d));
		assert_content(p, &d, c.data);
		free(c.data);
	}
}

static void content_that_proves_to_be_other_is_refused(void **state)
{
	struct place *p = *state;
	struct proven c;
	struct oci_content content = proven_init(&c, 2 * OCI_MIB, 1);
	struct oci_descriptor d = {.media_type = (char *)BLOB_TYPE, .size_bytes = c.len};

	oci_digest_of(OCI_SHA256, "other", 5, &d.digest);
	assert_int_equal(oci_store_put(p->store, &d, &content, NULL, NULL, &p->err), -1);
	assert_int_equal(p->err.side, OCI_SIDE_SOURCE);
	assert_fails(p, OCI_E_DIGEST);
	assert_false(exists(p, &d));
	d.digest = c.digest;
	d.size_bytes++;
	assert_int_equal(oci_store_put(p->store, &d, &content, NULL, NULL, &p->err), -1);
	assert_fails(p, OCI_E_DIGEST);
	free(c.data);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(content_may_bring_its_digest_at_its_end),
		T(content_that_proves_to_be_other_is_refused),
	};
	int rc = choose_kind(argc, argv);

	return rc ? rc : cmocka_run_group_tests_name(argv[1], tests, NULL, NULL);
}
