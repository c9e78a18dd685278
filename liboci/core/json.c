#include "core/json.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define DEPTH_MAX 64

const struct oci_json_limits OCI_JSON_MANIFEST = {"manifest", 4 * OCI_MIB, 100000};
const struct oci_json_limits OCI_JSON_INDEX = {"index", 64 * OCI_MIB, 750000};
const struct oci_json_limits OCI_JSON_SMALL = {"document", OCI_MIB, 50000};

/* Where the string that starts at text[i] ends: its closing quote, or not below len. */
static size_t string_end(const char *text, size_t len, size_t i)
{
	for (i++; i < len && text[i] != '"'; i++) {
		if (text[i] == '\\')
			i++;
	}
	return i;
}

/* The last byte of the number or word that starts at text[i]. */
static size_t word_end(const char *text, size_t len, size_t i)
{
	while (i + 1 < len && !strchr(" \t\r\n,:[]{}\"", text[i + 1]))
		i++;
	return i;
}

/* Count what parsing would allocate. Up to the first byte that is not JSON the
 * count is exact, and there the parser stops, so a text cannot hide values. */
static int scan(const char *text, size_t len, const struct oci_json_limits *limits, struct oci_error *err)
{
	size_t values = 0;
	unsigned depth = 0;
	for (size_t i = 0; i < len; i++) {
		switch (text[i]) {
		case ' ': case '\t': case '\r': case '\n': case ',':
			continue;
		case ':':
			values -= values > 0; /* the string before it was a key */
			continue;
		case ']': case '}':
			depth -= depth > 0;
			continue;
		case '[': case '{':
			depth++;
			break;
		case '"':
			i = string_end(text, len, i);
			break;
		default:
			i = word_end(text, len, i);
		}
		if (++values > limits->values)
			return oci_fail(err, OCI_E_FORMAT, "%s has more than %zu values", limits->what, limits->values);
		if (depth > DEPTH_MAX)
			return oci_fail(err, OCI_E_FORMAT, "%s is nested deeper than %d", limits->what, DEPTH_MAX);
	}
	return 0;
}

