/* referrers.c - the verbs of store.h that list names */
#include <string.h>

#include "base/cleanup.h"
#include "core/mediatype.h"
#include "store/ops.h"
#include "store/store.h"

#define FALLBACK_HEX_MAX 64

int oci_store_tags(struct oci_store *s, struct oci_strings *ret, struct oci_error *err)
{
	if (!s->ops->tags)
		return oci_fail(err, OCI_E_UNSUPPORTED, "the tags of this kind of place cannot be listed");
	return s->ops->tags(s, ret, err);
}

/* "sha256-<64 hex>" */
static void fallback_tag(const struct oci_digest *subject, char tag[OCI_DIGEST_TEXT_MAX])
{
	oci_digest_format(subject, tag);
	char *colon = strchr(tag, ':');
	*colon = '-';
	if (strlen(colon + 1) > FALLBACK_HEX_MAX)
		colon[1 + FALLBACK_HEX_MAX] = '\0';
}

static int read_fallback(struct oci_store *s, const struct oci_digest *subject, struct oci_manifest *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	char tag[OCI_DIGEST_TEXT_MAX];
	struct oci_error why = {0};

	oci_buf_init(&bytes, OCI_MANIFEST_MAX);
	fallback_tag(subject, tag);
	if (oci_store_resolve(s, tag, &d, &why) < 0) {
		if (why.code == OCI_E_NOT_FOUND)
			return 0;
		if (err && !err->code)
			*err = why;
		return -1;
	}
	if (!oci_media_is_index(d.media_type))
		return oci_fail(err, OCI_E_FORMAT, "tag '%s' names no index of referrers", tag);
	if (oci_store_read(s, &d, &bytes, err) < 0)
		return -1;
	oci_manifest_clear(ret);
	return oci_manifest_parse(oci_buf_text(&bytes), bytes.len, d.media_type, ret, err);
}

static void keep_type(struct oci_manifest *index, const char *artifact_type)
{
	size_t kept = 0;

	for (size_t i = 0; i < index->manifest_count; i++) {
		struct oci_descriptor *d = &index->manifests[i];
		if (d->artifact_type && strcmp(d->artifact_type, artifact_type) == 0)
			index->manifests[kept++] = *d;
		else
			oci_descriptor_clear(d);
	}
	index->manifest_count = kept;
}

int oci_store_referrers(struct oci_store *s, const struct oci_digest *subject, const char *artifact_type,
	struct oci_manifest *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest found = {.is_index = true};
	bool known = false;

	if (s->ops->referrers && s->ops->referrers(s, subject, artifact_type, &found, &known, err) < 0)
		return -1;
	if (!known && read_fallback(s, subject, &found, err) < 0)
		return -1;
	if (artifact_type)
		keep_type(&found, artifact_type);
	*ret = found;
	found = (struct oci_manifest){0};
	return 0;
}

static bool lists(const struct oci_manifest *index, const struct oci_digest *digest)
{
	for (size_t i = 0; i < index->manifest_count; i++)
		if (oci_digest_equal(&index->manifests[i].digest, digest))
			return true;
	return false;
}

/* Does the place keep the list by itself? */
static int keeps_list(struct oci_store *s, const struct oci_digest *subject, bool *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest found = {.is_index = true};

	return s->ops->referrers ? s->ops->referrers(s, subject, NULL, &found, ret, err) : 0;
}

static int write_fallback(struct oci_store *s, const struct oci_digest *subject, const struct oci_manifest *index,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	char tag[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&bytes, OCI_MANIFEST_MAX);
	fallback_tag(subject, tag);
	if (oci_manifest_format(index, &bytes, err) < 0 ||
		oci_descriptor_of(OCI_MT_INDEX, bytes.data, bytes.len, &d, err) < 0 ||
		oci_store_write(s, &d, bytes.data, bytes.len, err) < 0)
		return -1;
	return oci_store_tag(s, &d, tag, err);
}

int oci_store_refer(struct oci_store *s, const struct oci_digest *subject, const struct oci_manifest *list,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest index = {.is_index = true};
	bool kept = false, changed = false;

	if (keeps_list(s, subject, &kept, err) < 0)
		return -1;
	if (kept)
		return 0;
	if (read_fallback(s, subject, &index, err) < 0)
		return -1;
	for (size_t i = 0; i < list->manifest_count; i++) {
		struct oci_descriptor *added;

		if (lists(&index, &list->manifests[i].digest))
			continue;
		added = oci_manifest_add_manifest(&index, err);
		if (!added || oci_descriptor_copy(added, &list->manifests[i], err) < 0)
			return -1;
		changed = true;
	}
	return changed ? write_fallback(s, subject, &index, err) : 0;
}
