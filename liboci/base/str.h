/* str.h - strict text helpers: numbers, hex, globs, UTF-8, escaping */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

bool oci_str_starts(const char *text, const char *prefix);
bool oci_str_ends(const char *text, const char *suffix);

/* A copy of printf's output, or NULL when out of memory. Caller frees. */
char *oci_str_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* strdup() into *ret, which is freed first; NULL text gives NULL. */
int oci_str_set(char **ret, const char *text, struct oci_error *err);

/* Decimal digits only, no sign, no space, no overflow. */
bool oci_str_u64(const char *text, uint64_t *ret);

/* A Kubernetes quantity in bytes: 4G is 4*10^9, 4Gi is 4*2^30; also a plain
 * number. Suffixes k M G T P E and Ki Mi Gi Ti Pi Ei; decimals as in 1.5Gi, up
 * to 18 of them; part of a byte counts as one. */
bool oci_str_quantity(const char *text, uint64_t *ret);

/* "1.50 GiB", "512 B": for people, cut to two decimals. Returns `out`. */
#define OCI_STR_SIZE_MAX 32
const char *oci_str_size(uint64_t bytes, char out[OCI_STR_SIZE_MAX]);

/* Lower-case hex; `out` holds 2*len+1 bytes. */
void oci_str_hex(const unsigned char *bytes, size_t len, char *out);
/* Exactly 2*len lower-case hex digits, else false. */
bool oci_str_unhex(const char *text, unsigned char *bytes, size_t len);

/* Well-formed UTF-8 (no surrogates, no overlong forms) without control
 * characters (C0, DEL, C1). */
bool oci_str_clean_utf8(const char *text);

/* Foreign text made safe for one line of a log: control characters and bytes
 * that are not UTF-8 become \xNN, at most 256 bytes plus "...". Returns out. */
#define OCI_STR_ESCAPE_MAX 260
const char *oci_str_escape(const char *text, char out[OCI_STR_ESCAPE_MAX]);
/* The same for a whole line, within `size` bytes (at least 16). */
const char *oci_str_escape_to(const char *text, char *out, size_t size);

/* gitignore-style glob on a slash path, by bytes: `*` and `?` stop at '/', `**`
 * does not, "**" and a '/' stand for any number of directories, also none;
 * `[a-z]` and `[!a-z]` classes; a backslash takes the next byte as it is. A
 * pattern without '/' is tried on the last component, a '/' in front ties it
 * to the top. One that ends in '/' matches a directory and all below it (path
 * "a/" or anything under a/); that '/' ties nothing: "a/" matches "x/a/y". No
 * regular expression, no backtracking blow-up. */
bool oci_str_glob(const char *pattern, const char *path);
/* The same, and a pattern that matches a directory takes all below it: what users mean
 * by the name of a directory (--include, --exclude). */
bool oci_str_glob_within(const char *pattern, const char *path);

/* Standard base64 with padding, strict, appended to `out`. What is not base64
 * is OCI_E_FORMAT; `out` may hold the part before it. */
int oci_str_base64(const void *data, size_t len, struct oci_buf *out, struct oci_error *err);
bool oci_str_unbase64(const char *text, struct oci_buf *out, struct oci_error *err);

/* A list of owned strings, e.g. globs or tags. */
struct oci_strings {
	char **items;
	size_t count;
};
int oci_strings_add(struct oci_strings *list, const char *text, struct oci_error *err);
bool oci_strings_has(const struct oci_strings *list, const char *text);
void oci_strings_clear(struct oci_strings *list);
