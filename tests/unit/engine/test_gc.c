#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../base/temp_dir.h"
#include "base/cleanup.h"
#include "engine/gc.h"
#include "engine/record.h"

#define DAY_S ((time_t)24 * 3600)
#define NOW ((time_t)2000000000)

/* A whole version, published `days` ago: "sha256-" and `letter` twelve times. */
static void put_version(void **state, char letter, unsigned days)
{
	OCI_CLEANUP(oci_record_clear) struct oci_record record = {0};
	struct timespec when[2] = {{.tv_sec = NOW - days * DAY_S}, {.tv_sec = NOW - days * DAY_S}};
	char name[] = "sha256-............";
	oci_autoclose int tree = -1;

	memset(name + 7, letter, 12);
	put_dir(temp_dir_fd(state), name);
	tree = openat(temp_dir_fd(state), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(tree >= 0);
	oci_digest_of(OCI_SHA256, name, strlen(name), &record.root);
	record.manifest = record.root;
	put_file(tree, "model.bin", "weights");
	assert_int_equal(oci_record_write(tree, OCI_RECORD_NAME, &record, NULL), 0);
	assert_int_equal(utimensat(tree, OCI_RECORD_NAME, when, 0), 0);
}

static bool has_version(void **state, char letter)
{
	char name[] = "sha256-............";

	memset(name + 7, letter, 12);
	return is_there(temp_dir_fd(state), name);
}

/* Which of a to e are there, as a text. */
static const char *versions(void **state, char out[8])
{
	size_t n = 0;

	for (char letter = 'a'; letter <= 'e'; letter++)
		if (has_version(state, letter))
			out[n++] = letter;
	out[n] = '\0';
	return out;
}

static int collect(void **state, struct oci_gc_options options, struct oci_error *err)
{
	OCI_CLEANUP(oci_gc_report_clear) struct oci_gc_report report = {0};

	options.dir = ((struct temp_dir *)*state)->path;
	options.now = options.now ? options.now : NOW;
	options.min_age_s = OCI_GC_MIN_AGE_S;
	return oci_gc(&options, &report, err);
}

static void five_versions(void **state)
{
	for (unsigned i = 0; i < 5; i++)
		put_version(state, (char)('a' + i), 50 - i);
}

static void the_two_newest_stay_whatever_is_asked(void **state)
{
	char left[8];

	five_versions(state);
	assert_int_equal(collect(state, (struct oci_gc_options){.keep = 0}, NULL), 0);
	assert_string_equal(versions(state, left), "de");
}

static void as_many_stay_as_are_asked_for(void **state)
{
	char left[8];

	five_versions(state);
	assert_int_equal(collect(state, (struct oci_gc_options){.keep = 4}, NULL), 0);
	assert_string_equal(versions(state, left), "bcde");
}

static void what_is_younger_than_a_day_stays(void **state)
{
	char left[8];

	for (char letter = 'a'; letter <= 'e'; letter++)
		put_version(state, letter, letter == 'a' ? 2 : 0);
	assert_int_equal(collect(state, (struct oci_gc_options){.keep = 2}, NULL), 0);
	assert_string_equal(versions(state, left), "bcde");
}

static void what_a_link_leads_to_stays(void **state)
{
	char left[8];

	five_versions(state);
	put_link(temp_dir_fd(state), "current", "sha256-aaaaaaaaaaaa");
	put_link(temp_dir_fd(state), "stable", "./sha256-bbbbbbbbbbbb/");
	assert_int_equal(collect(state, (struct oci_gc_options){.keep = 2}, NULL), 0);
	assert_string_equal(versions(state, left), "abde");
}

static void what_is_open_over_nfs_stays(void **state)
{
	char left[8];

	five_versions(state);
	put_file(temp_dir_fd(state), "sha256-aaaaaaaaaaaa/.nfs0000000000000001", "open");
	assert_int_equal(collect(state, (struct oci_gc_options){.keep = 2}, NULL), 0);
	assert_string_equal(versions(state, left), "ade");
}

static void a_directory_without_a_record_is_not_ours(void **state)
{
	char left[8];

	five_versions(state);
	assert_int_equal(unlinkat(temp_dir_fd(state), "sha256-aaaaaaaaaaaa/" OCI_RECORD_NAME, 0), 0);
	put_dir(temp_dir_fd(state), "sha256-short");
	assert_int_equal(collect(state, (struct oci_gc_options){.keep = 2}, NULL), 0);
	assert_string_equal(versions(state, left), "ade");
	assert_true(is_there(temp_dir_fd(state), "sha256-short"));
}

static void a_dry_run_removes_nothing(void **state)
{
	char left[8];

	five_versions(state);
	assert_int_equal(collect(state, (struct oci_gc_options){.keep = 2, .dry_run = true}, NULL), 0);
	assert_string_equal(versions(state, left), "abcde");
}

static void where_enough_is_free_all_versions_stay(void **state)
{
	char left[8];

	five_versions(state);
	assert_int_equal(collect(state, (struct oci_gc_options){.keep = 2, .free_bytes = 1}, NULL), 0);
	assert_string_equal(versions(state, left), "abcde");
}

static void a_target_that_cannot_be_reached_is_no_space(void **state)
{
	struct oci_error err = {0};
	char left[8];

	five_versions(state);
	assert_int_equal(collect(state, (struct oci_gc_options){.keep = 3, .free_bytes = UINT64_MAX}, &err), -1);
	assert_int_equal(err.code, OCI_E_NOSPACE);
	assert_string_equal(versions(state, left), "cde");
}

/* The time of a change of the entry itself cannot be set: the collector's clock moves on instead. */
static void leftovers_go_after_a_day_and_not_before(void **state)
{
	struct oci_gc_options options = {.now = time(NULL) + DAY_S - 60};

	put_file(temp_dir_fd(state), ".modelcar.0123abcd.0123456789ab.0.part", "half");
	put_dir(temp_dir_fd(state), ".modelcar.0123456789abcdef.part");
	put_dir(temp_dir_fd(state), ".modelcar.0123456789abcdef.part/tree");
	put_file(temp_dir_fd(state), ".modelcar.keep", "not a part");
	assert_int_equal(collect(state, options, NULL), 0);
	assert_true(is_there(temp_dir_fd(state), ".modelcar.0123abcd.0123456789ab.0.part"));
	options.now += 120;
	assert_int_equal(collect(state, options, NULL), 0);
	assert_false(is_there(temp_dir_fd(state), ".modelcar.0123abcd.0123456789ab.0.part"));
	assert_false(is_there(temp_dir_fd(state), ".modelcar.0123456789abcdef.part"));
	assert_true(is_there(temp_dir_fd(state), ".modelcar.keep"));
}

static void touch(void **state, const char *name, time_t when)
{
	struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};

	assert_int_equal(utimensat(temp_dir_fd(state), name, times, 0), 0);
}

