#include "engine/bundle_images.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/grow.h"
#include "core/mediatype.h"
#include "engine/image.h"
#include "store/index.h"

#define BASE_NAME "org.opencontainers.image.base.name"
#define LIST_PREFIX "sha256-"
#define LIST_HEX 64

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

int oci_bundle_images_add(struct oci_bundle_images *images, struct oci_store *store,
	const struct oci_descriptor *root, const char *name, const char *tag, struct oci_error *err)
{
	struct oci_bundle_image *items;

	for (size_t i = 0; i < images->count; i++)
		if (oci_digest_equal(&images->items[i].root.digest, &root->digest) &&
			same_text(images->items[i].name, name) && same_text(images->items[i].tag, tag))
			return 0;
	items = oci_grow(images->items, images->count, sizeof *items);
	if (!items)
		return oci_fail_nomem(err);
	images->items = items;
	items += images->count++;
	items->store = store;
	if (oci_descriptor_copy(&items->root, root, err) < 0 || oci_str_set(&items->name, name, err) < 0)
		return -1;
	return oci_str_set(&items->tag, tag, err);
}

static int keep_store(struct oci_bundle_images *images, struct oci_store *store, struct oci_error *err)
{
	struct oci_store **stores = oci_grow(images->stores, images->store_count, sizeof *stores);

	if (!stores) {
		oci_store_close(store);
		return oci_fail_nomem(err);
	}
	images->stores = stores;
	stores[images->store_count++] = store;
	return 0;
}

/* "reg.example/team/m" of "reg.example/team/m:v1" and "...@sha256:..."; what has
 * no host is no name that can be kept. Cuts the text; the tag is NULL without one. */
static bool split_name(char *full, const char **tag)
{
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	char *at = strchr(full, '@'), *colon;

	if (oci_reference_parse(full, &ref, NULL) < 0 || ref.transport != OCI_TRANSPORT_REGISTRY)
		return false;
	if (at)
		*at = '\0';
	colon = strrchr(full, ':');
	*tag = NULL;
	if (colon && !strchr(colon, '/')) {
		*colon = '\0';
		*tag = colon + 1;
	}
	return true;
}

/* An entry of index.json by the names that it carries. */
static int add_entry(struct oci_bundle_images *images, struct oci_store *store, const struct oci_descriptor *d,
	struct oci_error *err)
{
	static const char *const keys[] = {OCI_INDEX_FULL_NAME, OCI_INDEX_REF_NAME, BASE_NAME};
	const char *ref_name = oci_annotations_get(&d->annotations, OCI_INDEX_REF_NAME);
	const char *short_tag = ref_name && oci_reference_tag_ok(ref_name) ? ref_name : NULL;

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const char *value = oci_annotations_get(&d->annotations, keys[i]), *tag = NULL;
		oci_autofree char *full = value ? oci_reference_docker_name(value) : NULL;

		if (value && !full)
			return oci_fail_nomem(err);
		if (!full || (i > 0 && !strchr(value, '/')) || !split_name(full, &tag))
			continue;
		return oci_bundle_images_add(images, store, d, full, tag ? tag : short_tag, err);
	}
	return oci_bundle_images_add(images, store, d, NULL, short_tag, err);
}

static bool is_list(const struct oci_descriptor *d)
{
	const char *name = oci_annotations_get(&d->annotations, OCI_INDEX_REF_NAME);

	return name && oci_str_starts(name, LIST_PREFIX) && strlen(name) == strlen(LIST_PREFIX) + LIST_HEX;
}

/* The last one has a name that another one before it has, too. */
static int check_unique(const struct oci_bundle_images *images, struct oci_error *err)
{
	const struct oci_bundle_image *last = &images->items[images->count - 1];
	char shown[OCI_STR_ESCAPE_MAX];

	for (size_t i = 0; last->tag && i + 1 < images->count; i++) {
		const struct oci_bundle_image *other = &images->items[i];

		if (same_text(other->name, last->name) && same_text(other->tag, last->tag))
			return oci_fail(err, OCI_E_FORMAT, "'index.json': several images are named '%s'",
				oci_str_escape(last->tag, shown));
	}
	return 0;
}

int oci_bundle_images_of_index(struct oci_bundle_images *images, struct oci_store *store,
	const struct oci_buf *index, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};

	if (oci_manifest_parse(oci_buf_text(index), index->len, OCI_MT_INDEX, &m, err) < 0)
		return oci_wrap(err, "'index.json'");
	for (size_t i = 0; i < m.manifest_count; i++)
		if (!is_list(&m.manifests[i]) &&
			(add_entry(images, store, &m.manifests[i], err) < 0 || check_unique(images, err) < 0))
			return -1;
	return 0;
}

static int add_resolved(struct oci_bundle_images *images, struct oci_store *store, const struct oci_reference *ref,
	const char *name, struct oci_error *err)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
	oci_autofree char *repository = NULL;

	if (oci_store_resolve(store, name, &d, err) < 0)
		return oci_wrap(err, "'%s'", ref->path);
	if (ref->transport != OCI_TRANSPORT_REGISTRY)
		return add_entry(images, store, &d, err);
	repository = oci_str_printf("%s/%s", ref->host, ref->path);
	if (!repository)
		return oci_fail_nomem(err);
	return oci_bundle_images_add(images, store, &d, repository, name && oci_reference_tag_ok(name) ? name : NULL, err);
}

static int add_all(struct oci_bundle_images *images, struct oci_store *store, const struct oci_reference *ref,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0};

	if (oci_store_tags(store, &tags, err) < 0)
		return -1;
	for (size_t i = 0; i < tags.count; i++) {
		bool list = oci_str_starts(tags.items[i], LIST_PREFIX) &&
			strlen(tags.items[i]) == strlen(LIST_PREFIX) + LIST_HEX;

		if (!list && add_resolved(images, store, ref, tags.items[i], err) < 0)
			return -1;
	}
	return 0;
}

