#include "model/scan.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "model/tree.h"

#define WINDOW_BYTES (64 * OCI_KIB)
#define DEPTH_MAX 32

int oci_scan_open(struct oci_scan *scan, const struct oci_model_tree *tree, size_t file, uint64_t offset,
	uint64_t end, struct oci_error *err)
{
	*scan = (struct oci_scan){.tree = tree, .file = file, .offset = offset, .end = end};
	scan->window = malloc(WINDOW_BYTES);
	return scan->window ? 0 : oci_fail_nomem(err);
}

void oci_scan_close(struct oci_scan *scan)
{
	free(scan->window);
	*scan = (struct oci_scan){0};
}

uint64_t oci_scan_tell(const struct oci_scan *scan)
{
	return scan->offset - (scan->len - scan->at);
}

uint64_t oci_scan_left(const struct oci_scan *scan)
{
	return scan->end - oci_scan_tell(scan);
}

static int fail_early(struct oci_error *err)
{
	return oci_fail(err, OCI_E_FORMAT, "it ends early: cut short, fetch it again");
}

/* 1: there is a byte in the window, 0: the end. */
static int fill(struct oci_scan *scan, struct oci_error *err)
{
	if (scan->at < scan->len)
		return 1;
	uint64_t left = scan->end - scan->offset;
	size_t want = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
	if (!want)
		return 0;
	ssize_t n = scan->tree->read(scan->tree->ctx, scan->file, scan->offset, scan->window, want, err);
	if (n < 0)
		return -1;
	scan->at = 0;
	scan->len = (size_t)n;
	scan->offset += (size_t)n;
	return n > 0;
}

int oci_scan_bytes(struct oci_scan *scan, void *out, size_t len, struct oci_error *err)
{
	unsigned char *to = out;

	while (len) {
		int more = fill(scan, err);
		if (more <= 0)
			return more < 0 ? -1 : fail_early(err);
		size_t n = scan->len - scan->at < len ? scan->len - scan->at : len;
		memcpy(to, scan->window + scan->at, n);
		scan->at += n;
		to += n;
		len -= n;
	}
	return 0;
}

int oci_scan_skip(struct oci_scan *scan, uint64_t len, struct oci_error *err)
{
	if (len > oci_scan_left(scan))
		return fail_early(err);
	size_t held = scan->len - scan->at;
	if (len <= held) {
		scan->at += (size_t)len;
		return 0;
	}
	scan->offset += len - held;
	scan->at = scan->len = 0;
	return 0;
}

int oci_scan_le(struct oci_scan *scan, unsigned bytes, uint64_t *ret, struct oci_error *err)
{
	unsigned char raw[8];
	uint64_t value = 0;

	if (oci_scan_bytes(scan, raw, bytes, err) < 0)
		return -1;
	for (unsigned i = bytes; i-- > 0;)
		value = value << 8 | raw[i];
	*ret = value;
	return 0;
}

