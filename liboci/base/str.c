#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool oci_str_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool oci_str_ends(const char *text, const char *suffix)
{
	size_t len = strlen(text);
	size_t tail = strlen(suffix);

	return tail <= len && memcmp(text + len - tail, suffix, tail) == 0;
}

char *oci_str_printf(const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	return len < 0 ? NULL : text;
}

int oci_str_set(char **ret, const char *text, struct oci_error *err)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		return oci_fail_nomem(err);
	free(*ret);
	*ret = copy;
	return 0;
}

/* The digits at the start of `text`; returns what follows them, or NULL when
 * there is none or the number does not fit. */
static const char *read_digits(const char *text, uint64_t *ret)
{
	const char *p = text;
	uint64_t value = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return NULL;
	}
	*ret = value;
	return p > text ? p : NULL;
}

bool oci_str_u64(const char *text, uint64_t *ret)
{
	uint64_t value;
	const char *end = read_digits(text, &value);

	if (!end || *end != '\0')
		return false;
	*ret = value;
	return true;
}

static bool quantity_unit(const char *suffix, uint64_t *ret)
{
	static const struct {
		const char *suffix;
		uint64_t bytes;
	} units[] = {
		{"", 1},
		{"k", 1000ULL},
		{"M", 1000000ULL},
		{"G", 1000000000ULL},
		{"T", 1000000000000ULL},
		{"P", 1000000000000000ULL},
		{"E", 1000000000000000000ULL},
		{"Ki", 1ULL << 10},
		{"Mi", 1ULL << 20},
		{"Gi", 1ULL << 30},
		{"Ti", 1ULL << 40},
		{"Pi", 1ULL << 50},
		{"Ei", 1ULL << 60},
	};

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (strcmp(suffix, units[i].suffix) == 0) {
			*ret = units[i].bytes;
			return true;
		}
	}
	return false;
}

bool oci_str_quantity(const char *text, uint64_t *ret)
{
	uint64_t whole, unit, fraction = 0, scale = 1, bytes;
	const char *p = read_digits(text, &whole);

	if (p && *p == '.') {
		const char *digits = p + 1;

		p = read_digits(digits, &fraction);
		/* scale stays below 2^64, and fraction * unit below 2^128 */
		if (!p || p - digits > 18)
			return false;
		for (; digits < p; digits++)
			scale *= 10;
	}
	if (!p || !quantity_unit(p, &unit))
		return false;
	bytes = (uint64_t)(((unsigned __int128)fraction * unit + scale - 1) / scale);
	if (__builtin_mul_overflow(whole, unit, &whole) || __builtin_add_overflow(bytes, whole, &bytes))
		return false;
	*ret = bytes;
	return true;
}

const char *oci_str_size(uint64_t bytes, char out[OCI_STR_SIZE_MAX])
{
	static const char units[][4] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned unit = 0;
	unsigned hundredths;

	while (unit + 1 < sizeof units / sizeof units[0] && bytes >> (10 * (unit + 1)) > 0)
		unit++;
	if (unit == 0) {
		snprintf(out, OCI_STR_SIZE_MAX, "%u B", (unsigned)bytes);
		return out;
	}
	/* Cut, not rounded: 1023.999 KiB must not read 1024.00 KiB. */
	hundredths = (unsigned)((bytes >> (10 * (unit - 1)) & 1023) * 100 / 1024);
	snprintf(out, OCI_STR_SIZE_MAX, "%u.%02u %s", (unsigned)(bytes >> (10 * unit)), hundredths,
		units[unit]);
	return out;
}

void oci_str_hex(const unsigned char *bytes, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * len] = '\0';
}

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return -1;
}

bool oci_str_unhex(const char *text, unsigned char *bytes, size_t len)
{
	if (strlen(text) != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = hex_value(text[2 * i]);
		int low = hex_value(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

/* The length of the well-formed UTF-8 sequence at `s`, 0 if it is none. The
 * terminator is no continuation byte, so nothing behind it is read. */
static size_t utf8_sequence(const unsigned char *s, uint32_t *ret)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t value;
	size_t len;

	if (s[0] < 0x80) {
		*ret = s[0];
		return 1;
	}
	if (s[0] < 0xc0 || s[0] >= 0xf8)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	value = s[0] & (0xffU >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (s[i] & 0x3f);
	}
	if (value < smallest[len] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*ret = value;
	return len;
}

/* The length of the character at `s`, 0 for a control character or bytes that
 * are not UTF-8. */
static size_t clean_character(const unsigned char *s)
{
	uint32_t value = 0;
	size_t len = utf8_sequence(s, &value);

	return value < 0x20 || (value >= 0x7f && value < 0xa0) ? 0 : len;
}

bool oci_str_clean_utf8(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len;

	for (; *s; s += len) {
		len = clean_character(s);
		if (len == 0)
			return false;
	}
	return true;
}

const char *oci_str_escape_to(const char *text, char *out, size_t size)
{
	const size_t limit = size - sizeof "...";
	const unsigned char *s = (const unsigned char *)text;
	size_t used = 0;

	while (*s) {
		size_t len = clean_character(s);
		size_t width = len > 0 ? len : 4;

		if (used + width > limit) {
			memcpy(out + used, "...", 3);
			used += 3;
			break;
		}
		if (len > 0)
			memcpy(out + used, s, len);
		else
			snprintf(out + used, 5, "\\x%02x", *s);
		used += width;
		s += len > 0 ? len : 1;
	}
	out[used] = '\0';
	return out;
}

const char *oci_str_escape(const char *text, char out[OCI_STR_ESCAPE_MAX])
{
	return oci_str_escape_to(text, out, OCI_STR_ESCAPE_MAX);
}

int oci_strings_add(struct oci_strings *list, const char *text, struct oci_error *err)
{
	char **items = reallocarray(list->items, list->count + 1, sizeof *items);
	char *copy;

	if (!items)
		return oci_fail_nomem(err);
	list->items = items;
	copy = strdup(text);
	if (!copy)
		return oci_fail_nomem(err);
	items[list->count++] = copy;
	return 0;
}

bool oci_strings_has(const struct oci_strings *list, const char *text)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->items[i], text) == 0)
			return true;
	}
	return false;
}

void oci_strings_clear(struct oci_strings *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct oci_strings){0};
}
