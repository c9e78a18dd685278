#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/copy.h"
#include "graphs.h"

#define DOCUMENT OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor
#define STORE OCI_CLEANUP(oci_store_cleanup) struct oci_store *
#define REPORT OCI_CLEANUP(oci_copy_report_clear) struct oci_copy_report

static int copy(struct oci_store *from, const char *name, struct oci_store *to, const char *tag, bool force,
	bool dry_run, struct oci_copy_report *report, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0};
	const struct oci_copy_options options = {.referrers = true, .force = force, .dry_run = dry_run, .jobs = 2};

	if (tag)
		assert_int_equal(oci_strings_add(&tags, tag, NULL), 0);
	return oci_copy(from, name, to, &tags, &options, report, err);
}

static bool names(struct oci_store *s, const char *tag, const struct oci_descriptor *d)
{
	struct oci_digest found;

	return oci_store_peek(s, tag, &found, NULL) == 0 && oci_digest_equal(&found, &d->digest);
}

static void all_of_an_image_arrives_and_its_tag(void **state)
{
	STORE from = oci_store_memory(NULL);
	STORE to = oci_store_memory(NULL);
	DOCUMENT a = graphs_image(from, "a", NULL);
	DOCUMENT root = graphs_index(from, &a, NULL);
	REPORT report = {0};

	assert_int_equal(oci_store_tag(from, &root, "v1", NULL), 0);
	assert_int_equal(copy(from, "v1", to, "new", false, false, &report, NULL), 0);
	assert_true(names(to, "new", &root));
	assert_true(graphs_has(to, &a));
	assert_int_equal(report.object_count, 4);
	assert_int_equal(report.bytes[OCI_COPY_EXISTS], 0);
	assert_false(report.unchanged);
}

static void the_second_time_nothing_moves(void **state)
{
	STORE from = oci_store_memory(NULL);
	STORE to = oci_store_memory(NULL);
	DOCUMENT a = graphs_image(from, "a", NULL);
	REPORT first = {0}, second = {0};

	assert_int_equal(oci_store_tag(from, &a, "v1", NULL), 0);
	assert_int_equal(copy(from, "v1", to, "v1", false, false, &first, NULL), 0);
	assert_int_equal(copy(from, "v1", to, "v1", false, false, &second, NULL), 0);
	assert_true(second.unchanged);
	assert_int_equal(second.bytes[OCI_COPY_SENT], 0);
	assert_int_equal(second.bytes[OCI_COPY_EXISTS], first.bytes[OCI_COPY_SENT]);
}

static void a_dry_run_counts_and_writes_nothing(void **state)
{
	STORE from = oci_store_memory(NULL);
	STORE to = oci_store_memory(NULL);
	DOCUMENT a = graphs_image(from, "a", NULL);
	REPORT report = {0};

	assert_int_equal(oci_store_tag(from, &a, "v1", NULL), 0);
	assert_int_equal(copy(from, "v1", to, "v1", false, true, &report, NULL), 0);
	assert_int_equal(report.bytes[OCI_COPY_SENT], 1 + 2 + a.size_bytes);
	assert_false(graphs_has(to, &a));
	assert_false(names(to, "v1", &a));
}

static void a_tag_with_other_content_needs_force(void **state)
{
	STORE from = oci_store_memory(NULL);
	STORE to = oci_store_memory(NULL);
	DOCUMENT a = graphs_image(from, "a", NULL);
	DOCUMENT b = graphs_image(to, "b", NULL);
	REPORT report = {0}, forced = {0};
	struct oci_error err = {0};

	assert_int_equal(oci_store_tag(from, &a, "v1", NULL), 0);
	assert_int_equal(oci_store_tag(to, &b, "v1", NULL), 0);
	assert_int_equal(copy(from, "v1", to, "v1", false, false, &report, &err), -1);
	assert_int_equal(err.code, OCI_E_EXISTS);
	assert_int_equal(err.side, OCI_SIDE_DEST);
	assert_false(graphs_has(to, &a));
	assert_int_equal(copy(from, "v1", to, "v1", true, false, &forced, NULL), 0);
	assert_true(names(to, "v1", &a));
}

static void latest_is_free_where_there_is_only_another_tag(void **state)
{
	STORE from = oci_store_memory(NULL);
	STORE to = oci_store_memory(NULL);
	DOCUMENT a = graphs_image(from, "a", NULL);
	DOCUMENT b = graphs_image(to, "b", NULL);
	REPORT report = {0};

	assert_int_equal(oci_store_tag(from, &a, "v1", NULL), 0);
	assert_int_equal(oci_store_tag(to, &b, "v1", NULL), 0);
	assert_int_equal(copy(from, "v1", to, "latest", false, false, &report, NULL), 0);
	assert_true(names(to, "latest", &a));
}

static void a_blob_that_is_missing_leaves_no_name(void **state)
{
	STORE from = oci_store_memory(NULL);
	STORE to = oci_store_memory(NULL);
	STORE other = oci_store_memory(NULL);
	DOCUMENT whole = graphs_image(other, "a", NULL);
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	DOCUMENT broken = {0};
	REPORT report = {0};
	struct oci_error err = {0};

	oci_buf_init(&text, OCI_MIB);
	assert_int_equal(oci_store_read(other, &whole, &text, NULL), 0);
	broken = graphs_blob(from, OCI_MT_MANIFEST, oci_buf_text(&text));
	assert_int_equal(oci_store_tag(from, &broken, "v1", NULL), 0);
	assert_int_equal(copy(from, "v1", to, "v1", false, false, &report, &err), -1);
	assert_int_equal(err.code, OCI_E_NOT_FOUND);
	assert_int_equal(err.side, OCI_SIDE_SOURCE);
	assert_false(names(to, "v1", &broken));
	assert_false(graphs_has(to, &broken));
}

static void referrers_are_added_to_those_that_are_there(void **state)
{
	STORE from = oci_store_memory(NULL);
	STORE to = oci_store_memory(NULL);
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest found = {0};
	DOCUMENT a = graphs_image(from, "a", NULL);
	DOCUMENT same = graphs_image(to, "a", NULL);
	DOCUMENT ours = graphs_image(from, "ours", &a);
	DOCUMENT theirs = graphs_image(to, "theirs", &a);
	DOCUMENT our_list = graphs_index(from, &ours, NULL);
	DOCUMENT their_list = graphs_index(to, &theirs, NULL);
	REPORT report = {0};

	assert_true(oci_digest_equal(&same.digest, &a.digest));
	graphs_tag_by_digest(from, &a, &our_list, "");
	graphs_tag_by_digest(to, &a, &their_list, "");
	assert_int_equal(oci_store_tag(from, &a, "v1", NULL), 0);
	assert_int_equal(copy(from, "v1", to, "v1", false, false, &report, NULL), 0);
	assert_int_equal(report.signatures, 1);
	assert_int_equal(oci_store_referrers(to, &a.digest, NULL, &found, NULL), 0);
	assert_int_equal(found.manifest_count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_an_image_arrives_and_its_tag),
		cmocka_unit_test(the_second_time_nothing_moves),
		cmocka_unit_test(a_dry_run_counts_and_writes_nothing),
		cmocka_unit_test(a_tag_with_other_content_needs_force),
		cmocka_unit_test(latest_is_free_where_there_is_only_another_tag),
		cmocka_unit_test(a_blob_that_is_missing_leaves_no_name),
		cmocka_unit_test(referrers_are_added_to_those_that_are_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
