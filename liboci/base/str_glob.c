#include <string.h>

#include "base/str.h"

/* A stretch of text that need not be terminated. */
struct span {
	const char *at;
	const char *end;
};

/* Where to go on when what follows a star does not match: the star takes one
 * more byte of the text, or one more component ("**" followed by '/'). */
struct star {
	const char *pattern; /* behind the star; NULL: no star so far */
	const char *text;
	bool components;
};

/* The class at `p` ("[a-z]", "[!abc]", a leading ']' stands for itself)
 * against one byte. Returns what follows it, or NULL when no class begins. */
static const char *match_class(const char *p, const char *end, char byte, bool *hit)
{
	const unsigned char c = (unsigned char)byte;
	bool negated, found = false;
	const char *first;

	p++;
	negated = p < end && (*p == '!' || *p == '^');
	p += negated;
	for (first = p; p < end && (*p != ']' || p == first); p++) {
		unsigned char low = (unsigned char)*p;
		unsigned char high = low;

		if (end - p > 2 && p[1] == '-' && p[2] != ']') {
			high = (unsigned char)p[2];
			p += 2;
		}
		found |= low <= c && c <= high;
	}
	if (p >= end)
		return NULL;
	*hit = found != negated && byte != '/';
	return p + 1;
}

/* One pattern element that is no star against one byte of text: returns what
 * follows the element, or NULL when it does not match. */
static const char *match_byte(const char *p, const char *end, char byte)
{
	if (*p == '?')
		return byte != '/' ? p + 1 : NULL;
	if (*p == '[') {
		bool hit = false;
		const char *next = match_class(p, end, byte, &hit);

		if (next)
			return hit ? next : NULL;
	}
	if (*p == '\\' && end - p > 1)
		p++;
	return *p == byte ? p + 1 : NULL;
}

static bool star_extend(struct star *star, const char *end)
{
	if (!star->pattern || star->text >= end || *star->text == '/')
		return false;
	star->text++;
	return true;
}

static bool deep_extend(struct star *deep, const char *end)
{
	const char *at = deep->text;

	if (!deep->pattern || at >= end)
		return false;
	if (deep->components)
		at = memchr(at, '/', (size_t)(end - at));
	if (!at)
		return false;
	deep->text = at + 1;
	return true;
}

/* Note the star at `p` and return what follows it. */
static const char *star_begin(struct span pattern, const char *p, const char *text, struct star *star,
	struct star *deep)
{
	bool starts = p == pattern.at || p[-1] == '/';

	p++;
	if (p >= pattern.end || *p != '*') {
		*star = (struct star){p, text, false};
		return p;
	}
	p++;
	*star = (struct star){0};
	*deep = (struct star){p, text, starts && p < pattern.end && *p == '/'};
	if (deep->components)
		deep->pattern = ++p;
	return p;
}

/* Only the last star of each kind is ever extended. That is enough: a later
 * `*` stands in the component where the earlier one ends as soon as it can,
 * and a later `**` reaches everything that an earlier one would. */
static bool match(struct span pattern, struct span text)
{
	const char *p = pattern.at;
	const char *t = text.at;
	struct star star = {0}, deep = {0};

	while (p < pattern.end || t < text.end) {
		const char *next = NULL;

		if (p < pattern.end && *p == '*') {
			p = star_begin(pattern, p, t, &star, &deep);
			continue;
		}
		if (p < pattern.end && t < text.end)
			next = match_byte(p, pattern.end, *t);
		if (next) {
			p = next;
			t++;
		} else if (star_extend(&star, text.end)) {
			p = star.pattern;
			t = star.text;
		} else if (deep_extend(&deep, text.end)) {
			star = (struct star){0};
			p = deep.pattern;
			t = deep.text;
		} else {
			return false;
		}
	}
	return true;
}

/* The whole text when the pattern is anchored, else its last component. */
static bool match_path(struct span pattern, bool anchored, struct span path)
{
	const char *slash = memrchr(path.at, '/', (size_t)(path.end - path.at));

	if (slash && !anchored)
		path.at = slash + 1;
	return match(pattern, path);
}

/* With `within` also when a directory that the path lies in matches. */
static bool glob(const char *pattern, const char *path, bool within)
{
	struct span want = {pattern, pattern + strlen(pattern)};
	bool directory = want.end > want.at && want.end[-1] == '/';
	bool anchored;

	want.end -= directory;
	anchored = memchr(want.at, '/', (size_t)(want.end - want.at)) != NULL;
	if (anchored && *want.at == '/')
		want.at++;
	if (!directory && match_path(want, anchored, (struct span){path, path + strlen(path)}))
		return true;
	if (!directory && !within)
		return false;
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		if (match_path(want, anchored, (struct span){path, slash}))
			return true;
	}
	return false;
}

bool oci_str_glob(const char *pattern, const char *path)
{
	return glob(pattern, path, false);
}

bool oci_str_glob_within(const char *pattern, const char *path)
{
	return glob(pattern, path, true);
}