static void a_lease_that_is_kept_alive_protects_what_belongs_to_it(void **state)
{
	time_t later = time(NULL) + 2 * DAY_S;

	put_file(temp_dir_fd(state), ".modelcar.0123abcd.0123456789ab.0.part", "half");
	put_file(temp_dir_fd(state), ".modelcar.89abcdef.0123456789ab.0.part", "another's");
	put_file(temp_dir_fd(state), ".modelcar.0123abcd.lease.part", "17");
	touch(state, ".modelcar.0123abcd.lease.part", later - 5);
	assert_int_equal(collect(state, (struct oci_gc_options){.now = later}, NULL), 0);
	assert_true(is_there(temp_dir_fd(state), ".modelcar.0123abcd.0123456789ab.0.part"));
	assert_true(is_there(temp_dir_fd(state), ".modelcar.0123abcd.lease.part"));
	assert_false(is_there(temp_dir_fd(state), ".modelcar.89abcdef.0123456789ab.0.part"));
}

/* sha256 of "sha256-aaaaaaaaaaaa" is how the state of a pull to that version begins. */
static void a_version_that_is_being_repaired_stays(void **state)
{
	OCI_CLEANUP(oci_gc_report_clear) struct oci_gc_report report = {0};
	char lease[64], hex[OCI_DIGEST_TEXT_MAX], left[8];
	struct oci_digest digest;

	five_versions(state);
	oci_digest_of(OCI_SHA256, "sha256-aaaaaaaaaaaa", 19, &digest);
	snprintf(lease, sizeof lease, ".modelcar.%.8s.lease.part", oci_digest_hex(&digest, hex));
	put_file(temp_dir_fd(state), lease, "17");
	touch(state, lease, NOW - 5);
	assert_int_equal(collect(state, (struct oci_gc_options){.keep = 2}, NULL), 0);
	assert_string_equal(versions(state, left), "ade");
}

static void state_beside_a_tree_goes_with_the_tree_alone(void **state)
{
	OCI_CLEANUP(oci_gc_report_clear) struct oci_gc_report report = {0};
	oci_autofree char *path = oci_str_printf("%s/model", ((struct temp_dir *)*state)->path);
	struct oci_gc_options options = {.dir = path, .now = time(NULL) + 2 * DAY_S, .min_age_s = OCI_GC_MIN_AGE_S};
	char mine[64], hex[OCI_DIGEST_TEXT_MAX];
	struct oci_digest digest;

	oci_digest_of(OCI_SHA256, "model", 5, &digest);
	snprintf(mine, sizeof mine, ".modelcar.%.8s.old.part", oci_digest_hex(&digest, hex));
	put_dir(temp_dir_fd(state), "model");
	put_dir(temp_dir_fd(state), mine);
	put_file(temp_dir_fd(state), ".modelcar.00000000.old.part", "of a neighbour");
	assert_int_equal(oci_gc(&options, &report, NULL), 0);
	assert_int_equal(report.gone_count, 1);
	assert_int_equal(strncmp(report.items[0].name, "../.modelcar.", 13), 0);
	assert_false(is_there(temp_dir_fd(state), mine));
	assert_true(is_there(temp_dir_fd(state), ".modelcar.00000000.old.part"));
}

static void what_is_not_there_is_not_found(void **state)
{
	OCI_CLEANUP(oci_gc_report_clear) struct oci_gc_report report = {0};
	struct oci_gc_options options = {.dir = "/nonexistent/models"};
	struct oci_error err = {0};

	assert_int_equal(oci_gc(&options, &report, &err), -1);
	assert_int_equal(err.code, OCI_E_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_dir_setup, temp_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_two_newest_stay_whatever_is_asked),
		TEST(as_many_stay_as_are_asked_for),
		TEST(what_is_younger_than_a_day_stays),
		TEST(what_a_link_leads_to_stays),
		TEST(what_is_open_over_nfs_stays),
		TEST(a_directory_without_a_record_is_not_ours),
		TEST(a_dry_run_removes_nothing),
		TEST(where_enough_is_free_all_versions_stay),
		TEST(a_target_that_cannot_be_reached_is_no_space),
		TEST(leftovers_go_after_a_day_and_not_before),
		TEST(a_lease_that_is_kept_alive_protects_what_belongs_to_it),
		TEST(a_version_that_is_being_repaired_stays),
		TEST(state_beside_a_tree_goes_with_the_tree_alone),
		TEST(what_is_not_there_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
