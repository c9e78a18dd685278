#include "store/index.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/json.h"
#include "core/mediatype.h"

int oci_index_check_layout(const struct oci_buf *oci_layout, struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
	char shown[OCI_STR_ESCAPE_MAX];
	const char *version;

	doc = oci_json_parse(oci_buf_text(oci_layout), oci_layout->len, &OCI_JSON_SMALL, err);
	if (!doc)
		return oci_wrap(err, "'oci-layout'");
	version = oci_json_text(doc, "imageLayoutVersion");
	if (!version)
		return oci_fail(err, OCI_E_FORMAT, "'oci-layout' has no imageLayoutVersion");
	if (!oci_str_starts(version, "1."))
		return oci_fail(err, OCI_E_UNSUPPORTED, "'oci-layout' has version '%s', 1.0.0 is understood",
			oci_str_escape(version, shown));
	return 0;
}

static int parse_entries(const struct oci_buf *text, struct oci_manifest *ret, struct oci_error *err)
{
	if (oci_manifest_parse(oci_buf_text(text), text->len, OCI_MT_INDEX, ret, err) < 0)
		return oci_wrap(err, "'index.json'");
	return 0;
}

/* "host/repo:tag" has the tag, and is its own name. */
static bool has_tag(const char *full_name, const char *name)
{
	size_t before;

	if (!full_name || !oci_str_ends(full_name, name))
		return false;
	before = strlen(full_name) - strlen(name);
	return before == 0 || full_name[before - 1] == ':';
}

static const char *name_of(const struct oci_descriptor *entry)
{
	return oci_annotations_get(&entry->annotations, OCI_INDEX_REF_NAME);
}

/* What Hauler says an entry is to the image of its name: "sigs", "referrers/…";
 * NULL: it is the image. */
static const char *role_of(const struct oci_descriptor *entry)
{
	static const char *const prefixes[] = {"dev.hauler/", "dev.cosignproject.cosign/"};
	const char *kind = oci_annotations_get(&entry->annotations, "kind");

	for (size_t i = 0; kind && i < sizeof prefixes / sizeof *prefixes; i++)
		if (oci_str_starts(kind, prefixes[i]) && !oci_str_starts(kind + strlen(prefixes[i]), "image"))
			return kind + strlen(prefixes[i]);
	return NULL;
}

/* How well an entry fits a name: 2 exactly, 1 by its full name, 0 not. */
static int fit(const struct oci_descriptor *entry, const char *name)
{
	const char *ref_name = name_of(entry);

	if (role_of(entry))
		return 0;
	if (ref_name && strcmp(ref_name, name) == 0)
		return 2;
	return has_tag(ref_name, name) ||
		has_tag(oci_annotations_get(&entry->annotations, OCI_INDEX_FULL_NAME), name) ||
		has_tag(oci_annotations_get(&entry->annotations, OCI_INDEX_BASE_NAME), name);
}

static int find_named(const struct oci_manifest *index, const char *name,
	const struct oci_descriptor **ret, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	bool ambiguous = false;
	int best = 0;

	*ret = NULL;
	for (size_t i = 0; i < index->manifest_count; i++) {
		const struct oci_descriptor *entry = &index->manifests[i];
		int fits = fit(entry, name);

		if (fits == 0 || fits < best)
			continue;
		ambiguous = fits == best && (ambiguous || !oci_digest_equal(&(*ret)->digest, &entry->digest));
		if (fits > best)
			*ret = entry;
		best = fits;
	}
	if (ambiguous)
		return oci_fail(err, OCI_E_FORMAT,
			"several images are named '%s', use a longer name or a digest",
			oci_str_escape(name, shown));
	return 0;
}

