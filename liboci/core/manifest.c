#include "core/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "core/field.h"
#include "core/grow.h"
#include "core/json.h"
#include "core/mediatype.h"

#define MEDIA_TYPE_MAX 255

/* Media types go into HTTP headers: visible ASCII only. */
static bool media_type_ok(const char *text)
{
	size_t len = 0;
	while (text[len] > 0x20 && text[len] < 0x7f)
		len++;
	return len > 0 && len <= MEDIA_TYPE_MAX && text[len] == '\0';
}

static int read_media_type(const struct oci_json *object, const char *key, char **ret, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	if (oci_field_text(object, key, ret, err) < 0)
		return -1;
	if (*ret && !media_type_ok(*ret))
		return oci_fail(err, OCI_E_FORMAT, "'%s' is no media type: '%s'", key, oci_str_escape(*ret, shown));
	return 0;
}

static int read_descriptor(const struct oci_json *object, struct oci_descriptor *ret, struct oci_error *err)
{
	const struct oci_json *platform = NULL;
	if (!oci_json_is_object(object))
		return oci_fail(err, OCI_E_FORMAT, "it is not an object");
	if (read_media_type(object, "mediaType", &ret->media_type, err) < 0 ||
		read_media_type(object, "artifactType", &ret->artifact_type, err) < 0)
		return -1;
	if (!ret->media_type)
		return oci_fail(err, OCI_E_FORMAT, "'mediaType' is missing");
	const char *digest = oci_json_text(object, "digest");
	if (!digest)
		return oci_fail(err, OCI_E_FORMAT, "'digest' is missing or not a string");
	if (oci_digest_parse(digest, &ret->digest, err) < 0)
		return -1;
	if (!oci_json_u64(object, "size", &ret->size_bytes))
		return oci_fail(err, OCI_E_FORMAT, "'size' is missing or not a whole number of bytes");
	if (oci_field_annotations(object, "annotations", &ret->annotations, err) < 0 ||
		oci_field_object(object, "platform", &platform, err) < 0)
		return -1;
	return platform ? oci_field_platform(platform, &ret->platform, err) : 0;
}

static struct oci_descriptor *add(struct oci_descriptor **items, size_t *count, struct oci_error *err)
{
	struct oci_descriptor *grown = oci_grow(*items, *count, sizeof(**items));
	if (!grown) {
		oci_fail_nomem(err);
		return NULL;
	}
	*items = grown;
	return &grown[(*count)++];
}

struct oci_descriptor *oci_manifest_add_layer(struct oci_manifest *m, struct oci_error *err)
{
	return add(&m->layers, &m->layer_count, err);
}

struct oci_descriptor *oci_manifest_add_manifest(struct oci_manifest *m, struct oci_error *err)
{
	return add(&m->manifests, &m->manifest_count, err);
}

static int read_descriptors(const struct oci_json *object, const char *key, struct oci_descriptor **items,
	size_t *count, struct oci_error *err)
{
	const struct oci_json *array = oci_json_get(object, key);
	if (!oci_json_is_array(array))
		return oci_fail(err, OCI_E_FORMAT, "'%s' is missing or not an array", key);
	for (size_t i = 0; i < oci_json_count(array); i++) {
		struct oci_descriptor *d = add(items, count, err);
		if (!d)
			return -1;
		if (read_descriptor(oci_json_at(array, i), d, err) < 0)
			return oci_wrap(err, "'%s' entry %zu", key, i + 1);
	}
	return 0;
}

/* One reader may take such a document for a manifest and another for an index
 * (CVE-2021-41190), so no reader of ours takes it at all. */
static int check_not_both(const struct oci_json *doc, struct oci_error *err)
{
	bool has_manifest = oci_json_get(doc, "config") || oci_json_get(doc, "layers") ||
		oci_json_get(doc, "fsLayers");
	if (has_manifest && oci_json_get(doc, "manifests"))
		return oci_fail(err, OCI_E_FORMAT, "it is both a manifest and an index");
	return 0;
}

static int check_schema(const struct oci_json *doc, struct oci_error *err)
{
	uint64_t version;
	if (!oci_json_is_object(doc))
		return oci_fail(err, OCI_E_FORMAT, "it is not an object");
	if (!oci_json_u64(doc, "schemaVersion", &version))
		return oci_fail(err, OCI_E_FORMAT, "'schemaVersion' is missing or not a number");
	if (version == 1)
		return oci_fail(err, OCI_E_UNSUPPORTED,
			"schema 1 is not supported, push the image again with a current tool");
	if (version != 2)
		return oci_fail(err, OCI_E_FORMAT, "'schemaVersion' is not 2");
	return check_not_both(doc, err);
}

/* Length of a content type without parameters such as "; charset=utf-8". */
static size_t content_type_length(const char *content_type)
{
	return content_type ? strcspn(content_type, "; \t") : 0;
}

/* Settle m->media_type and m->is_index from the content type, the body's own
 * word and, where both are silent, from what the body holds. */