uint64_t oci_scan_hash(const void *data, size_t len)
{
	const unsigned char *bytes = data;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* The next byte, 0 at the end: no JSON text holds a zero byte. */
static int peek(struct oci_scan *scan, struct oci_error *err)
{
	int more = fill(scan, err);
	if (more <= 0)
		return more;
	return scan->window[scan->at] ? scan->window[scan->at]
				      : oci_fail(err, OCI_E_FORMAT, "JSON with a zero byte");
}

static int next(struct oci_scan *scan, struct oci_error *err)
{
	int c = peek(scan, err);
	if (c == 0)
		return fail_early(err);
	if (c > 0)
		scan->at++;
	return c;
}

int oci_scan_peek(struct oci_scan *scan, struct oci_error *err)
{
	for (;;) {
		int c = peek(scan, err);
		if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
			return c;
		scan->at++;
	}
}

static int expect(struct oci_scan *scan, char want, struct oci_error *err)
{
	int c = oci_scan_peek(scan, err);
	if (c < 0)
		return -1;
	if (c == 0)
		return fail_early(err);
	if (c != (unsigned char)want)
		return oci_fail(err, OCI_E_FORMAT, "not JSON: no '%c' at byte %llu", want,
			(unsigned long long)oci_scan_tell(scan));
	scan->at++;
	return 0;
}

static int read_hex4(struct oci_scan *scan, uint32_t *ret, struct oci_error *err)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++) {
		int c = next(scan, err);
		if (c < 0)
			return -1;
		if (!isxdigit(c))
			return oci_fail(err, OCI_E_FORMAT, "not JSON: bad \\u escape");
		value = value << 4 | (uint32_t)(isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	*ret = value;
	return 0;
}

/* What follows "\u"; a surrogate must have its other half. */
static int read_code_point(struct oci_scan *scan, uint32_t *ret, struct oci_error *err)
{
	uint32_t high, low;

	if (read_hex4(scan, &high, err) < 0)
		return -1;
	*ret = high;
	if (high >= 0xd800 && high < 0xdc00) {
		int backslash = next(scan, err);
		int u = backslash < 0 ? -1 : next(scan, err);
		if (u < 0)
			return -1;
		if (backslash != '\\' || u != 'u')
			return oci_fail(err, OCI_E_FORMAT, "not JSON: half a surrogate pair");
		if (read_hex4(scan, &low, err) < 0)
			return -1;
		if (low < 0xdc00 || low > 0xdfff)
			return oci_fail(err, OCI_E_FORMAT, "not JSON: half a surrogate pair");
		*ret = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	} else if ((high >= 0xdc00 && high < 0xe000) || !high) {
		return oci_fail(err, OCI_E_FORMAT, "not JSON: bad \\u escape");
	}
	return 0;
}

static size_t put_utf8(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = len - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(lead[len] | c);
	return len;
}

/* The bytes that an escape stands for. */
static int read_escape(struct oci_scan *scan, char out[4], size_t *len, struct oci_error *err)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	int c = next(scan, err);

	if (c < 0)
		return -1;
	if (c == 'u') {
		uint32_t point;
		if (read_code_point(scan, &point, err) < 0)
			return -1;
		*len = put_utf8(point, out);
		return 0;
	}
	const char *found = strchr(from, c);
	if (!found)
		return oci_fail(err, OCI_E_FORMAT, "not JSON: unknown escape");
	out[0] = to[found - from];
	*len = 1;
	return 0;
}

/* A string; NULL `ret` passes over one of any length. */
static int read_string(struct oci_scan *scan, struct oci_scan_text *ret, struct oci_error *err)
{
	size_t used = 0;

	if (expect(scan, '"', err) < 0)
		return -1;
	for (;;) {
		char piece[4];
		size_t len = 1;
		int c = next(scan, err);
		if (c < 0)
			return -1;
		if (c == '"')
			break;
		if (c < 0x20)
			return oci_fail(err, OCI_E_FORMAT, "not JSON: control character in a string");
		piece[0] = (char)c;
		if (c == '\\' && read_escape(scan, piece, &len, err) < 0)
			return -1;
		if (!ret)
			continue;
		if (used + len > OCI_SCAN_TEXT_MAX)
			return oci_fail(
				err, OCI_E_FORMAT, "a name is longer than %d bytes", OCI_SCAN_TEXT_MAX);
		memcpy(ret->text + used, piece, len);
		used += len;
	}
	if (ret) {
		ret->text[used] = '\0';
		ret->len = used;
	}
	return 0;
}

int oci_scan_text(struct oci_scan *scan, struct oci_scan_text *ret, struct oci_error *err)
{
	return read_string(scan, ret, err);
}

int oci_scan_u64(struct oci_scan *scan, uint64_t *ret, struct oci_error *err)
{
	uint64_t value = 0;
	int digits = 0, c;

	for (c = oci_scan_peek(scan, err); c > 0 && isdigit(c); c = peek(scan, err), digits++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(c - '0'), &value))
			return oci_fail(err, OCI_E_FORMAT, "a number is too large");
		scan->at++;
	}
	if (c < 0)
		return -1;
	if (!digits || c == '.' || c == 'e' || c == 'E')
		return oci_fail(err, OCI_E_FORMAT, "a number is not a whole number of 0 or more");
	*ret = value;
	return 0;
}