struct oci_json *oci_json_parse(const char *text, size_t len, const struct oci_json_limits *limits,
	struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	json_error_t why;
	if (len > limits->bytes) {
		oci_fail(err, OCI_E_FORMAT, "%s is longer than %zu bytes", limits->what, limits->bytes);
		return NULL;
	}
	if (scan(text, len, limits, err) < 0)
		return NULL;

	json_t *root = json_loadb(len ? text : "", len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (root)
		return (struct oci_json *)root;
	if (json_error_code(&why) == json_error_out_of_memory)
		oci_fail_nomem(err);
	else
		oci_fail(err, OCI_E_FORMAT, "%s is not JSON: line %d: %s", limits->what, why.line,
			oci_str_escape(why.text, shown));
	return NULL;
}

void oci_json_free(struct oci_json *doc)
{
	json_decref((json_t *)doc);
}

void oci_json_cleanup(struct oci_json **doc)
{
	oci_json_free(*doc);
}

static json_t *borrow(const struct oci_json *value)
{
	return (json_t *)(uintptr_t)value;
}

struct oci_json *oci_json_get(const struct oci_json *object, const char *key)
{
	return (struct oci_json *)json_object_get(borrow(object), key);
}

const char *oci_json_text(const struct oci_json *object, const char *key)
{
	return oci_json_value_text(oci_json_get(object, key));
}

bool oci_json_u64(const struct oci_json *object, const char *key, uint64_t *ret)
{
	return oci_json_value_u64(oci_json_get(object, key), ret);
}

bool oci_json_bool(const struct oci_json *object, const char *key, bool *ret)
{
	const json_t *value = borrow(oci_json_get(object, key));
	if (!json_is_boolean(value))
		return false;
	*ret = json_is_true(value);
	return true;
}

bool oci_json_is_object(const struct oci_json *value)
{
	return json_is_object(borrow(value));
}

bool oci_json_is_array(const struct oci_json *value)
{
	return json_is_array(borrow(value));
}

bool oci_json_is_null(const struct oci_json *value)
{
	return json_is_null(borrow(value));
}

const char *oci_json_value_text(const struct oci_json *value)
{
	return json_string_value(borrow(value));
}

bool oci_json_value_u64(const struct oci_json *value, uint64_t *ret)
{
	const json_t *number = borrow(value);
	if (!json_is_integer(number) || json_integer_value(number) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(number);
	return true;
}

size_t oci_json_count(const struct oci_json *array)
{
	return json_array_size(borrow(array));
}

struct oci_json *oci_json_at(const struct oci_json *array, size_t i)
{
	return (struct oci_json *)json_array_get(borrow(array), i);
}

void *oci_json_first(const struct oci_json *object)
{
	return json_object_iter(borrow(object));
}

void *oci_json_next(const struct oci_json *object, void *iterator)
{
	return json_object_iter_next(borrow(object), iterator);
}

const char *oci_json_key(void *iterator)
{
	return json_object_iter_key(iterator);
}

struct oci_json *oci_json_value(void *iterator)
{
	return (struct oci_json *)json_object_iter_value(iterator);
}

struct dump {
	struct oci_buf *out;
	struct oci_error *err;
};

static int dump_piece(const char *piece, size_t len, void *ctx)
{
	struct dump *d = ctx;
	return oci_buf_append(d->out, piece, len, d->err);
}

int oci_json_dump(const struct oci_json *value, struct oci_buf *out, struct oci_error *err)
{
	struct oci_error why = {0};
	struct dump d = {out, &why};
	if (json_dump_callback(borrow(value), dump_piece, &d, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
		return 0;
	return why.code ? oci_fail(err, why.code, "%s", why.text) : oci_fail_nomem(err);
}

void oci_json_begin(struct oci_json_writer *w, struct oci_buf *out)
{
	*w = (struct oci_json_writer){.out = out};
}

static void write_bytes(struct oci_json_writer *w, const char *bytes, size_t len)
{
	if (!w->err.code)
		oci_buf_append(w->out, bytes, len, &w->err);
}

static void write_plain(struct oci_json_writer *w, const char *text)
{
	write_bytes(w, text, strlen(text));
}

/* Length of the well-formed UTF-8 character at `s`, 0 if there is none. */
static size_t utf8_length(const unsigned char *s)
{
	/* By first byte: how long, and what the second may be (no overlong form,
	 * no surrogate, nothing above U+10FFFF). */
	static const struct {
		unsigned char first_min, first_max, second_min, second_max, length;
	} forms[] = {
		{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	if (s[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (s[0] < forms[i].first_min || s[0] > forms[i].first_max)
			continue;
		if (s[1] < forms[i].second_min || s[1] > forms[i].second_max)
			return 0;
		for (size_t k = 2; k < forms[i].length; k++) {
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		}
		return forms[i].length;
	}
	return 0;
}

static void write_escape(struct oci_json_writer *w, unsigned char c)
{
	static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	const char *at = strchr(named, c);
	char unicode[8];
	if (at) {
		write_bytes(w, (char[]){'\\', letters[at - named]}, 2);
		return;
	}
	snprintf(unicode, sizeof(unicode), "\\u%04x", c);
	write_plain(w, unicode);
}

static void write_string(struct oci_json_writer *w, const char *text)
{
	char shown[OCI_STR_ESCAPE_MAX];
	const char *run = text; /* what needs no escape goes out in one piece */
	write_plain(w, "\"");
	for (const char *p = text; *p;) {
		size_t len = utf8_length((const unsigned char *)p);
		if (len == 0) {
			oci_fail(&w->err, OCI_E_FORMAT, "text '%s' is not UTF-8", oci_str_escape(text, shown));
			return;
		}
		if ((unsigned char)*p >= 0x20 && *p != '"' && *p != '\\') {
			p += len;
			continue;
		}
		write_bytes(w, run, (size_t)(p - run));
		write_escape(w, (unsigned char)*p);
		run = ++p;
	}
	write_plain(w, run);
	write_plain(w, "\"");
}

/* The comma and the key before a value. */
static void write_lead(struct oci_json_writer *w, const char *key)
{
	bool in_object = w->depth > 0 && w->close[w->depth - 1] == '}';
	if (in_object != (key != NULL))
		oci_fail(&w->err, OCI_E_BUG, "json: members have a key, elements have none");
	if (w->comma)
		write_plain(w, ",");
	w->comma = true;
	if (!key)
		return;
	write_string(w, key);
	write_plain(w, ":");
}

static void open_value(struct oci_json_writer *w, const char *key, const char *opening, char closing)
{
	if (w->depth == OCI_JSON_DEPTH)
		oci_fail(&w->err, OCI_E_BUG, "json: written deeper than %d", OCI_JSON_DEPTH);
	write_lead(w, key);
	if (w->err.code)
		return;
	write_plain(w, opening);
	w->close[w->depth++] = closing;
	w->comma = false;
}

void oci_json_object(struct oci_json_writer *w, const char *key)
{
	open_value(w, key, "{", '}');
}

void oci_json_array(struct oci_json_writer *w, const char *key)
{
	open_value(w, key, "[", ']');
}

void oci_json_close(struct oci_json_writer *w)
{
	if (w->err.code)
		return;
	if (w->depth == 0) {
		oci_fail(&w->err, OCI_E_BUG, "json: closed what was not open");
		return;
	}
	write_bytes(w, &w->close[--w->depth], 1);
	w->comma = true;
}

void oci_json_put_text(struct oci_json_writer *w, const char *key, const char *text)
{
	if (!text)
		return;
	write_lead(w, key);
	write_string(w, text);
}

void oci_json_put_u64(struct oci_json_writer *w, const char *key, uint64_t value)
{
	char digits[24];
	snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
	oci_json_put_raw(w, key, digits);
}

void oci_json_put_bool(struct oci_json_writer *w, const char *key, bool value)
{
	oci_json_put_raw(w, key, value ? "true" : "false");
}

void oci_json_put_raw(struct oci_json_writer *w, const char *key, const char *json)
{
	write_lead(w, key);
	write_plain(w, json);
}

int oci_json_end(struct oci_json_writer *w, struct oci_error *err)
{
	if (w->depth > 0)
		oci_fail(&w->err, OCI_E_BUG, "json: ended with %u levels open", w->depth);
	return w->err.code ? oci_fail(err, w->err.code, "%s", w->err.text) : 0;
}