/* Has the image with this digest the name of `entry`? */
static bool belongs_to(const struct oci_manifest *index, const struct oci_descriptor *entry,
	const struct oci_digest *image)
{
	const char *name = name_of(entry);

	for (size_t i = 0; name && i < index->manifest_count; i++) {
		const struct oci_descriptor *other = &index->manifests[i];

		if (!role_of(other) && oci_digest_equal(&other->digest, image) && name_of(other) &&
			strcmp(name_of(other), name) == 0)
			return true;
	}
	return false;
}

/* sha256-<hex>.sig and its like, where no entry has that name; NULL: there is none. */
static const struct oci_descriptor *find_signature(const struct oci_manifest *index, const char *name)
{
	static const struct {
		const char *end, *role;
	} kinds[] = {{".sig", "sigs"}, {".att", "atts"}, {".sbom", "sboms"}};
	char text[OCI_DIGEST_TEXT_MAX];
	struct oci_digest image;
	const char *end = strrchr(name, '.');

	if (!oci_str_starts(name, "sha256-") || !end || (size_t)(end - name) >= sizeof text)
		return NULL;
	snprintf(text, sizeof text, "sha256:%.*s", (int)(end - name - 7), name + 7);
	if (oci_digest_parse(text, &image, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < index->manifest_count; i++) {
		const struct oci_descriptor *entry = &index->manifests[i];
		const char *role = role_of(entry);

		for (size_t k = 0; role && k < sizeof kinds / sizeof *kinds; k++)
			if (strcmp(role, kinds[k].role) == 0 && strcmp(end, kinds[k].end) == 0 &&
				belongs_to(index, entry, &image))
				return entry;
	}
	return NULL;
}

/* The one image that all entries name, or NULL. Where some have names, the others
 * are parts of those, as zot lists them. */
static const struct oci_descriptor *only_entry(const struct oci_manifest *index)
{
	const struct oci_descriptor *only = NULL;
	bool named = false;

	for (size_t i = 0; i < index->manifest_count; i++)
		named = named || name_of(&index->manifests[i]);
	for (size_t i = 0; i < index->manifest_count; i++) {
		const struct oci_descriptor *entry = &index->manifests[i];

		if (role_of(entry) || (named && !name_of(entry)))
			continue;
		if (only && !oci_digest_equal(&only->digest, &entry->digest))
			return NULL;
		only = entry;
	}
	return only;
}

int oci_index_find(const struct oci_buf *text, const char *name, struct oci_descriptor *ret, bool *found,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest index = {0};
	const struct oci_descriptor *entry = NULL;

	if (parse_entries(text, &index, err) < 0 || find_named(&index, name, &entry, err) < 0)
		return -1;
	if (!entry)
		entry = strcmp(name, "latest") == 0 ? only_entry(&index) : find_signature(&index, name);
	if (entry && oci_descriptor_copy(ret, entry, err) < 0)
		return -1;
	*found = entry != NULL;
	return 0;
}

static int find_digest(const struct oci_buf *text, const struct oci_digest *digest,
	struct oci_descriptor *ret,
	bool *found, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest index = {0};

	if (parse_entries(text, &index, err) < 0)
		return -1;
	*found = false;
	for (size_t i = 0; i < index.manifest_count && !*found; i++) {
		if (!oci_digest_equal(&index.manifests[i].digest, digest))
			continue;
		if (oci_descriptor_copy(ret, &index.manifests[i], err) < 0)
			return -1;
		*found = true;
	}
	return 0;
}

int oci_index_lists(const struct oci_buf *text, const struct oci_digest *digest, bool *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor ignored = {0};

	return find_digest(text, digest, &ignored, ret, err);
}

/* A blob that no entry names says itself what it is. */
static int describe_blob(struct oci_store *s, const struct oci_digest *digest, oci_index_size_fn size_of,
	struct oci_descriptor *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest manifest = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf body;
	struct oci_descriptor blob = {.digest = *digest};
	char text[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&body, OCI_MANIFEST_MAX);
	if (size_of(s, digest, &blob.size_bytes, err) < 0 || oci_store_read(s, &blob, &body, err) < 0)
		return -1;
	if (oci_manifest_parse(oci_buf_text(&body), body.len, NULL, &manifest, err) < 0)
		return oci_wrap(err, "blob '%s' as a manifest", oci_digest_format(digest, text));
	blob.media_type = manifest.media_type;
	blob.artifact_type = manifest.artifact_type;
	return oci_descriptor_copy(ret, &blob, err);
}

#define NAMES_SHOWN 3

static int fail_unnamed(const struct oci_buf *text, const char *name, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest index = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf names;
	char shown[OCI_STR_ESCAPE_MAX];
	size_t count = 0;

	oci_buf_init(&names, OCI_KIB * (NAMES_SHOWN + 1));
	if (parse_entries(text, &index, err) < 0)
		return -1;
	for (size_t i = 0; i < index.manifest_count; i++) {
		const char *other = name_of(&index.manifests[i]);

		if (!other || count++ >= NAMES_SHOWN)
			continue;
		if (oci_buf_printf(&names, err, "%s'%s'", count > 1 ? ", " : "; it has ", oci_str_escape(other, shown)) < 0)
			return -1;
	}
	if (count > NAMES_SHOWN && oci_buf_printf(&names, err, " and %zu more", count - NAMES_SHOWN) < 0)
		return -1;
	return oci_fail(err, OCI_E_NOT_FOUND, "no image is named '%s'%s", oci_str_escape(name, shown), oci_buf_text(&names));
}

int oci_index_resolve(struct oci_store *s, const struct oci_buf *text, const char *name,
	oci_index_size_fn size_of, struct oci_descriptor *ret, struct oci_error *err)
{
	struct oci_digest digest;
	bool found = false;

	if (oci_digest_parse(name, &digest, NULL) == 0) {
		if (find_digest(text, &digest, ret, &found, err) < 0)
			return -1;
		return found ? 0 : describe_blob(s, &digest, size_of, ret, err);
	}
	if (oci_index_find(text, name, ret, &found, err) < 0)
		return -1;
	return found ? 0 : fail_unnamed(text, name, err);
}

int oci_index_referrers(struct oci_store *s, const struct oci_buf *text, const struct oci_digest *subject,
	oci_index_size_fn size_of, struct oci_manifest *ret, bool *known, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest index = {0};

	*known = false;
	if (parse_entries(text, &index, err) < 0)
		return -1;
	for (size_t i = 0; i < index.manifest_count; i++) {
		const struct oci_descriptor *entry = &index.manifests[i];
		const char *role = role_of(entry);
		struct oci_descriptor *added;

		if (!role || !oci_str_starts(role, "referrers") || !belongs_to(&index, entry, subject))
			continue;
		added = oci_manifest_add_manifest(ret, err);
		if (!added || describe_blob(s, &entry->digest, size_of, added, err) < 0)
			return -1;
		*known = true;
	}
	return 0;
}

static void put_platform(struct oci_json_writer *w, const struct oci_platform *platform)
{
	if (!platform->os && !platform->architecture)
		return;
	oci_json_object(w, "platform");
	oci_json_put_text(w, "architecture", platform->architecture);
	oci_json_put_text(w, "os", platform->os);
	oci_json_put_text(w, "variant", platform->variant);
	oci_json_close(w);
}

static void put_entry(struct oci_json_writer *w, const struct oci_descriptor *d, const char *tag)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_json_object(w, NULL);
	oci_json_put_text(w, "mediaType", d->media_type);
	oci_json_put_text(w, "digest", oci_digest_format(&d->digest, digest));
	oci_json_put_u64(w, "size", d->size_bytes);
	oci_json_put_text(w, "artifactType", d->artifact_type);
	if (tag) {
		oci_json_object(w, "annotations");
		oci_json_put_text(w, OCI_INDEX_REF_NAME, tag);
		oci_json_close(w);
	}
	put_platform(w, &d->platform);
	oci_json_close(w);
}

