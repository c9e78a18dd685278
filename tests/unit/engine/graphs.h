/* graphs.h - small images in a store in memory: for the tests of what walks and copies them */
#pragma once

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/mediatype.h"
#include "store/store.h"

static inline struct oci_descriptor graphs_blob(struct oci_store *s, const char *media_type, const char *text)
{
	struct oci_descriptor d = {0};

	assert_int_equal(oci_descriptor_of(media_type, text, strlen(text), &d, NULL), 0);
	assert_int_equal(oci_store_write(s, &d, text, strlen(text), NULL), 0);
	return d;
}

static inline struct oci_descriptor graphs_document(struct oci_store *s, struct oci_manifest *m)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	const char *media_type = m->is_index ? OCI_MT_INDEX : OCI_MT_MANIFEST;
	struct oci_descriptor d;

	oci_buf_init(&text, OCI_MIB);
	assert_int_equal(oci_manifest_format(m, &text, NULL), 0);
	d = graphs_blob(s, media_type, oci_buf_text(&text));
	oci_manifest_clear(m);
	return d;
}

/* One layer that holds `text`; with a subject when `subject` is not NULL. */
static inline struct oci_descriptor graphs_image(struct oci_store *s, const char *text,
	const struct oci_descriptor *subject)
{
	struct oci_manifest m = {0};
	struct oci_descriptor *layer = oci_manifest_add_layer(&m, NULL);

	assert_non_null(layer);
	*layer = graphs_blob(s, OCI_MT_LAYER_TAR, text);
	m.config = graphs_blob(s, OCI_MT_CONFIG, "{}");
	if (subject)
		assert_int_equal(oci_descriptor_copy(&m.subject, subject, NULL), 0);
	return graphs_document(s, &m);
}

/* An index of two; each may be NULL. */
static inline struct oci_descriptor graphs_index(struct oci_store *s, const struct oci_descriptor *a,
	const struct oci_descriptor *b)
{
	const struct oci_descriptor *children[] = {a, b};
	struct oci_manifest m = {.is_index = true};

	for (size_t i = 0; i < 2; i++) {
		struct oci_descriptor *child = children[i] ? oci_manifest_add_manifest(&m, NULL) : NULL;

		if (child)
			assert_int_equal(oci_descriptor_copy(child, children[i], NULL), 0);
	}
	return graphs_document(s, &m);
}

/* `d` says that `referrer` refers to it, as a tag has it, with a suffix or "". */
static inline void graphs_tag_by_digest(struct oci_store *s, const struct oci_descriptor *d,
	const struct oci_descriptor *tagged, const char *suffix)
{
	char digest[OCI_DIGEST_TEXT_MAX], tag[OCI_DIGEST_TEXT_MAX + 8];

	oci_digest_format(&d->digest, digest);
	*strchr(digest, ':') = '-';
	snprintf(tag, sizeof tag, "%s%s", digest, suffix);
	assert_int_equal(oci_store_tag(s, tagged, tag, NULL), 0);
}

static inline bool graphs_has(struct oci_store *s, const struct oci_descriptor *d)
{
	bool there = false;

	assert_int_equal(oci_store_exists(s, d, &there, NULL), 0);
	return there;
}