static int settle_type(const struct oci_json *doc, const char *content_type, struct oci_manifest *m,
	struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	size_t len = content_type_length(content_type);
	if (read_media_type(doc, "mediaType", &m->media_type, err) < 0)
		return -1;
	if (m->media_type && len > 0 &&
		(strlen(m->media_type) != len || strncmp(m->media_type, content_type, len) != 0))
		return oci_fail(err, OCI_E_FORMAT, "its mediaType is '%s', but it came as '%s'", m->media_type,
			oci_str_escape(content_type, shown));

	if (!m->media_type && len > 0) {
		m->media_type = strndup(content_type, len);
		if (!m->media_type)
			return oci_fail_nomem(err);
	}
	if (!m->media_type) {
		const char *held = oci_json_get(doc, "manifests") ? OCI_MT_INDEX : OCI_MT_MANIFEST;
		if (oci_str_set(&m->media_type, held, err) < 0)
			return -1;
	}
	m->is_index = oci_media_is_index(m->media_type);
	if (!m->is_index && !oci_media_is_manifest(m->media_type))
		return oci_fail(err, OCI_E_UNSUPPORTED, "media type '%s' is neither an image manifest nor an index",
			oci_str_escape(m->media_type, shown));
	return 0;
}

static int read_subject(const struct oci_json *doc, struct oci_manifest *m, struct oci_error *err)
{
	const struct oci_json *subject = NULL;
	if (oci_field_object(doc, "subject", &subject, err) < 0)
		return -1;
	if (subject && read_descriptor(subject, &m->subject, err) < 0)
		return oci_wrap(err, "'subject'");
	return 0;
}

static int read_content(const struct oci_json *doc, struct oci_manifest *m, struct oci_error *err)
{
	if (m->is_index)
		return read_descriptors(doc, "manifests", &m->manifests, &m->manifest_count, err);
	if (read_descriptor(oci_json_get(doc, "config"), &m->config, err) < 0)
		return oci_wrap(err, "'config'");
	return read_descriptors(doc, "layers", &m->layers, &m->layer_count, err);
}

static int read_document(const struct oci_json *doc, const char *content_type, struct oci_manifest *m,
	struct oci_error *err)
{
	if (check_schema(doc, err) < 0 || settle_type(doc, content_type, m, err) < 0 ||
		read_media_type(doc, "artifactType", &m->artifact_type, err) < 0 ||
		read_content(doc, m, err) < 0 || read_subject(doc, m, err) < 0)
		return -1;
	return oci_field_annotations(doc, "annotations", &m->annotations, err);
}

int oci_manifest_parse(const char *data, size_t len, const char *media_type, struct oci_manifest *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = oci_json_parse(data, len, &OCI_JSON_MANIFEST, err);
	if (!doc)
		return -1;
	if (read_document(doc, media_type, &m, err) < 0)
		return oci_wrap(err, "manifest");
	*ret = m;
	m = (struct oci_manifest){0};
	return 0;
}

static void put_descriptor(struct oci_json_writer *w, const char *key, const struct oci_descriptor *d)
{
	char digest[OCI_DIGEST_TEXT_MAX];
	if (!d->media_type || !d->digest.alg)
		oci_fail(&w->err, OCI_E_BUG, "manifest: a descriptor to write has no media type or digest");
	oci_json_object(w, key);
	oci_json_put_text(w, "mediaType", d->media_type);
	oci_json_put_text(w, "artifactType", d->artifact_type);
	oci_json_put_text(w, "digest", oci_digest_format(&d->digest, digest));
	oci_json_put_u64(w, "size", d->size_bytes);
	oci_field_put_annotations(w, "annotations", &d->annotations);
	if (d->platform.os || d->platform.architecture) {
		oci_json_object(w, "platform");
		oci_field_put_platform(w, &d->platform);
		oci_json_close(w);
	}
	oci_json_close(w);
}

static void put_descriptors(struct oci_json_writer *w, const char *key, const struct oci_descriptor *items,
	size_t count)
{
	oci_json_array(w, key);
	for (size_t i = 0; i < count; i++)
		put_descriptor(w, NULL, &items[i]);
	oci_json_close(w);
}

int oci_manifest_format(const struct oci_manifest *m, struct oci_buf *out, struct oci_error *err)
{
	const char *usual_type = m->is_index ? OCI_MT_INDEX : OCI_MT_MANIFEST;
	struct oci_json_writer w;
	oci_json_begin(&w, out);
	oci_json_object(&w, NULL);
	oci_json_put_u64(&w, "schemaVersion", 2);
	oci_json_put_text(&w, "mediaType", m->media_type ? m->media_type : usual_type);
	oci_json_put_text(&w, "artifactType", m->artifact_type);
	if (m->is_index) {
		put_descriptors(&w, "manifests", m->manifests, m->manifest_count);
	} else {
		put_descriptor(&w, "config", &m->config);
		put_descriptors(&w, "layers", m->layers, m->layer_count);
	}
	if (m->subject.digest.alg)
		put_descriptor(&w, "subject", &m->subject);
	oci_field_put_annotations(&w, "annotations", &m->annotations);
	oci_json_close(&w);
	return oci_json_end(&w, err);
}

static void clear_all(struct oci_descriptor *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		oci_descriptor_clear(&items[i]);
	free(items);
}

void oci_manifest_clear(struct oci_manifest *m)
{
	free(m->media_type);
	free(m->artifact_type);
	oci_descriptor_clear(&m->config);
	clear_all(m->layers, m->layer_count);
	clear_all(m->manifests, m->manifest_count);
	oci_descriptor_clear(&m->subject);
	oci_annotations_clear(&m->annotations);
	*m = (struct oci_manifest){0};
}
