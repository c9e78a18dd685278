#include "core/version.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

#define PARTS 3
#define DIGITS_MAX 18

struct version {
	uint64_t part[PARTS];
	unsigned given;  /* parts that are written and no wildcard */
	const char *pre; /* not terminated; NULL: none */
	size_t pre_len;
};

enum comparison { EXACT, ABOVE, FROM, BELOW, UP_TO, CARET, TILDE };

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '.';
}

static size_t read_number(const char *text, uint64_t *ret)
{
	size_t len = strspn(text, "0123456789");

	if (len == 0 || len > DIGITS_MAX)
		return 0;
	*ret = 0;
	for (size_t i = 0; i < len; i++)
		*ret = *ret * 10 + (uint64_t)(text[i] - '0');
	return len;
}

/* Up to three numbers; in a range the last ones may be wildcards. */
static const char *read_parts(const char *text, bool range, struct version *v)
{
	for (unsigned i = 0; i < PARTS; i++) {
		size_t len = read_number(text, &v->part[i]);

		if (len > 0 && v->given == i)
			v->given = i + 1;
		else if (range && *text && strchr("xX*", *text))
			len = 1;
		else
			return NULL;
		text += len;
		if (*text != '.' || i + 1 == PARTS)
			break;
		text++;
	}
	return text;
}

/* What follows the version, or NULL: it is none. */
static const char *read_version(const char *text, bool range, struct version *ret)
{
	struct version v = {0};

	text = read_parts(text + (*text == 'v'), range, &v);
	if (!text)
		return NULL;
	if (*text == '-') {
		v.pre = ++text;
		while (is_word(*text))
			text++;
		v.pre_len = (size_t)(text - v.pre);
		if (v.pre_len == 0 || v.given == 0)
			return NULL;
	}
	if (*text == '+') {
		const char *build = ++text;

		while (is_word(*text))
			text++;
		if (text == build)
			return NULL;
	}
	*ret = v;
	return text;
}

static bool parse(const char *text, struct version *ret)
{
	const char *end = read_version(text, false, ret);

	return end && *end == '\0';
}

bool oci_version_is(const char *text)
{
	struct version v;

	return parse(text, &v);
}