static int put_value(struct oci_json_writer *w, const char *key, const struct oci_json *value,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf raw;

	oci_buf_init(&raw, OCI_INDEX_MAX);
	if (oci_json_dump(value, &raw, err) < 0)
		return -1;
	oci_json_put_raw(w, key, oci_buf_text(&raw));
	return 0;
}

static bool has_digest(const struct oci_json *entry, const struct oci_digest *wanted)
{
	const char *digest = oci_json_text(entry, "digest");
	char text[OCI_DIGEST_TEXT_MAX];

	return digest && strcmp(digest, oci_digest_format(wanted, text)) == 0;
}

/* Does `d` under this name take the entry's place? With `d` NULL: does the entry go? */
static bool is_replaced(const struct oci_json *entry, const struct oci_descriptor *d, const char *name)
{
	const struct oci_json *annotations = oci_json_get(entry, "annotations");
	const char *tag = oci_json_text(annotations, OCI_INDEX_REF_NAME);
	const char *digest = oci_json_text(entry, "digest");

	if (tag && strcmp(tag, name) == 0)
		return true;
	return d ? !annotations && has_digest(entry, &d->digest) : digest && strcmp(digest, name) == 0;
}

static int put_entries(struct oci_json_writer *w, const struct oci_json *entries,
	const struct oci_descriptor *d, const char *tag, struct oci_error *err)
{
	bool put = !d;

	oci_json_array(w, "manifests");
	for (size_t i = 0; i < oci_json_count(entries); i++) {
		const struct oci_json *entry = oci_json_at(entries, i);

		put = put || (!tag && has_digest(entry, &d->digest));

		if (!tag || !is_replaced(entry, d, tag)) {
			if (put_value(w, NULL, entry, err) < 0)
				return -1;
			continue;
		}
		if (!put)
			put_entry(w, d, tag);
		put = true;
	}
	if (!put)
		put_entry(w, d, tag);
	oci_json_close(w);
	return 0;
}

