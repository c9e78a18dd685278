/* Rules, as a YAML document has them. */
#include "engine/mirror.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/grow.h"
#include "core/yaml.h"

#define RULES_MAX 10000
#define PERCENT_MAX 100

static const struct oci_json_limits limits = {"mirror file", OCI_MIB, 50000};

/* What a key means: reads its value into `into`, a plan or a rule. */
struct key {
	const char *name;
	int (*read)(void *into, const struct oci_json *value, struct oci_error *err);
};

static int fail_key(const char *key, const char *wanted, struct oci_error *err)
{
	return oci_fail(err, OCI_E_FORMAT, "'%s' should be %s", key, wanted);
}

/* An object, of which every member must be one of `keys`. */
static int read_object(const struct oci_json *object, const char *name, const struct key *keys, void *into,
	struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];

	if (!oci_json_is_object(object))
		return fail_key(name, "a mapping", err);
	for (void *i = oci_json_first(object); i; i = oci_json_next(object, i)) {
		const struct key *key = keys;

		while (key->name && strcmp(key->name, oci_json_key(i)) != 0)
			key++;
		if (!key->name)
			return oci_fail(err, OCI_E_FORMAT, "'%s' has no member '%s'", name,
				oci_str_escape(oci_json_key(i), shown));
		if (!oci_json_is_null(oci_json_value(i)) && key->read(into, oci_json_value(i), err) < 0)
			return -1;
	}
	return 0;
}

/* One text, or a list of them. */
static int read_texts(const struct oci_json *value, const char *key, struct oci_strings *ret, struct oci_error *err)
{
	if (oci_json_value_text(value))
		return oci_strings_add(ret, oci_json_value_text(value), err);
	if (!oci_json_is_array(value))
		return fail_key(key, "a text or a list of texts", err);
	for (size_t i = 0; i < oci_json_count(value); i++) {
		const char *text = oci_json_value_text(oci_json_at(value, i));

		if (!text)
			return fail_key(key, "a text or a list of texts", err);
		if (oci_strings_add(ret, text, err) < 0)
			return -1;
	}
	return 0;
}

static int read_text(const struct oci_json *value, const char *key, char **ret, struct oci_error *err)
{
	const char *text = oci_json_value_text(value);

	return text && *text ? oci_str_set(ret, text, err) : fail_key(key, "a text", err);
}

static int read_bool(const struct oci_json *value, const char *key, bool *ret, struct oci_error *err)
{
	const char *text = oci_json_value_text(value);

	if (!text || (strcmp(text, "true") != 0 && strcmp(text, "false") != 0))
		return fail_key(key, "true or false", err);
	*ret = strcmp(text, "true") == 0;
	return 0;
}

static int read_number(const struct oci_json *value, const char *key, uint64_t min, uint64_t max, uint64_t *ret,
	struct oci_error *err)
{
	const char *text = oci_json_value_text(value);

	if (!text || !oci_str_u64(text, ret) || *ret < min || *ret > max)
		return fail_key(key, "a whole number that makes sense there", err);
	return 0;
}

/* tags */

static int read_glob(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_texts(value, "glob", &((struct oci_mirror_rule *)into)->tags.include, err);
}

static int read_exclude(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_texts(value, "exclude", &((struct oci_mirror_rule *)into)->tags.exclude, err);
}

static int read_regex(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_texts(value, "regex", &((struct oci_mirror_rule *)into)->tags.regex, err);
}

static int read_semver(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_text(value, "semver", &((struct oci_mirror_rule *)into)->semver, err);
}

static int read_newest(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_number(value, "newest", 1, UINT64_MAX, &((struct oci_mirror_rule *)into)->tags.newest, err);
}

static int read_tags(void *into, const struct oci_json *value, struct oci_error *err)
{
	static const struct key keys[] = {{"glob", read_glob}, {"exclude", read_exclude}, {"regex", read_regex},
		{"semver", read_semver}, {"newest", read_newest}, {0}};

	return oci_json_is_object(value) ? read_object(value, "tags", keys, into, err) : read_glob(into, value, err);
}

/* prune */

static int read_percent(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_number(value, "maxPercent", 0, PERCENT_MAX, &((struct oci_mirror_rule *)into)->prune_percent, err);
}

static int read_prune(void *into, const struct oci_json *value, struct oci_error *err)
{
	static const struct key keys[] = {{"maxPercent", read_percent}, {0}};
	struct oci_mirror_rule *rule = into;

	if (!oci_json_is_object(value))
		return read_bool(value, "prune", &rule->prune, err);
	rule->prune = true;
	return read_object(value, "prune", keys, into, err);
}

