#include "opt.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

struct suffix {
	const char *text;
	uint64_t ms;
};
static const struct suffix duration_suffixes[] = {
	{"ms", 1},
	{"s", 1000},
	{"m", 60 * 1000},
	{"h", 60 * 60 * 1000},
	{"d", 24 * 60 * 60 * 1000},
	{"", 1000},
};

static bool parse_duration(const char *text, uint64_t *ret)
{
	char digits[24];
	size_t len = strspn(text, "0123456789");
	uint64_t count;

	if (len >= sizeof digits)
		return false;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (!oci_str_u64(digits, &count))
		return false;
	for (size_t i = 0; i < sizeof duration_suffixes / sizeof *duration_suffixes; i++) {
		if (strcmp(text + len, duration_suffixes[i].text) == 0)
			return !__builtin_mul_overflow(count, duration_suffixes[i].ms, ret);
	}
	return false;
}

static bool parse_bool(const char *text, bool *ret)
{
	static const char *const words[] = {"false", "true", "no", "yes", "0", "1"};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret = i % 2 == 1;
			return true;
		}
	}
	return false;
}

static bool parse_choice(const char *const *choices, const char *text, int *ret)
{
	for (int i = 0; choices[i]; i++) {
		if (strcmp(choices[i], text) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool parse_count(const struct opt *opt, const char *text, uint64_t *ret)
{
	if (opt->type == OPT_TYPE_SIZE)
		return oci_str_quantity(text, ret);
	if (opt->type == OPT_TYPE_DURATION)
		return parse_duration(text, ret);
	return oci_str_u64(text, ret);
}

static int fail_kind(const struct opt *opt, const char *said, const char *value, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX], words[160] = "";
	static const char *const kinds[] = {
		[OPT_TYPE_FLAG] = "true or false",
		[OPT_TYPE_NUMBER] = "a number",
		[OPT_TYPE_SIZE] = "a size such as 512Mi or 4G",
		[OPT_TYPE_DURATION] = "a duration such as 30s or 15m",
	};
	size_t used = 0;

	oci_str_escape(value, shown);
	if (opt->type != OPT_TYPE_CHOICE)
		return oci_fail(err, OCI_E_USAGE, "%s: '%s' is not %s", said, shown, kinds[opt->type]);
	for (const char *const *c = opt->choices; *c && used < sizeof words; c++)
		used += (size_t)snprintf(words + used, sizeof words - used, "%s%s", used ? ", " : "", *c);
	return oci_fail(err, OCI_E_USAGE, "%s: '%s' is not one of %s", said, shown, words);
}

static int set_count(const struct opt *opt, const char *said, const char *value, uint64_t *field,
	struct oci_error *err)
{
	uint64_t count, max = opt->max ? opt->max : UINT64_MAX;

	if (!parse_count(opt, value, &count))
		return fail_kind(opt, said, value, err);
	if (count < opt->min)
		return oci_fail(err, OCI_E_USAGE, "%s: '%s' is below the least, %llu%s", said, value,
			(unsigned long long)opt->min, opt->type == OPT_TYPE_DURATION ? " ms" : "");
	if (count > max)
		return oci_fail(err, OCI_E_USAGE, "%s: '%s' is above the most, %llu%s", said, value,
			(unsigned long long)max, opt->type == OPT_TYPE_DURATION ? " ms" : "");
	*field = count;
	return 0;
}

int opt_set(const struct opt *opt, const char *said, const char *value, void *field, struct oci_error *err)
{
	switch (opt->type) {
	case OPT_TYPE_FLAG:
		return parse_bool(value, field) ? 0 : fail_kind(opt, said, value, err);
	case OPT_TYPE_TEXT:
		if (!*value)
			return oci_fail(err, OCI_E_USAGE, "%s: the value is empty", said);
		*(const char **)field = value;
		return 0;
	case OPT_TYPE_TEXTS:
		if (!*value)
			return oci_fail(err, OCI_E_USAGE, "%s: the value is empty", said);
		return oci_strings_add(field, value, err);
	case OPT_TYPE_NUMBER:
	case OPT_TYPE_SIZE:
	case OPT_TYPE_DURATION:
		return set_count(opt, said, value, field, err);
	case OPT_TYPE_CHOICE:
		return parse_choice(opt->choices, value, field) ? 0 : fail_kind(opt, said, value, err);
	}
	return oci_fail(err, OCI_E_BUG, "%s: unknown type of option", said);
}