static int change(const struct oci_buf *text, const struct oci_descriptor *d, const char *tag, struct oci_buf *out,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
	struct oci_json_writer w;
	bool put = false;

	doc = oci_json_parse(oci_buf_text(text), text->len, &OCI_JSON_MANIFEST, err);
	if (!doc)
		return oci_wrap(err, "'index.json'");
	oci_json_begin(&w, out);
	oci_json_object(&w, NULL);
	for (void *i = oci_json_first(doc); i; i = oci_json_next(doc, i)) {
		bool entries = strcmp(oci_json_key(i), "manifests") == 0;

		if (entries ? put_entries(&w, oci_json_value(i), d, tag, err) < 0
			    : put_value(&w, oci_json_key(i), oci_json_value(i), err) < 0)
			return -1;
		put = put || entries;
	}
	if (!put && put_entries(&w, NULL, d, tag, err) < 0)
		return -1;
	oci_json_close(&w);
	return oci_json_end(&w, err);
}

int oci_index_set(const struct oci_buf *text, const struct oci_descriptor *d, const char *tag,
	struct oci_buf *out, struct oci_error *err)
{
	return change(text, d, tag, out, err);
}

int oci_index_list(const struct oci_buf *text, const struct oci_descriptor *d, struct oci_buf *out,
	struct oci_error *err)
{
	return change(text, d, NULL, out, err);
}

int oci_index_tags(const struct oci_buf *text, struct oci_strings *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest index = {0};

	if (parse_entries(text, &index, err) < 0)
		return -1;
	for (size_t i = 0; i < index.manifest_count; i++) {
		const char *name = name_of(&index.manifests[i]);

		if (!name || role_of(&index.manifests[i]) || oci_strings_has(ret, name))
			continue;
		if (oci_strings_add(ret, name, err) < 0)
			return -1;
	}
	return 0;
}
