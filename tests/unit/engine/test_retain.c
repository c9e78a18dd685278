#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/retain.h"
#include "store/ops.h"
#include "graphs.h"

#define DOCUMENT OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor
#define STORE OCI_CLEANUP(oci_store_cleanup) struct oci_store *
#define REPORT OCI_CLEANUP(oci_retain_report_clear) struct oci_retain_report

/* A store in memory that removes manifests only, as older registries do. */
struct old_place {
	struct oci_store base;
	struct oci_store_ops ops;
	struct oci_store *inner;
};

static struct oci_store *inner_of(struct oci_store *s)
{
	return ((struct old_place *)s)->inner;
}

static int old_tags(struct oci_store *s, struct oci_strings *ret, struct oci_error *err)
{
	return oci_store_tags(inner_of(s), ret, err);
}

static int old_resolve(struct oci_store *s, const char *name, struct oci_descriptor *ret, struct oci_error *err)
{
	return oci_store_resolve(inner_of(s), name, ret, err);
}

static struct oci_reader *old_open(struct oci_store *s, const struct oci_descriptor *d, uint64_t offset,
	uint64_t length, struct oci_error *err)
{
	return inner_of(s)->ops->open(inner_of(s), d, offset, length, err);
}

static int old_untag(struct oci_store *s, const struct oci_descriptor *d, const char *name, struct oci_error *err)
{
	if (!strchr(name, ':'))
		return oci_fail(err, OCI_E_UNSUPPORTED, "tags are not removed here");
	return oci_store_untag(inner_of(s), name, err);
}

static int old_finish(struct oci_store *s, struct oci_error *err)
{
	return 0;
}

static void old_init(struct old_place *place, struct oci_store *inner)
{
	*place = (struct old_place){.inner = inner,
		.ops = {.kind = "old", .tags = old_tags, .resolve = old_resolve, .open = old_open, .untag = old_untag,
			.finish = old_finish}};
	place->base.ops = &place->ops;
}

static void remove_two(struct oci_store *s, const char *a, const char *b, bool dry_run, struct oci_retain_report *report)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings gone = {0};
	const struct oci_retain_options options = {.dry_run = dry_run};

	assert_int_equal(oci_strings_add(&gone, a, NULL), 0);
	if (b)
		assert_int_equal(oci_strings_add(&gone, b, NULL), 0);
	assert_int_equal(oci_retain_remove(s, &gone, &options, report, NULL), 0);
}

static bool has_tag(struct oci_store *s, const char *tag)
{
	struct oci_digest ignored;

	return oci_store_peek(s, tag, &ignored, NULL) == 0;
}

static void a_tag_goes_alone_where_that_can_be(void **state)
{
	STORE s = oci_store_memory(NULL);
	DOCUMENT a = graphs_image(s, "a", NULL);
	REPORT report = {0};

	assert_int_equal(oci_store_tag(s, &a, "v1", NULL), 0);
	assert_int_equal(oci_store_tag(s, &a, "v2", NULL), 0);
	remove_two(s, "v1", NULL, false, &report);
	assert_int_equal(report.removed, 1);
	assert_false(has_tag(s, "v1"));
	assert_true(has_tag(s, "v2"));
}

static void elsewhere_it_stays_while_another_tag_names_the_image(void **state)
{
	STORE s = oci_store_memory(NULL);
	DOCUMENT a = graphs_image(s, "a", NULL);
	struct old_place old;
	REPORT refused = {0}, both = {0};

	old_init(&old, s);
	assert_int_equal(oci_store_tag(s, &a, "v1", NULL), 0);
	assert_int_equal(oci_store_tag(s, &a, "v2", NULL), 0);
	remove_two(&old.base, "v1", NULL, false, &refused);
	assert_int_equal(refused.failed, 1);
	assert_int_equal(refused.items[0].err.code, OCI_E_UNSUPPORTED);
	assert_true(has_tag(s, "v1"));
	remove_two(&old.base, "v1", "v2", false, &both);
	assert_int_equal(both.removed, 2);
	assert_false(has_tag(s, "v1"));
	assert_false(has_tag(s, "v2"));
}