/* a rule */

static int read_name(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_text(value, "name", &((struct oci_mirror_rule *)into)->name, err);
}

static int read_source(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_text(value, "source", &((struct oci_mirror_rule *)into)->source, err);
}

static int read_destination(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_text(value, "destination", &((struct oci_mirror_rule *)into)->destination, err);
}

static int read_repositories(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_texts(value, "repositories", &((struct oci_mirror_rule *)into)->repositories, err);
}

static int read_exclude_repositories(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_texts(value, "excludeRepositories", &((struct oci_mirror_rule *)into)->exclude_repositories, err);
}

static int read_platform(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_text(value, "platform", &((struct oci_mirror_rule *)into)->platform, err);
}

static int read_referrers(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_bool(value, "referrers", &((struct oci_mirror_rule *)into)->referrers, err);
}

static int read_via_zarf(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_bool(value, "viaZarf", &((struct oci_mirror_rule *)into)->via_zarf, err);
}

static int read_rules(void *into, const struct oci_json *value, struct oci_error *err)
{
	static const struct key keys[] = {{"name", read_name}, {"source", read_source}, {"destination", read_destination},
		{"repositories", read_repositories}, {"excludeRepositories", read_exclude_repositories},
		{"tags", read_tags}, {"platform", read_platform}, {"referrers", read_referrers}, {"viaZarf", read_via_zarf},
		{"prune", read_prune}, {0}};

	if (!oci_json_is_array(value))
		return fail_key("mirrors", "a list", err);
	if (oci_json_count(value) > RULES_MAX)
		return oci_fail(err, OCI_E_FORMAT, "more than %d rules", RULES_MAX);
	for (size_t i = 0; i < oci_json_count(value); i++) {
		struct oci_mirror_rule *rule = oci_mirror_plan_add(into, err);

		if (!rule || read_object(oci_json_at(value, i), "mirrors", keys, rule, err) < 0)
			return oci_wrap(err, "rule %zu", i + 1);
	}
	return 0;
}

/* the document */

static int read_limit_rate(void *into, const struct oci_json *value, struct oci_error *err)
{
	const char *text = oci_json_value_text(value);

	if (!text || !oci_str_quantity(text, &((struct oci_mirror_plan *)into)->limit_rate))
		return fail_key("limitRate", "a size, as 10Mi", err);
	return 0;
}

static int read_jobs(void *into, const struct oci_json *value, struct oci_error *err)
{
	return read_number(value, "jobs", 1, 64, &((struct oci_mirror_plan *)into)->jobs, err);
}

int oci_mirror_plan_read(const char *text, size_t len, struct oci_mirror_plan *ret, struct oci_error *err)
{
	static const struct key keys[] = {
		{"mirrors", read_rules}, {"limitRate", read_limit_rate}, {"jobs", read_jobs}, {0}};
	OCI_CLEANUP(oci_mirror_plan_clear) struct oci_mirror_plan plan = {0};
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = oci_yaml_parse(text, len, &limits, err);

	if (!doc)
		return -1;
	if (read_object(doc, "mirror file", keys, &plan, err) < 0)
		return -1;
	if (plan.rule_count == 0)
		return oci_fail(err, OCI_E_FORMAT, "the mirror file has no rules, write them as 'mirrors:' and a list");
	*ret = plan;
	plan = (struct oci_mirror_plan){0};
	return 0;
}

struct oci_mirror_rule *oci_mirror_plan_add(struct oci_mirror_plan *plan, struct oci_error *err)
{
	struct oci_mirror_rule *rules = oci_grow(plan->rules, plan->rule_count, sizeof *rules);

	if (!rules) {
		oci_fail_nomem(err);
		return NULL;
	}
	plan->rules = rules;
	rules[plan->rule_count].referrers = true;
	rules[plan->rule_count].prune_percent = OCI_MIRROR_PRUNE_PERCENT;
	return &rules[plan->rule_count++];
}

static void rule_clear(struct oci_mirror_rule *rule)
{
	free(rule->name);
	free(rule->source);
	free(rule->destination);
	free(rule->semver);
	free(rule->platform);
	oci_strings_clear(&rule->repositories);
	oci_strings_clear(&rule->exclude_repositories);
	oci_strings_clear(&rule->tags.include);
	oci_strings_clear(&rule->tags.exclude);
	oci_strings_clear(&rule->tags.regex);
}

void oci_mirror_plan_clear(struct oci_mirror_plan *plan)
{
	for (size_t i = 0; i < plan->rule_count; i++)
		rule_clear(&plan->rules[i]);
	free(plan->rules);
	*plan = (struct oci_mirror_plan){0};
}
