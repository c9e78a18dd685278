/* suggest.h - what the user may have meant */
#pragma once

#include <stddef.h>

/* Single-letter edits between two words: insertions, deletions, replacements
 * and swaps of neighbours. Words above 32 letters are SIZE_MAX apart
 * from everything. */
size_t suggest_distance(const char *a, const char *b);

/* Keeps the nearest of the candidates shown to it, if one is near enough:
 *
 *     struct suggestion s = suggest_begin("chekc");
 *     suggest_try(&s, "check"); ...
 *     s.nearest is "check", or "" when nothing is near
 */
#define SUGGEST_MAX 33
struct suggestion {
	const char *word;
	size_t distance;
	char nearest[SUGGEST_MAX];
};
struct suggestion suggest_begin(const char *word);
void suggest_try(struct suggestion *s, const char *candidate);