static int open_reference(struct oci_bundle_images *images, const struct oci_reference *ref,
	const struct oci_store_options *options, bool all, struct oci_error *err)
{
	struct oci_store *store = oci_store_open(ref, OCI_STORE_READ, options, err);
	char name[OCI_DIGEST_TEXT_MAX];
	size_t before = images->count;
	bool named = ref->tag || ref->digest.alg;

	if (!store || keep_store(images, store, err) < 0)
		return -1;
	if (!named && (all || ref->transport != OCI_TRANSPORT_REGISTRY) && add_all(images, store, ref, err) < 0)
		return -1;
	if (images->count > before || (!named && all))
		return 0;
	return add_resolved(images, store, ref, oci_image_name(ref, name), err);
}

static int open_images(struct oci_bundle_images *images, const char *text, const struct oci_store_options *options,
	bool all, struct oci_error *err)
{
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};

	if (oci_reference_parse(text, &ref, err) < 0)
		return -1;
	return open_reference(images, &ref, options, all, err) < 0 ? oci_fail_side(err, OCI_SIDE_SOURCE) : 0;
}

int oci_bundle_images_open_file(struct oci_bundle_images *images, const char *path,
	const struct oci_store_options *options, struct oci_error *err)
{
	const struct oci_reference ref = {.transport = OCI_TRANSPORT_BUNDLE, .path = (char *)path};

	return open_reference(images, &ref, options, false, err) < 0 ? oci_fail_side(err, OCI_SIDE_SOURCE) : 0;
}

int oci_bundle_images_open(struct oci_bundle_images *images, const char *text,
	const struct oci_store_options *options, struct oci_error *err)
{
	return open_images(images, text, options, false, err);
}

int oci_bundle_images_open_all(struct oci_bundle_images *images, const char *text,
	const struct oci_store_options *options, struct oci_error *err)
{
	return open_images(images, text, options, true, err);
}

/* Does the tag alone say which image is meant? */
static bool tag_is_unique(const struct oci_bundle_images *images, size_t number)
{
	for (size_t i = 0; i < images->count; i++)
		if (i != number && same_text(images->items[i].tag, images->items[number].tag))
			return false;
	return true;
}

static int put_names(const struct oci_bundle_images *images, size_t number, struct oci_descriptor *entry,
	struct oci_error *err)
{
	const struct oci_bundle_image *image = &images->items[number];
	oci_autofree char *full = NULL;
	char digest[OCI_DIGEST_TEXT_MAX];
	bool unique = tag_is_unique(images, number);

	if (image->name) {
		full = image->tag ? oci_str_printf("%s:%s", image->name, image->tag)
				  : oci_str_printf("%s@%s", image->name, oci_digest_format(&image->root.digest, digest));
		if (!full)
			return oci_fail_nomem(err);
		if (oci_annotations_set(&entry->annotations, OCI_INDEX_FULL_NAME, full, err) < 0)
			return -1;
	}
	if (!image->tag)
		return 0;
	if (!unique && !full)
		return oci_fail(err, OCI_E_USAGE, "two images are called '%s' and nothing tells them apart, bundle them alone",
			image->tag);
	return oci_annotations_set(&entry->annotations, OCI_INDEX_REF_NAME, unique ? image->tag : full, err);
}

/* What an entry of an index says of a manifest, without what others said there. */
static int add_plain(struct oci_manifest *index, const struct oci_descriptor *d, struct oci_descriptor **ret,
	struct oci_error *err)
{
	struct oci_descriptor *entry = oci_manifest_add_manifest(index, err);

	if (!entry || oci_descriptor_copy(entry, d, err) < 0)
		return -1;
	oci_annotations_clear(&entry->annotations);
	*ret = entry;
	return 0;
}

int oci_bundle_images_index(const struct oci_bundle_images *images, const struct oci_graph_tag *lists,
	size_t list_count, struct oci_buf *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest index = {.is_index = true};
	struct oci_descriptor *entry;

	for (size_t i = 0; i < images->count; i++)
		if (add_plain(&index, &images->items[i].root, &entry, err) < 0 || put_names(images, i, entry, err) < 0)
			return -1;
	for (size_t i = 0; i < list_count; i++)
		if (add_plain(&index, &lists[i].descriptor, &entry, err) < 0 ||
			oci_annotations_set(&entry->annotations, OCI_INDEX_REF_NAME, lists[i].tag, err) < 0)
			return -1;
	oci_buf_init(ret, OCI_INDEX_MAX);
	return oci_manifest_format(&index, ret, err);
}

char *oci_bundle_image_text(const struct oci_bundle_image *image, bool pinned)
{
	const char *name = image->name ? image->name : "", *tag = image->tag ? image->tag : "";
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_digest_format(&image->root.digest, digest);
	return oci_str_printf("%s%s%s%s%s", name, *name && *tag ? ":" : "", tag, pinned ? "@" : "",
		pinned ? digest : "");
}

bool oci_bundle_image_is_signature(const struct oci_bundle_image *image)
{
	return image->tag && oci_str_starts(image->tag, LIST_PREFIX) && strchr(image->tag, '.');
}

void oci_bundle_images_clear(struct oci_bundle_images *images)
{
	for (size_t i = 0; i < images->count; i++) {
		oci_descriptor_clear(&images->items[i].root);
		free(images->items[i].tag);
		free(images->items[i].name);
	}
	for (size_t i = 0; i < images->store_count; i++)
		oci_store_close(images->stores[i]);
	free(images->items);
	free(images->stores);
	*images = (struct oci_bundle_images){0};
}
