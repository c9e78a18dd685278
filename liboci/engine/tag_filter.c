#include "engine/tag_filter.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/version.h"

#define DERIVED "sha256-"
#define HEX_DIGITS 64

struct matcher {
	const struct oci_tag_filter *filter;
	regex_t *regex;
	size_t regex_count; /* that are compiled */
};

static void matcher_clear(struct matcher *m)
{
	for (size_t i = 0; i < m->regex_count; i++)
		regfree(&m->regex[i]);
	free(m->regex);
}

static int compile(struct matcher *m, const char *pattern, struct oci_error *err)
{
	oci_autofree char *whole = oci_str_printf("^(%s)$", pattern);
	char why[128], shown[OCI_STR_ESCAPE_MAX];
	int rc;

	if (!whole)
		return oci_fail_nomem(err);
	rc = regcomp(&m->regex[m->regex_count], whole, REG_EXTENDED | REG_NOSUB);
	if (rc == 0) {
		m->regex_count++;
		return 0;
	}
	regerror(rc, &m->regex[m->regex_count], why, sizeof why);
	return oci_fail(err, OCI_E_USAGE, "'%s' is no regular expression: %s", oci_str_escape(pattern, shown), why);
}

static int matcher_init(struct matcher *m, struct oci_error *err)
{
	bool ignored;

	m->regex = calloc(m->filter->regex.count + 1, sizeof *m->regex);
	if (!m->regex)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < m->filter->regex.count; i++)
		if (compile(m, m->filter->regex.items[i], err) < 0)
			return -1;
	return m->filter->semver ? oci_version_match(m->filter->semver, "0", &ignored, err) : 0;
}

bool oci_tag_filter_subject(const char *tag, char ret[OCI_TAG_SUBJECT_MAX])
{
	size_t prefix = strlen(DERIVED);

	if (!oci_str_starts(tag, DERIVED) || strspn(tag + prefix, "0123456789abcdef") != HEX_DIGITS)
		return false;
	memcpy(ret, tag, prefix + HEX_DIGITS);
	ret[prefix - 1] = ':';
	ret[prefix + HEX_DIGITS] = '\0';
	return true;
}

bool oci_tag_filter_is_derived(const char *tag)
{
	char ignored[OCI_TAG_SUBJECT_MAX];

	return oci_tag_filter_subject(tag, ignored);
}

static bool any_glob(const struct oci_strings *globs, const char *tag)
{
	for (size_t i = 0; i < globs->count; i++)
		if (oci_str_glob(globs->items[i], tag))
			return true;
	return false;
}

static bool any_regex(const struct matcher *m, const char *tag)
{
	for (size_t i = 0; i < m->regex_count; i++)
		if (regexec(&m->regex[i], tag, 0, NULL, 0) == 0)
			return true;
	return false;
}

static int fits(const struct matcher *m, const char *tag, bool *ret, struct oci_error *err)
{
	const struct oci_tag_filter *f = m->filter;

	*ret = !oci_tag_filter_is_derived(tag) && (f->include.count == 0 || any_glob(&f->include, tag)) &&
		!any_glob(&f->exclude, tag) && (m->regex_count == 0 || any_regex(m, tag));
	return *ret && f->semver ? oci_version_match(f->semver, tag, ret, err) : 0;
}

static int newest_first(const void *a, const void *b)
{
	return oci_version_compare(*(char *const *)b, *(char *const *)a);
}

int oci_tag_filter_check(const struct oci_tag_filter *filter, struct oci_error *err)
{
	OCI_CLEANUP(matcher_clear) struct matcher m = {.filter = filter};

	return matcher_init(&m, err);
}

int oci_tag_filter_apply(const struct oci_tag_filter *filter, const struct oci_strings *tags,
	struct oci_strings *ret, struct oci_error *err)
{
	OCI_CLEANUP(matcher_clear) struct matcher m = {.filter = filter};
	OCI_CLEANUP(oci_strings_clear) struct oci_strings found = {0};
	bool taken;

	if (matcher_init(&m, err) < 0)
		return -1;
	for (size_t i = 0; i < tags->count; i++)
		if (fits(&m, tags->items[i], &taken, err) < 0 ||
			(taken && oci_strings_add(&found, tags->items[i], err) < 0))
			return -1;
	if (found.count > 0)
		qsort(found.items, found.count, sizeof *found.items, newest_first);
	for (size_t i = 0; i < found.count && (filter->newest == 0 || i < filter->newest); i++)
		if (oci_strings_add(ret, found.items[i], err) < 0)
			return -1;
	return 0;
}
