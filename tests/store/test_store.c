/* What every store promises (store/store.h), run over one kind:
 *
 *     test_store memory|layout|archive|bundle|registry
 *
 * A registry is given by STORE_REGISTRY=host:port/repository; each test has a
 * repository of its own below it. */
#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/workers.h"
#include "core/manifest.h"
#include "core/mediatype.h"
#include "store/ops.h"

static void a_written_blob_reads_back(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR d = describe(BLOB_TYPE, "weights", 7);

	assert_false(exists(p, &d));
	put(p, &d, "weights");
	assert_true(exists(p, &d));
	assert_content(p, &d, "weights");
	reopen(p);
	assert_true(exists(p, &d));
	assert_content(p, &d, "weights");
}

static void an_empty_blob_is_a_blob(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR d = describe(BLOB_TYPE, "", 0);

	put(p, &d, "");
	reopen(p);
	assert_true(exists(p, &d));
	assert_content(p, &d, "");
}

static void a_blob_written_in_odd_pieces_reads_back(void **state)
{
	struct place *p = *state;
	size_t len = 5 * OCI_MIB + 3;
	oci_autofree char *bytes = make_bytes(len, 1);
	AUTO_DESCRIPTOR d = describe(BLOB_TYPE, bytes, len);
	struct oci_sink *sink = oci_store_begin(p->store, &d, &p->err);
	size_t piece = 1;

	assert_non_null(sink);
	for (size_t at = 0; at < len; at += piece) {
		piece = at + 100003 < len ? 100003 : len - at;
		assert_int_equal(oci_sink_write(sink, bytes + at, piece, &p->err), 0);
	}
	assert_false(exists(p, &d));
	if (oci_sink_commit(sink, &d.digest, &p->err) < 0)
		fail_msg("commit: %s", p->err.text);
	reopen(p);
	assert_content(p, &d, bytes);
}

static void a_digest_may_be_known_only_at_commit(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR d = describe(BLOB_TYPE, "late", 4);
	struct oci_descriptor want = {.media_type = d.media_type, .size_bytes = 4};
	struct oci_sink *sink;

	for (int twice = 0; twice < 2; twice++) {
		sink = oci_store_begin(p->store, &want, &p->err);
		assert_non_null(sink);
		assert_int_equal(oci_sink_write(sink, "late", 4, &p->err), 0);
		if (oci_sink_commit(sink, &d.digest, &p->err) < 0)
			fail_msg("commit: %s", p->err.text);
	}
	reopen(p);
	assert_content(p, &d, "late");
}

static void a_blob_that_exists_may_be_written_again(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR d = describe(BLOB_TYPE, "again", 5);

	for (int times = 0; times < 3; times++) {
		struct oci_sink *sink = oci_store_begin(p->store, &d, &p->err);

		assert_non_null(sink);
		assert_int_equal(oci_sink_write(sink, "again", 5, &p->err), 0);
		assert_int_equal(oci_sink_commit(sink, &d.digest, &p->err), 0);
	}
	reopen(p);
	assert_content(p, &d, "again");
}

static void a_range_of_a_blob_opens(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR d = describe(BLOB_TYPE, "0123456789", 10);
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = NULL;
	char got[8];

	put(p, &d, "0123456789");
	reopen(p);
	reader = p->store->ops->open(p->store, &d, 3, 4, &p->err);
	assert_non_null(reader);
	assert_int_equal(oci_reader_read_full(reader, got, sizeof got, &p->err), 4);
	assert_memory_equal(got, "3456", 4);
}

static void a_missing_blob_is_not_found(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR d = describe(BLOB_TYPE, "never", 5);
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, 100);
	assert_false(exists(p, &d));
	assert_int_equal(oci_store_read(p->store, &d, &buf, &p->err), -1);
	assert_fails(p, OCI_E_NOT_FOUND);
}

static void a_descriptor_with_another_size_fails_to_read(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR d = describe(BLOB_TYPE, "sized", 5);
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, 100);
	put(p, &d, "sized");
	reopen(p);
	for (d.size_bytes = 4; d.size_bytes <= 6; d.size_bytes += 2) {
		assert_int_equal(oci_store_read(p->store, &d, &buf, &p->err), -1);
		assert_fails(p, OCI_E_DIGEST);
	}
}

