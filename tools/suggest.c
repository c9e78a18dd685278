#include "suggest.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX (SUGGEST_MAX - 1)

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;
	return least < c ? least : c;
}

size_t suggest_distance(const char *a, const char *b)
{
	size_t rows = strlen(a), columns = strlen(b);
	size_t cost[WORD_MAX + 1][WORD_MAX + 1];

	if (rows > WORD_MAX || columns > WORD_MAX)
		return SIZE_MAX;
	for (size_t i = 0; i <= rows; i++)
		cost[i][0] = i;
	for (size_t j = 0; j <= columns; j++)
		cost[0][j] = j;
	for (size_t i = 1; i <= rows; i++) {
		for (size_t j = 1; j <= columns; j++) {
			size_t same = a[i - 1] == b[j - 1] ? 0 : 1;
			size_t best = min3(cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = min3(best, best, cost[i - 2][j - 2] + 1);
			cost[i][j] = best;
		}
	}
	return cost[rows][columns];
}

struct suggestion suggest_begin(const char *word)
{
	/* Beyond a third of the word a suggestion is a guess. */
	return (struct suggestion){.word = word, .distance = strlen(word) / 3 + 2};
}

void suggest_try(struct suggestion *s, const char *candidate)
{
	size_t distance = suggest_distance(s->word, candidate);
	if (distance < s->distance && distance < strlen(candidate)) {
		snprintf(s->nearest, sizeof s->nearest, "%s", candidate);
		s->distance = distance;
	}
}
