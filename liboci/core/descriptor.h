/* descriptor.h - a content descriptor: what a blob is, how long, which bytes
 *
 * spec: OCI image-spec descriptor.md, annotations.md. A zeroed struct is an
 * empty value; oci_descriptor_clear() frees what a value owns.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "core/digest.h"

struct oci_annotations {
	struct oci_annotation {
		char *key, *value;
	} *items;
	size_t count;
};

const char *oci_annotations_get(const struct oci_annotations *a, const char *key); /* NULL: absent */
int oci_annotations_set(struct oci_annotations *a, const char *key, const char *value,
	struct oci_error *err); /* copies; replaces */
/* Adds without looking for the key: for keys that are known to be unique. */
int oci_annotations_append(struct oci_annotations *a, const char *key, const char *value,
	struct oci_error *err);
void oci_annotations_remove(struct oci_annotations *a, const char *key);
int oci_annotations_copy(struct oci_annotations *to, const struct oci_annotations *from,
	struct oci_error *err); /* adds and replaces */
void oci_annotations_sort(struct oci_annotations *a); /* by key: for reproducible output */
void oci_annotations_clear(struct oci_annotations *a);

struct oci_platform {
	char *os, *architecture, *variant; /* NULL: absent */
};

/* "linux/arm64", "linux/arm64/v8"; anything else is OCI_E_USAGE. */
int oci_platform_parse(const char *text, struct oci_platform *ret, struct oci_error *err);
int oci_platform_copy(struct oci_platform *to, const struct oci_platform *from, struct oci_error *err);
/* Same os and architecture, and variant when both name one. */
bool oci_platform_match(const struct oci_platform *want, const struct oci_platform *have);
/* linux on this machine's architecture, in Go's names; static storage. */
const struct oci_platform *oci_platform_host(void);
void oci_platform_clear(struct oci_platform *p);

struct oci_descriptor {
	char *media_type;
	struct oci_digest digest;
	uint64_t size_bytes;
	char *artifact_type; /* NULL: absent */
	struct oci_platform platform;
	struct oci_annotations annotations;
};

int oci_descriptor_copy(struct oci_descriptor *to, const struct oci_descriptor *from,
	struct oci_error *err); /* clears `to` first */
void oci_descriptor_clear(struct oci_descriptor *d);

/* A descriptor of bytes in memory (sha256); what *ret held is not freed. */
int oci_descriptor_of(const char *media_type, const void *data, size_t len,
	struct oci_descriptor *ret, struct oci_error *err);