static void a_blob_larger_than_the_buffer_is_refused(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR d = describe(BLOB_TYPE, "too large", 9);
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, 8);
	put(p, &d, "too large");
	assert_int_equal(oci_store_read(p->store, &d, &buf, &p->err), -1);
	assert_fails(p, OCI_E_FORMAT);
}

/* Begin as `d`, write `len` bytes and commit; the result. */
static int write_as(struct place *p, const struct oci_descriptor *d, const void *data, size_t len,
	const struct oci_digest *digest)
{
	struct oci_sink *sink = oci_store_begin(p->store, d, &p->err);

	assert_non_null(sink);
	if (oci_sink_write(sink, data, len, &p->err) < 0) {
		oci_sink_abort(sink);
		return -1;
	}
	return oci_sink_commit(sink, digest, &p->err);
}

static void content_with_another_digest_is_refused(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR right = describe(BLOB_TYPE, "right", 5);
	AUTO_DESCRIPTOR wrong = describe(BLOB_TYPE, "wrong", 5);
	struct oci_descriptor open = {.media_type = right.media_type, .size_bytes = 5};

	assert_int_equal(write_as(p, &right, "wrong", 5, &right.digest), -1);
	assert_fails(p, OCI_E_DIGEST);
	assert_int_equal(write_as(p, &open, "wrong", 5, &right.digest), -1);
	assert_fails(p, OCI_E_DIGEST);
	assert_int_equal(write_as(p, &right, "wrong", 5, &wrong.digest), -1);
	assert_fails(p, OCI_E_DIGEST);
	assert_false(exists(p, &right));
	assert_false(exists(p, &wrong));
	put(p, &right, "right");
	reopen(p);
	assert_content(p, &right, "right");
}

static void content_of_another_size_is_refused(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR d = describe(BLOB_TYPE, "12345", 5);
	struct oci_descriptor larger = {.media_type = d.media_type, .size_bytes = 6};

	assert_int_equal(write_as(p, &d, "1234", 4, &d.digest), -1);
	assert_fails(p, OCI_E_DIGEST);
	assert_int_equal(write_as(p, &d, "123456", 6, &d.digest), -1);
	assert_fails(p, OCI_E_DIGEST);
	assert_int_equal(write_as(p, &larger, "12345", 5, &d.digest), -1);
	assert_fails(p, OCI_E_DIGEST);
	assert_false(exists(p, &d));
}

static void an_aborted_blob_leaves_nothing(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR first = describe(BLOB_TYPE, "first", 5);
	AUTO_DESCRIPTOR second = describe(BLOB_TYPE, "the second", 10);
	struct oci_sink *sink = oci_store_begin(p->store, &first, &p->err);

	assert_non_null(sink);
	assert_int_equal(oci_sink_write(sink, "fir", 3, &p->err), 0);
	oci_sink_abort(sink);
	assert_false(exists(p, &first));
	put(p, &second, "the second");
	reopen(p);
	assert_false(exists(p, &first));
	assert_content(p, &second, "the second");
}

static void a_blob_aborted_between_others_can_be_written_again(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR first = describe(BLOB_TYPE, "first", 5);
	AUTO_DESCRIPTOR second = describe(BLOB_TYPE, "the second", 10);
	struct oci_sink *sink = oci_store_begin(p->store, &first, &p->err);

	assert_non_null(sink);
	put(p, &second, "the second");
	oci_sink_abort(sink);
	put(p, &first, "first");
	reopen(p);
	assert_content(p, &first, "first");
	assert_content(p, &second, "the second");
}

static void a_tag_resolves_to_its_manifest(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR one = put_manifest(p, "one");
	AUTO_DESCRIPTOR two = put_manifest(p, "two");

	tag(p, &one, "v1");
	tag(p, &two, "v2");
	tag(p, &two, "latest");
	assert_resolves(p, "v1", &one);
	reopen(p);
	assert_resolves(p, "v1", &one);
	assert_resolves(p, "v2", &two);
	assert_resolves(p, NULL, &two);
}

static void a_tag_moves(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR one = put_manifest(p, "one");
	AUTO_DESCRIPTOR two = put_manifest(p, "two");

	tag(p, &one, "v1");
	tag(p, &two, "v1");
	reopen(p);
	assert_resolves(p, "v1", &two);
}