/* One identifier of a pre-release: numbers by value and below words. */
static int compare_word(const char *a, size_t a_len, const char *b, size_t b_len)
{
	bool a_number = strspn(a, "0123456789") >= a_len, b_number = strspn(b, "0123456789") >= b_len;
	size_t shorter = a_len < b_len ? a_len : b_len;
	int order;

	if (a_number != b_number)
		return a_number ? -1 : 1;
	for (; a_number && a_len > 1 && *a == '0'; a_len--)
		a++;
	for (; b_number && b_len > 1 && *b == '0'; b_len--)
		b++;
	if (a_number && a_len != b_len)
		return a_len < b_len ? -1 : 1;
	order = memcmp(a, b, shorter < a_len ? shorter : a_len);
	return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int compare_pre(const struct version *a, const struct version *b)
{
	const char *x = a->pre, *y = b->pre;
	const char *x_end = x + a->pre_len, *y_end = y + b->pre_len;

	if (!x || !y)
		return !x && !y ? 0 : x ? -1 : 1;
	while (x < x_end && y < y_end) {
		const char *x_dot = memchr(x, '.', (size_t)(x_end - x)), *y_dot = memchr(y, '.', (size_t)(y_end - y));
		size_t x_len = (size_t)((x_dot ? x_dot : x_end) - x), y_len = (size_t)((y_dot ? y_dot : y_end) - y);
		int order = compare_word(x, x_len, y, y_len);

		if (order)
			return order;
		x += x_len + (x_dot != NULL);
		y += y_len + (y_dot != NULL);
	}
	return (x < x_end) - (y < y_end);
}

static int compare(const struct version *a, const struct version *b)
{
	for (unsigned i = 0; i < PARTS; i++)
		if (a->part[i] != b->part[i])
			return a->part[i] < b->part[i] ? -1 : 1;
	return compare_pre(a, b);
}

int oci_version_compare(const char *a, const char *b)
{
	struct version x, y;
	bool x_is = parse(a, &x), y_is = parse(b, &y);
	int order = x_is && y_is ? compare(&x, &y) : x_is - y_is;

	if (order == 0)
		order = strverscmp(a, b);
	return order ? order : strcmp(a, b);
}

/* ranges */

static const char *read_comparison(const char *text, enum comparison *ret)
{
	static const struct {
		const char *sign;
		enum comparison comparison;
	} signs[] = {{">=", FROM}, {"<=", UP_TO}, {">", ABOVE}, {"<", BELOW}, {"=", EXACT}, {"^", CARET}, {"~", TILDE},
		{"", EXACT}};

	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
		if (oci_str_starts(text, signs[i].sign)) {
			*ret = signs[i].comparison;
			text += strlen(signs[i].sign);
			break;
		}
	return text + strspn(text, " ");
}

/* The first version that has another number at `part`. */
static struct version after(const struct version *v, unsigned part)
{
	struct version next = {0};

	for (unsigned i = 0; i < part; i++)
		next.part[i] = v->part[i];
	next.part[part] = v->part[part] + 1;
	return next;
}

/* Below the version, and no pre-release of it either. */
static bool is_short_of(const struct version *v, const struct version *end)
{
	for (unsigned i = 0; i < PARTS; i++)
		if (v->part[i] != end->part[i])
			return v->part[i] < end->part[i];
	return false;
}

/* The part that must stay the same in ^ and, where parts are left out, at most the last given. */
static unsigned fixed_part(const struct version *bound, enum comparison comparison)
{
	unsigned last = bound->given - 1;

	if (comparison == TILDE)
		return last < 1 ? last : 1;
	if (comparison != CARET)
		return last;
	for (unsigned i = 0; i < last; i++)
		if (bound->part[i] > 0)
			return i;
	return last;
}

static bool holds(const struct version *v, const struct version *bound, enum comparison comparison)
{
	int order = compare(v, bound);
	struct version end;

	if (bound->given == 0)
		return comparison != ABOVE && comparison != BELOW;
	end = after(bound, fixed_part(bound, comparison));
	switch (comparison) {
	case ABOVE:
		return bound->given < PARTS ? order > 0 && !is_short_of(v, &end) : order > 0;
	case FROM:
		return order >= 0;
	case BELOW:
		return bound->pre ? order < 0 : is_short_of(v, bound);
	case UP_TO:
		return order <= 0 || (bound->given < PARTS && is_short_of(v, &end));
	case EXACT:
		return order == 0 || (bound->given < PARTS && order > 0 && is_short_of(v, &end));
	case CARET:
	case TILDE:
		return order >= 0 && is_short_of(v, &end);
	}
	return false;
}

/* One alternative, to "||" or the end. */
static const char *match_all(const char *text, const struct version *v, bool *ret)
{
	bool all = true, pre = false;

	for (text += strspn(text, " ,"); *text && *text != '|'; text += strspn(text, " ,")) {
		enum comparison comparison;
		struct version bound;

		text = read_version(read_comparison(text, &comparison), true, &bound);
		if (!text || (*text && !strchr(" ,|", *text)))
			return NULL;
		pre = pre || bound.pre;
		all = all && v && holds(v, &bound, comparison);
	}
	*ret = all && v && (pre || !v->pre);
	return text;
}

int oci_version_match(const char *range, const char *version, bool *ret, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	const char *text = range;
	struct version v;
	bool is_version = parse(version, &v), any = false;

	for (;;) {
		bool one = false;
		const char *start = text + strspn(text, " ,");

		text = *start && *start != '|' ? match_all(text, is_version ? &v : NULL, &one) : NULL;
		if (!text)
			return oci_fail(err, OCI_E_USAGE, "'%s' is no range of versions, write it as '>=1.2 <2' or '^1.4'",
				oci_str_escape(range, shown));
		any = any || one;
		if (*text == '\0')
			break;
		if (text[1] != '|')
			return oci_fail(err, OCI_E_USAGE, "'%s' has a single '|', alternatives have two",
				oci_str_escape(range, shown));
		text += 2;
	}
	*ret = any;
	return 0;
}