static int skip_value(struct oci_scan *scan, unsigned depth, struct oci_error *err);

static int skip_members(struct oci_scan *scan, unsigned depth, struct oci_error *err)
{
	bool first = true;
	int more;

	while ((more = oci_scan_member(scan, &first, NULL, err)) > 0) {
		if (skip_value(scan, depth, err) < 0)
			return -1;
	}
	return more;
}

static int skip_elements(struct oci_scan *scan, unsigned depth, struct oci_error *err)
{
	bool first = true;
	int more;

	while ((more = oci_scan_element(scan, &first, err)) > 0) {
		if (skip_value(scan, depth, err) < 0)
			return -1;
	}
	return more;
}

/* Numbers are passed over by their letters: nobody looks at them. NaN and
 * Infinity are no JSON, but Python writes them and reads them back. */
static int skip_word(struct oci_scan *scan, struct oci_error *err)
{
	char word[40];
	size_t len = 0;
	int c;

	for (c = peek(scan, err); c > 0 && (isalnum(c) || strchr("+-.", c)); c = peek(scan, err)) {
		if (len == sizeof word - 1)
			return oci_fail(err, OCI_E_FORMAT, "not JSON: a word is too long");
		word[len++] = (char)c;
		scan->at++;
	}
	if (c < 0)
		return -1;
	word[len] = '\0';
	if (!strcmp(word, "true") || !strcmp(word, "false") || !strcmp(word, "null") || !strcmp(word, "NaN"))
		return 0;
	const char *digits = word + (word[0] == '-');
	if (!isdigit((unsigned char)*digits) && strcmp(digits, "Infinity") != 0)
		return oci_fail(err, OCI_E_FORMAT, "not JSON: no value at byte %llu",
			(unsigned long long)oci_scan_tell(scan));
	return 0;
}

static int skip_value(struct oci_scan *scan, unsigned depth, struct oci_error *err)
{
	int c = oci_scan_peek(scan, err);

	if (c < 0)
		return -1;
	if (depth > DEPTH_MAX)
		return oci_fail(err, OCI_E_FORMAT, "JSON nested deeper than %d", DEPTH_MAX);
	if (c == '{')
		return skip_members(scan, depth + 1, err);
	if (c == '[')
		return skip_elements(scan, depth + 1, err);
	if (c == '"')
		return read_string(scan, NULL, err);
	return skip_word(scan, err);
}

int oci_scan_value(struct oci_scan *scan, struct oci_error *err)
{
	return skip_value(scan, 0, err);
}

int oci_scan_set(struct oci_scan *scan, char **field, struct oci_error *err)
{
	struct oci_scan_text text;
	int c = oci_scan_peek(scan, err);

	if (c != '"')
		return c < 0 ? -1 : oci_scan_value(scan, err);
	return oci_scan_text(scan, &text, err) < 0 ? -1 : oci_info_set(field, text.text, err);
}

/* Pass over the opening bracket or the comma: 1, or over the closing one: 0. */
static int step(struct oci_scan *scan, bool *first, const char brackets[2], struct oci_error *err)
{
	bool opening = *first;

	*first = false;
	if (opening && expect(scan, brackets[0], err) < 0)
		return -1;
	int c = oci_scan_peek(scan, err);
	if (c < 0)
		return -1;
	if (c == brackets[1]) {
		scan->at++;
		return 0;
	}
	return !opening && expect(scan, ',', err) < 0 ? -1 : 1;
}

int oci_scan_member(struct oci_scan *scan, bool *first, struct oci_scan_text *key, struct oci_error *err)
{
	int more = step(scan, first, "{}", err);
	if (more <= 0)
		return more;
	return read_string(scan, key, err) < 0 || expect(scan, ':', err) < 0 ? -1 : 1;
}

int oci_scan_element(struct oci_scan *scan, bool *first, struct oci_error *err)
{
	return step(scan, first, "[]", err);
}

int oci_scan_end(struct oci_scan *scan, struct oci_error *err)
{
	int c = oci_scan_peek(scan, err);
	return c > 0 ? oci_fail(err, OCI_E_FORMAT, "more text after the JSON value") : c;
}