static void a_peek_says_the_digest_of_a_tag_until_that_is_removed(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR one = put_manifest(p, "one");
	struct oci_digest found;

	tag(p, &one, "v1");
	tag(p, &one, "v2");
	reopen(p);
	assert_int_equal(oci_store_peek(p->store, "v1", &found, &p->err), 0);
	assert_true(oci_digest_equal(&found, &one.digest));
	assert_int_equal(oci_store_peek(p->store, "latest", &found, NULL), -1);
	/* an archive or an older registry cannot */
	int removed = oci_store_untag(p->store, "v1", NULL);
	assert_int_equal(oci_store_peek(p->store, "v1", &found, NULL), removed == 0 ? -1 : 0);
	assert_resolves(p, "v2", &one);
}

static void a_digest_resolves_without_a_tag(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR tagged = put_manifest(p, "tagged");
	AUTO_DESCRIPTOR plain = put_manifest(p, "plain");
	char digest[OCI_DIGEST_TEXT_MAX];

	tag(p, &tagged, "v1");
	reopen(p);
	assert_resolves(p, oci_digest_format(&tagged.digest, digest), &tagged);
	assert_resolves(p, oci_digest_format(&plain.digest, digest), &plain);
}

static void an_unknown_name_is_not_found(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR one = put_manifest(p, "one");
	AUTO_DESCRIPTOR other = describe(OCI_MT_MANIFEST, "{}", 2);
	struct oci_descriptor got = {0};
	char digest[OCI_DIGEST_TEXT_MAX];

	other.digest.bytes[0] ^= 1;
	tag(p, &one, "v1");
	reopen(p);
	assert_int_equal(oci_store_resolve(p->store, "v2", &got, &p->err), -1);
	assert_fails(p, OCI_E_NOT_FOUND);
	assert_int_equal(oci_store_resolve(p->store, oci_digest_format(&other.digest, digest), &got, &p->err),
		-1);
	assert_fails(p, OCI_E_NOT_FOUND);
	assert_null(got.media_type);
}

static void what_is_no_tag_is_refused(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR one = put_manifest(p, "one");

	assert_int_equal(oci_store_tag(p->store, &one, "no tag/at all", &p->err), -1);
	assert_fails(p, OCI_E_USAGE);
}

static void a_manifest_that_is_not_there_gets_no_tag(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR absent = describe(OCI_MT_MANIFEST, "{\"absent\":1}", 12);
	struct oci_descriptor got = {0};

	assert_int_equal(oci_store_tag(p->store, &absent, "v1", &p->err), -1);
	assert_fails(p, OCI_E_NOT_FOUND);
	assert_int_equal(oci_store_resolve(p->store, "v1", &got, &p->err), -1);
	assert_fails(p, OCI_E_NOT_FOUND);
}

static void tags_are_listed_once(void **state)
{
	struct place *p = *state;
	AUTO_DESCRIPTOR one = put_manifest(p, "one");
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0};

	if (!p->store->ops->tags)
		skip();
	tag(p, &one, "v1");
	tag(p, &one, "v2");
	tag(p, &one, "v1");
	reopen(p);
	if (p->store->ops->tags(p->store, &tags, &p->err) < 0)
		fail_msg("tags: %s", p->err.text);
	assert_int_equal(tags.count, 2);
	assert_true(oci_strings_has(&tags, "v1"));
	assert_true(oci_strings_has(&tags, "v2"));
}

#define CROWD 12

struct crowd {
	struct place *place;
	char *bytes[CROWD];
	struct oci_descriptor blobs[CROWD];
};

static int write_one(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct crowd *crowd = worker->ctx;
	const struct oci_descriptor *d = &crowd->blobs[item];
	struct oci_sink *sink = oci_store_begin(crowd->place->store, d, err);
	size_t half = d->size_bytes / 2;

	if (!sink)
		return -1;
	if (oci_sink_write(sink, crowd->bytes[item], half, err) < 0 ||
		oci_sink_write(sink, crowd->bytes[item] + half, d->size_bytes - half, err) < 0) {
		oci_sink_abort(sink);
		return -1;
	}
	return oci_sink_commit(sink, &d->digest, err);
}

static void blobs_are_written_in_parallel(void **state)
{
	struct place *p = *state;
	struct crowd crowd = {.place = p};

	for (unsigned i = 0; i < CROWD; i++) {
		size_t len = 100 * OCI_KIB * (i / 2 + 1) + i / 2;

		/* Each content is written by two. */
		crowd.bytes[i] = make_bytes(len, i / 2);
		crowd.blobs[i] = describe(BLOB_TYPE, crowd.bytes[i], len);
	}
	if (oci_workers_run(4, CROWD, write_one, &crowd, NULL, &p->err) < 0)
		fail_msg("%s", p->err.text);
	reopen(p);
	for (unsigned i = 0; i < CROWD; i++) {
		assert_content(p, &crowd.blobs[i], crowd.bytes[i]);
		oci_descriptor_clear(&crowd.blobs[i]);
		free(crowd.bytes[i]);
	}
}