static void elsewhere_it_stays_while_an_index_needs_the_image(void **state)
{
	STORE s = oci_store_memory(NULL);
	DOCUMENT a = graphs_image(s, "a", NULL);
	DOCUMENT root = graphs_index(s, &a, NULL);
	struct old_place old;
	REPORT report = {0};

	old_init(&old, s);
	assert_int_equal(oci_store_tag(s, &root, "v1", NULL), 0);
	assert_int_equal(oci_store_tag(s, &a, "v1-amd64", NULL), 0);
	remove_two(&old.base, "v1-amd64", NULL, false, &report);
	assert_int_equal(report.failed, 1);
	assert_non_null(strstr(report.items[0].err.text, "'v1'"));
	assert_true(has_tag(s, "v1-amd64"));
}

static void the_tags_of_signatures_go_with_the_last_name_of_an_image(void **state)
{
	STORE s = oci_store_memory(NULL);
	DOCUMENT a = graphs_image(s, "a", NULL);
	DOCUMENT signature = graphs_image(s, "signature", NULL);
	REPORT first = {0}, last = {0};

	assert_int_equal(oci_store_tag(s, &a, "v1", NULL), 0);
	assert_int_equal(oci_store_tag(s, &a, "v2", NULL), 0);
	graphs_tag_by_digest(s, &a, &signature, ".sig");
	remove_two(s, "v1", NULL, false, &first);
	assert_int_equal(first.count, 1);
	remove_two(s, "v2", NULL, false, &last);
	assert_int_equal(last.count, 2);
	assert_true(last.items[1].derived && last.items[1].removed);
	assert_false(has_tag(s, last.items[1].tag));
}

static void signatures_stay_with_an_image_that_could_not_go(void **state)
{
	STORE s = oci_store_memory(NULL);
	DOCUMENT a = graphs_image(s, "a", NULL);
	DOCUMENT signature = graphs_image(s, "signature", NULL);
	struct old_place old;
	REPORT report = {0};

	old_init(&old, s);
	old.ops.untag = NULL;
	assert_int_equal(oci_store_tag(s, &a, "v1", NULL), 0);
	graphs_tag_by_digest(s, &a, &signature, ".sig");
	remove_two(&old.base, "v1", NULL, false, &report);
	assert_int_equal(report.failed, 2);
	assert_int_equal(report.removed, 0);
	assert_non_null(strstr(report.items[1].err.text, "could not be removed"));
}

static void what_is_not_there_is_no_failure(void **state)
{
	STORE s = oci_store_memory(NULL);
	REPORT report = {0};

	remove_two(s, "v1", "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", false, &report);
	assert_int_equal(report.removed + report.failed, 0);
	assert_int_equal(report.items[0].digest.alg, 0);
}

static void a_dry_run_removes_nothing(void **state)
{
	STORE s = oci_store_memory(NULL);
	DOCUMENT a = graphs_image(s, "a", NULL);
	REPORT report = {0};

	assert_int_equal(oci_store_tag(s, &a, "v1", NULL), 0);
	remove_two(s, "v1", NULL, true, &report);
	assert_int_equal(report.removed, 1);
	assert_true(has_tag(s, "v1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tag_goes_alone_where_that_can_be),
		cmocka_unit_test(elsewhere_it_stays_while_another_tag_names_the_image),
		cmocka_unit_test(elsewhere_it_stays_while_an_index_needs_the_image),
		cmocka_unit_test(the_tags_of_signatures_go_with_the_last_name_of_an_image),
		cmocka_unit_test(signatures_stay_with_an_image_that_could_not_go),
		cmocka_unit_test(what_is_not_there_is_no_failure),
		cmocka_unit_test(a_dry_run_removes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
