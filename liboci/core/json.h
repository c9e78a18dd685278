/* json.h - JSON in and out; the only door to the JSON library
 *
 * Reading. oci_json_parse() first scans the text: longer than the limits,
 * deeper than 64, or more values than allowed fails with OCI_E_FORMAT before
 * memory is taken, since a parsed tree can need 80 times its text. So does,
 * while parsing, whatever is not JSON, a duplicate key, NUL and \u0000, and a
 * number that does not fit (integers are 64 bits, signed). Every value counts,
 * arrays and objects too; keys do not. The root may be any value. Values are
 * borrowed from the root and live until oci_json_free().
 *
 *     OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
 *     doc = oci_json_parse(text, len, &OCI_JSON_MANIFEST, err);
 *     const char *type = oci_json_text(doc, "mediaType");   NULL: absent or no string
 *
 * Writing. A small writer that appends to a buffer: keys come out in the
 * order of the calls, no white space, so equal calls give equal bytes. Text is
 * escaped as RFC 8259 asks and no more; what is not UTF-8 is OCI_E_FORMAT. The
 * first failure sticks and is reported by oci_json_end().
 *
 *     struct oci_json_writer w;
 *     oci_json_begin(&w, &buf);
 *     oci_json_object(&w, NULL);
 *     oci_json_put_text(&w, "mediaType", type);
 *     oci_json_array(&w, "layers"); ... oci_json_close(&w);
 *     oci_json_close(&w);
 *     if (oci_json_end(&w, err) < 0) ...
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct oci_json; /* a value, or the root */

struct oci_json_limits {
	const char *what; /* named in errors: "manifest" */
	size_t bytes;
	size_t values;
};
extern const struct oci_json_limits OCI_JSON_MANIFEST; /* 4 MiB, 100,000 values */
extern const struct oci_json_limits OCI_JSON_INDEX;    /* our index layer, our record: 64 MiB, 750,000 */
extern const struct oci_json_limits OCI_JSON_SMALL;    /* answers, credentials, configs: 1 MiB, 50,000 */

struct oci_json *oci_json_parse(const char *text, size_t len,
	const struct oci_json_limits *limits, struct oci_error *err);
void oci_json_free(struct oci_json *doc);
void oci_json_cleanup(struct oci_json **doc);

/* Members of an object; NULL or false when absent or of another type. */
struct oci_json *oci_json_get(const struct oci_json *object, const char *key);
const char *oci_json_text(const struct oci_json *object, const char *key);
bool oci_json_u64(const struct oci_json *object, const char *key, uint64_t *ret); /* integers >= 0 only */
bool oci_json_bool(const struct oci_json *object, const char *key, bool *ret);
bool oci_json_is_object(const struct oci_json *value);
bool oci_json_is_array(const struct oci_json *value);
bool oci_json_is_null(const struct oci_json *value);

/* A value itself. */
const char *oci_json_value_text(const struct oci_json *value);
bool oci_json_value_u64(const struct oci_json *value, uint64_t *ret);

size_t oci_json_count(const struct oci_json *array); /* 0 for anything else */
struct oci_json *oci_json_at(const struct oci_json *array, size_t i);

/* Members in the document's order: for (i = oci_json_first(o); i; i = oci_json_next(o, i)) */
void *oci_json_first(const struct oci_json *object);
void *oci_json_next(const struct oci_json *object, void *iterator);
const char *oci_json_key(void *iterator);
struct oci_json *oci_json_value(void *iterator);

/* Append a parsed value as compact JSON with its keys in document order. */
int oci_json_dump(const struct oci_json *value, struct oci_buf *out, struct oci_error *err);

#define OCI_JSON_DEPTH 16
struct oci_json_writer {
	struct oci_buf *out;
	struct oci_error err;
	unsigned depth;
	bool comma;
	char close[OCI_JSON_DEPTH];
};

/* `key` is NULL inside arrays and at the root. */
void oci_json_begin(struct oci_json_writer *w, struct oci_buf *out);
void oci_json_object(struct oci_json_writer *w, const char *key);
void oci_json_array(struct oci_json_writer *w, const char *key);
void oci_json_close(struct oci_json_writer *w);
void oci_json_put_text(struct oci_json_writer *w, const char *key, const char *text); /* NULL text: nothing */
void oci_json_put_u64(struct oci_json_writer *w, const char *key, uint64_t value);
void oci_json_put_bool(struct oci_json_writer *w, const char *key, bool value);
void oci_json_put_raw(struct oci_json_writer *w, const char *key, const char *json); /* already JSON */
int oci_json_end(struct oci_json_writer *w, struct oci_error *err);
