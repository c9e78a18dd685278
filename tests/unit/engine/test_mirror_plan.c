#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "engine/mirror.h"

#define PLAN OCI_CLEANUP(oci_mirror_plan_clear) struct oci_mirror_plan

static void assert_refused(const char *text, const char *said)
{
	PLAN plan = {0};
	struct oci_error err = {0};
	int rc = oci_mirror_plan_read(text, strlen(text), &plan, &err);

	if (rc == 0)
		rc = oci_mirror_plan_check(&plan, &err);
	if (rc == 0)
		fail_msg("this was taken: %s", text);
	if (!strstr(err.text, said))
		fail_msg("'%s' is not in '%s'", said, err.text);
}

static void all_members_are_read(void **state)
{
	static const char text[] =
		"limitRate: 10Mi\njobs: 3\nmirrors:\n- name: one\n  source: a.example\n  destination: b.example/c\n"
		"  repositories: [x, 'y/*']\n  excludeRepositories: z\n"
		"  tags: {glob: v*, exclude: [a, b], regex: c, semver: ^1.2, newest: 7}\n"
		"  platform: linux/arm64\n  referrers: false\n  viaZarf: true\n  prune: {maxPercent: 5}\n";
	PLAN plan = {0};

	assert_int_equal(oci_mirror_plan_read(text, strlen(text), &plan, NULL), 0);
	assert_int_equal(oci_mirror_plan_check(&plan, NULL), 0);
	assert_int_equal(plan.limit_rate, 10 * OCI_MIB);
	assert_int_equal(plan.jobs, 3);
	assert_int_equal(plan.rule_count, 1);
	const struct oci_mirror_rule *rule = &plan.rules[0];
	assert_string_equal(rule->name, "one");
	assert_string_equal(rule->source, "a.example");
	assert_string_equal(rule->destination, "b.example/c");
	assert_int_equal(rule->repositories.count, 2);
	assert_string_equal(rule->exclude_repositories.items[0], "z");
	assert_string_equal(rule->tags.include.items[0], "v*");
	assert_int_equal(rule->tags.exclude.count, 2);
	assert_string_equal(rule->tags.regex.items[0], "c");
	assert_string_equal(rule->semver, "^1.2");
	assert_int_equal(rule->tags.newest, 7);
	assert_string_equal(rule->platform, "linux/arm64");
	assert_false(rule->referrers);
	assert_true(rule->via_zarf);
	assert_true(rule->prune);
	assert_int_equal(rule->prune_percent, 5);
}

static void what_is_left_out_has_its_default(void **state)
{
	static const char text[] = "mirrors:\n- {source: a.example/x, destination: b.example/y, tags: [v1, 1.10], prune: true}\n"
		"- {source: 'oci:/z:v1', destination: 'oci:/w', name: }\n";
	PLAN plan = {0};

	assert_int_equal(oci_mirror_plan_read(text, strlen(text), &plan, NULL), 0);
	assert_int_equal(oci_mirror_plan_check(&plan, NULL), 0);
	assert_int_equal(plan.rule_count, 2);
	assert_string_equal(plan.rules[0].tags.include.items[1], "1.10");
	assert_true(plan.rules[0].referrers && plan.rules[0].prune);
	assert_int_equal(plan.rules[0].prune_percent, OCI_MIRROR_PRUNE_PERCENT);
	assert_null(plan.rules[1].name);
	assert_false(plan.rules[1].prune);
}

static void what_is_not_known_or_of_another_type_is_refused(void **state)
{
	assert_refused("mirors: []", "'mirors'");
	assert_refused("[]", "a mapping");
	assert_refused("mirrors: [x]", "rule 1");
	assert_refused("mirrors: [{sorce: a}]", "'sorce'");
	assert_refused("mirrors: [{source: [a]}]", "'source'");
	assert_refused("mirrors: [{source: a.b/c, destination: d.e/f, tags: {newest: 0}}]", "'newest'");
	assert_refused("mirrors: [{source: a.b/c, destination: d.e/f, tags: {new: 1}}]", "'new'");
	assert_refused("mirrors: [{source: a.b/c, destination: d.e/f, repositories: {x: y}}]", "'repositories'");
	assert_refused("mirrors: [{source: a.b/c, destination: d.e/f, prune: {maxPercent: 101}}]", "'maxPercent'");
	assert_refused("mirrors: [{source: a.b/c, destination: d.e/f, referrers: yes}]", "'referrers'");
	assert_refused("limitRate: fast", "'limitRate'");
	assert_refused("jobs: 65", "'jobs'");
}

static void rules_that_cannot_be_followed_are_refused(void **state)
{
	assert_refused("mirrors: [{source: a.b/c}]", "destination");
	assert_refused("mirrors: [{source: a.b/c, destination: 'oci-archive:x.tar'}]", "whole");
	assert_refused("mirrors: [{source: a.b/c, destination: 'd.e/f:v1'}]", "tag");
	assert_refused("mirrors: [{source: 'oci:x', destination: d.e, repositories: y}]", "registry");
	assert_refused("mirrors: [{source: a.b, destination: 'd.e', repositories: 'Y'}]", "Y");
	assert_refused("mirrors: [{source: a.b/c, destination: d.e/f}, {source: a.b/c, destination: d.e/f, platform: x}]",
		"rule 2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_members_are_read),
		cmocka_unit_test(what_is_left_out_has_its_default),
		cmocka_unit_test(what_is_not_known_or_of_another_type_is_refused),
		cmocka_unit_test(rules_that_cannot_be_followed_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