/* The index of two referrers, under the tag that stands for their subject. */
static void put_fallback(struct place *p, const struct oci_descriptor *subject)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest index = {.is_index = true};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	char name[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&text, OCI_MANIFEST_MAX);
	for (int i = 0; i < 2; i++) {
		struct oci_descriptor *d = oci_manifest_add_manifest(&index, &p->err);
		assert_non_null(d);
		*d = put_manifest(p, i ? "an SBOM" : "a signature");
		assert_int_equal(oci_str_set(&d->artifact_type, i ? "test/sbom" : "test/signature", NULL), 0);
	}
	assert_int_equal(oci_manifest_format(&index, &text, &p->err), 0);
	AUTO_DESCRIPTOR d = describe(OCI_MT_INDEX, text.data, text.len);
	put(p, &d, text.data);
	oci_digest_format(&subject->digest, name);
	*strchr(name, ':') = '-';
	tag(p, &d, name);
}

static void referrers_are_those_of_the_tag_that_stands_for_them(void **state)
{
	struct place *p = *state;
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest none = {0};
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest all = {0};
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest some = {0};
	AUTO_DESCRIPTOR subject = put_manifest(p, "a model");

	tag(p, &subject, "v1");
	assert_int_equal(oci_store_referrers(p->store, &subject.digest, NULL, &none, &p->err), 0);
	assert_int_equal(none.manifest_count, 0);
	put_fallback(p, &subject);
	reopen(p);
	assert_int_equal(oci_store_referrers(p->store, &subject.digest, NULL, &all, &p->err), 0);
	assert_int_equal(all.manifest_count, 2);
	assert_int_equal(oci_store_referrers(p->store, &subject.digest, "test/sbom", &some, &p->err), 0);
	assert_int_equal(some.manifest_count, 1);
	assert_string_equal(some.manifests[0].artifact_type, "test/sbom");
}

static void referrers_are_added_to_those_that_are_known(void **state)
{
	struct place *p = *state;
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest list = {.is_index = true};
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest all = {0};
	AUTO_DESCRIPTOR subject = put_manifest(p, "a model");
	struct oci_descriptor *entry = oci_manifest_add_manifest(&list, &p->err);

	put_fallback(p, &subject);
	*entry = put_manifest(p, "one more");
	for (int i = 0; i < 2; i++)
		assert_int_equal(oci_store_refer(p->store, &subject.digest, &list, &p->err), 0);
	reopen(p);
	assert_int_equal(oci_store_referrers(p->store, &subject.digest, NULL, &all, &p->err), 0);
	assert_int_equal(all.manifest_count, 3);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(a_written_blob_reads_back),
		T(an_empty_blob_is_a_blob),
		T(a_blob_written_in_odd_pieces_reads_back),
		T(a_digest_may_be_known_only_at_commit),
		T(a_blob_that_exists_may_be_written_again),
		T(a_range_of_a_blob_opens),
		T(a_missing_blob_is_not_found),
		T(a_descriptor_with_another_size_fails_to_read),
		T(a_blob_larger_than_the_buffer_is_refused),
		T(content_with_another_digest_is_refused),
		T(content_of_another_size_is_refused),
		T(an_aborted_blob_leaves_nothing),
		T(a_blob_aborted_between_others_can_be_written_again),
		T(a_tag_resolves_to_its_manifest),
		T(a_tag_moves),
		T(a_peek_says_the_digest_of_a_tag_until_that_is_removed),
		T(a_digest_resolves_without_a_tag),
		T(an_unknown_name_is_not_found),
		T(what_is_no_tag_is_refused),
		T(a_manifest_that_is_not_there_gets_no_tag),
		T(tags_are_listed_once),
		T(referrers_are_those_of_the_tag_that_stands_for_them),
		T(referrers_are_added_to_those_that_are_known),
		T(blobs_are_written_in_parallel),
	};
	int rc = choose_kind(argc, argv);

	return rc ? rc : cmocka_run_group_tests_name(argv[1], tests, NULL, NULL);
}
