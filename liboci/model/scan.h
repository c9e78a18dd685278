/* scan.h - read a file front to back in constant memory: bytes and JSON
 *
 * Private to model/. A header of 25 MB or an index of 100,000 names is never
 * held: the scanner has one window, and its caller keeps what it needs.
 *
 *     OCI_CLEANUP(oci_scan_close) struct oci_scan scan = {0};
 *     oci_scan_open(&scan, tree, i, 0, end, err);
 *     while ((more = oci_scan_member(&scan, &first, &key, err)) > 0)
 *             oci_scan_u64(&scan, &value, err) or oci_scan_value(&scan, err) ...
 *
 * Content that is not what the caller asks for, ends early, nests deeper than
 * 32 or has a name longer than OCI_SCAN_TEXT_MAX fails with OCI_E_FORMAT.
 */
#pragma once

#include <stdbool.h>

#include "model/detect.h"

struct oci_scan {
	const struct oci_model_tree *tree;
	size_t file;
	uint64_t offset; /* of the byte after the window */
	uint64_t end;    /* nothing is read from here on */
	unsigned char *window;
	size_t at, len;
};

int oci_scan_open(struct oci_scan *scan, const struct oci_model_tree *tree, size_t file, uint64_t offset,
	uint64_t end, struct oci_error *err);
void oci_scan_close(struct oci_scan *scan);

/* Bytes. */
uint64_t oci_scan_tell(const struct oci_scan *scan);
uint64_t oci_scan_left(const struct oci_scan *scan);
int oci_scan_bytes(struct oci_scan *scan, void *out, size_t len, struct oci_error *err);
int oci_scan_skip(struct oci_scan *scan, uint64_t len, struct oci_error *err);
int oci_scan_le(struct oci_scan *scan, unsigned bytes, uint64_t *ret, struct oci_error *err);

/* 64-bit FNV-1a, to tell names apart without keeping them. */
uint64_t oci_scan_hash(const void *data, size_t len);

/* JSON. A text is unescaped; one with a zero byte in it is refused. */
#define OCI_SCAN_TEXT_MAX 1023
struct oci_scan_text {
	char text[OCI_SCAN_TEXT_MAX + 1];
	size_t len;
};
/* The byte after white space, unread; 0 at the end, -1 on failure. */
int oci_scan_peek(struct oci_scan *scan, struct oci_error *err);
int oci_scan_text(struct oci_scan *scan, struct oci_scan_text *ret, struct oci_error *err);
int oci_scan_u64(struct oci_scan *scan, uint64_t *ret, struct oci_error *err); /* integers >= 0 only */
int oci_scan_value(struct oci_scan *scan, struct oci_error *err);              /* pass over any value */
/* A string into *field, as oci_info_set() does; any other value is passed over. */
int oci_scan_set(struct oci_scan *scan, char **field, struct oci_error *err);
/* Step to the next member, whose key and colon are read, or element: 1; 0 when
 * the object or array is closed, -1 on failure. `*first` starts as true. */
int oci_scan_member(struct oci_scan *scan, bool *first, struct oci_scan_text *key, struct oci_error *err);
int oci_scan_element(struct oci_scan *scan, bool *first, struct oci_error *err);
/* Only white space is left. */
int oci_scan_end(struct oci_scan *scan, struct oci_error *err);
