#include "model/pbtxt.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define DEPTH_MAX 32

enum token { TOKEN_END, TOKEN_WORD, TOKEN_STRING, TOKEN_MARK };

struct parse {
	const char *at;
	unsigned line;
	enum token token;
	char mark;                          /* of TOKEN_MARK */
	char value[OCI_PBTXT_TEXT_MAX + 1]; /* of the others */
	char path[OCI_PBTXT_TEXT_MAX + 1];
	unsigned depth;
	oci_pbtxt_field field;
	void *ctx;
};

static int fail(const struct parse *p, const char *what, struct oci_error *err)
{
	return oci_fail(err, OCI_E_FORMAT, "line %u: %s", p->line, what);
}

static void skip_space(struct parse *p)
{
	for (;; p->at++) {
		if (*p->at == '#')
			p->at += strcspn(p->at, "\n");
		if (*p->at == '\n')
			p->line++;
		if (!isspace((unsigned char)*p->at))
			return;
	}
}

static void put(struct parse *p, size_t *len, char c)
{
	if (*len < OCI_PBTXT_TEXT_MAX)
		p->value[(*len)++] = c;
}

/* An escape stands for the letter after it: no field that is kept needs more. */
static int read_string(struct parse *p, size_t *len, struct oci_error *err)
{
	char quote = *p->at++;

	for (; *p->at != quote; p->at++) {
		if (*p->at == '\\' && p->at[1])
			p->at++;
		if (!*p->at || *p->at == '\n')
			return fail(p, "a string does not end", err);
		put(p, len, *p->at);
	}
	p->at++;
	return 0;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("_.+-/", c));
}

static int next(struct parse *p, struct oci_error *err)
{
	size_t len = 0;

	skip_space(p);
	if (!*p->at) {
		p->token = TOKEN_END;
	} else if (*p->at == '"' || *p->at == '\'') {
		p->token = TOKEN_STRING;
		for (; *p->at == '"' || *p->at == '\''; skip_space(p)) {
			if (read_string(p, &len, err) < 0)
				return -1;
		}
	} else if (is_word(*p->at)) {
		p->token = TOKEN_WORD;
		for (; is_word(*p->at); p->at++)
			put(p, &len, *p->at);
	} else {
		p->token = TOKEN_MARK;
		p->mark = *p->at++;
	}
	p->value[len] = '\0';
	return 0;
}

static bool is_mark(const struct parse *p, char mark)
{
	return p->token == TOKEN_MARK && p->mark == mark;
}

static int parse_fields(struct parse *p, char close, struct oci_error *err);

/* The token is the opening bracket; afterwards it is the closing one. */
static int parse_message(struct parse *p, struct oci_error *err)
{
	char close = p->mark == '{' ? '}' : '>';

	if (p->depth == DEPTH_MAX)
		return fail(p, "nested too deep", err);
	if (p->field(p->ctx, p->path, NULL, err) < 0)
		return -1;
	p->depth++;
	if (parse_fields(p, close, err) < 0)
		return -1;
	p->depth--;
	return 0;
}

/* The token is the value's first; afterwards it is its last. */
static int parse_value(struct parse *p, struct oci_error *err)
{
	if (is_mark(p, '{') || is_mark(p, '<'))
		return parse_message(p, err);
	if (p->token == TOKEN_WORD || p->token == TOKEN_STRING)
		return p->field(p->ctx, p->path, p->value, err);
	return fail(p, "a value is missing", err);
}

/* The token is the opening bracket; afterwards it is the closing one. */
static int parse_list(struct parse *p, struct oci_error *err)
{
	for (;;) {
		if (next(p, err) < 0)
			return -1;
		if (is_mark(p, ']'))
			return 0;
		if (!is_mark(p, ',') && parse_value(p, err) < 0)
			return -1;
	}
}

/* The token is the field's name. */
static int parse_field(struct parse *p, struct oci_error *err)
{
	size_t used = strlen(p->path), len = strlen(p->value);

	if (p->token != TOKEN_WORD)
		return fail(p, "a field's name is missing", err);
	if (used + 1 + len > OCI_PBTXT_TEXT_MAX)
		return fail(p, "names are too long", err);
	if (used)
		p->path[used] = '.';
	memcpy(p->path + used + (used != 0), p->value, len + 1);

	if (next(p, err) < 0)
		return -1;
	bool has_colon = is_mark(p, ':');
	if (has_colon && next(p, err) < 0)
		return -1;
	if (!has_colon && p->token != TOKEN_MARK)
		return fail(p, "neither ':' nor a bracket after a name", err);
	if ((is_mark(p, '[') ? parse_list(p, err) : parse_value(p, err)) < 0)
		return -1;
	p->path[used] = '\0';
	return 0;
}

/* Up to the bracket `close`, or to the end when it is 0. */
static int parse_fields(struct parse *p, char close, struct oci_error *err)
{
	for (;;) {
		if (next(p, err) < 0)
			return -1;
		if (p->token == TOKEN_END)
			return close ? fail(p, "a bracket is not closed", err) : 0;
		if (close && is_mark(p, close))
			return 0;
		if (!is_mark(p, ',') && !is_mark(p, ';') && parse_field(p, err) < 0)
			return -1;
	}
}

int oci_pbtxt_parse(const char *text, oci_pbtxt_field field, void *ctx, struct oci_error *err)
{
	struct parse p = {.at = text, .line = 1, .field = field, .ctx = ctx};
	return parse_fields(&p, '\0', err);
}
