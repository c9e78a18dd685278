#include "engine/retain.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/grow.h"
#include "core/mediatype.h"
#include "engine/image.h"
#include "engine/tag_filter.h"

#define DEPTH_MAX 8

/* A manifest that a tag names, or an index which it names. */
struct kept {
	struct oci_digest digest;
	const char *tag;
};

struct keeper {
	struct oci_store *store;
	const struct oci_retain_options *options;
	struct oci_retain_report *report;
	struct oci_strings tags;    /* of the repository */
	struct kept *kept;          /* what those that stay lead to */
	size_t kept_count;
	bool looked;                /* at all of them */
	bool by_digest;             /* the place removes manifests only */
};

static bool is_digest(const char *name)
{
	return strchr(name, ':') != NULL;
}

static const struct oci_retain_tag *find(const struct oci_retain_report *report, const char *name)
{
	for (size_t i = 0; i < report->count; i++)
		if (strcmp(report->items[i].tag, name) == 0)
			return &report->items[i];
	return NULL;
}

static int add(struct keeper *k, const char *name, bool derived, struct oci_error *err)
{
	struct oci_retain_report *report = k->report;
	struct oci_retain_tag *items;

	if (find(report, name))
		return 0;
	items = oci_grow(report->items, report->count, sizeof *items);
	if (!items)
		return oci_fail_nomem(err);
	report->items = items;
	items[report->count].derived = derived;
	return oci_str_set(&items[report->count++].tag, name, err);
}

/* *ret alg 0: it is not there. */
static int look(struct oci_store *store, const char *name, struct oci_digest *ret, struct oci_error *err)
{
	struct oci_error failure = {0};

	if (oci_store_peek(store, name, ret, &failure) == 0)
		return 0;
	*ret = (struct oci_digest){0};
	if (failure.code == OCI_E_NOT_FOUND)
		return 0;
	if (err && !err->code)
		*err = failure;
	return -1;
}

/* A manifest and, of an index, those that it lists; what is not there keeps nothing. */
static int keep(struct keeper *k, const struct oci_descriptor *d, const char *tag, unsigned depth, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest m = {0};
	struct kept *kept = oci_grow(k->kept, k->kept_count, sizeof *kept);
	struct oci_error failure = {0};

	if (!kept)
		return oci_fail_nomem(err);
	k->kept = kept;
	kept[k->kept_count++] = (struct kept){d->digest, tag};
	if (!oci_media_is_index(d->media_type) || depth == DEPTH_MAX)
		return 0;
	if (oci_image_read_manifest(k->store, d, &m, &failure) < 0 && failure.code != OCI_E_NOT_FOUND) {
		if (err && !err->code)
			*err = failure;
		return -1;
	}
	for (size_t i = 0; i < m.manifest_count; i++)
		if (keep(k, &m.manifests[i], tag, depth + 1, err) < 0)
			return -1;
	return 0;
}

static int keep_tag(struct keeper *k, const char *tag, struct oci_error *err)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor d = {0};
	struct oci_error failure = {0};

	if (oci_store_resolve(k->store, tag, &d, &failure) == 0)
		return keep(k, &d, tag, 0, err);
	if (failure.code == OCI_E_NOT_FOUND)
		return 0;
	if (err && !err->code)
		*err = failure;
	return -1;
}

/* What the tags that stay lead to: asked once, and only when it matters. */
static int look_at_others(struct keeper *k, struct oci_error *err)
{
	for (size_t i = 0; !k->looked && i < k->tags.count; i++)
		if (!find(k->report, k->tags.items[i]) && keep_tag(k, k->tags.items[i], err) < 0)
			return -1;
	k->looked = true;
	return 0;
}

/* A tag that stays and needs the manifest; NULL: there is none. Tags of signatures
 * that go with the image are no such tags. */
static const char *named_by(const struct keeper *k, const struct oci_digest *digest)
{
	for (size_t i = 0; i < k->kept_count; i++)
		if (oci_digest_equal(&k->kept[i].digest, digest) && !find(k->report, k->kept[i].tag))
			return k->kept[i].tag;
	return NULL;
}

/* Refused as by a place that knows no other way than by digest. */
static bool may_want_digest(const struct oci_error *failure)
{
	return failure->code == OCI_E_UNSUPPORTED || failure->http == 400 || failure->http == 404 ||
		failure->http == 405 || failure->http == 501;
}

static int remove_manifest(struct keeper *k, struct oci_retain_tag *tag, struct oci_error *err)
{
	char digest[OCI_DIGEST_TEXT_MAX];
	const char *other;

	if (look_at_others(k, err) < 0)
		return -1;
	other = named_by(k, &tag->digest);
	if (other)
		return oci_fail(err, OCI_E_UNSUPPORTED,
			"tag '%s' names what '%s' needs, and this registry removes images only, not tags", tag->tag, other);
	return oci_store_untag(k->store, oci_digest_format(&tag->digest, digest), err);
}

static int remove_tag(struct keeper *k, struct oci_retain_tag *tag, struct oci_error *err)
{
	struct oci_error failure = {0};

	if (k->by_digest && !is_digest(tag->tag))
		return remove_manifest(k, tag, err);
	if (oci_store_untag(k->store, tag->tag, &failure) == 0)
		return 0;
	if (!is_digest(tag->tag) && may_want_digest(&failure)) {
		struct oci_error second = {0};

		if (remove_manifest(k, tag, &second) == 0) {
			k->by_digest = true;
			return 0;
		}
		if (!second.http)
			failure = second;
	}
	if (err && !err->code)
		*err = failure;
	return -1;
}

/* The tags of signatures and referrers of an image that nothing names any more. */
static int add_derived(struct keeper *k, struct oci_error *err)
{
	for (size_t i = 0; i < k->tags.count; i++) {
		char subject[OCI_TAG_SUBJECT_MAX], digest[OCI_DIGEST_TEXT_MAX];

		if (!oci_tag_filter_subject(k->tags.items[i], subject))
			continue;
		for (size_t j = 0; j < k->report->count; j++) {
			const struct oci_retain_tag *gone = &k->report->items[j];

			if (!gone->digest.alg || strcmp(oci_digest_format(&gone->digest, digest), subject) != 0)
				continue;
			if (look_at_others(k, err) < 0)
				return -1;
			if (!named_by(k, &gone->digest) && add(k, k->tags.items[i], true, err) < 0)
				return -1;
			break;
		}
	}
	return 0;
}

static int look_at_gone(struct keeper *k, struct oci_error *err)
{
	for (size_t i = 0; i < k->report->count; i++)
		if (!k->report->items[i].digest.alg &&
			look(k->store, k->report->items[i].tag, &k->report->items[i].digest, err) < 0)
			return -1;
	return 0;
}

/* What belongs to an image stays when that could not be removed. */
static bool image_stays(const struct oci_retain_report *report, const struct oci_retain_tag *derived)
{
	char subject[OCI_TAG_SUBJECT_MAX], digest[OCI_DIGEST_TEXT_MAX];

	oci_tag_filter_subject(derived->tag, subject);
	for (const struct oci_retain_tag *tag = report->items; tag < derived; tag++)
		if (!tag->removed && tag->digest.alg && strcmp(oci_digest_format(&tag->digest, digest), subject) == 0)
			return true;
	return false;
}

static int remove_one(struct keeper *k, struct oci_retain_tag *tag)
{
	if (tag->derived && image_stays(k->report, tag))
		return oci_fail(&tag->err, OCI_E_UNSUPPORTED, "it belongs to an image that could not be removed");
	return k->options->dry_run || !tag->digest.alg ? 0 : remove_tag(k, tag, &tag->err);
}

static int remove_all(struct keeper *k, struct oci_error *err)
{
	struct oci_retain_report *report = k->report;
	const atomic_int *cancel = k->options->cancel;

	for (size_t i = 0; i < report->count; i++) {
		struct oci_retain_tag *tag = &report->items[i];

		if (cancel && atomic_load(cancel))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled by signal %d", atomic_load(cancel));
		tag->removed = remove_one(k, tag) == 0;
		report->removed += tag->removed && tag->digest.alg;
		report->failed += !tag->removed;
		if (tag->removed)
			oci_event_done(k->options->observer, tag->tag, 0, "removed");
	}
	return 0;
}

static void keeper_clear(struct keeper *k)
{
	oci_strings_clear(&k->tags);
	free(k->kept);
}

int oci_retain_remove(struct oci_store *store, const struct oci_strings *gone, const struct oci_retain_options *options,
	struct oci_retain_report *ret, struct oci_error *err)
{
	OCI_CLEANUP(keeper_clear) struct keeper k = {.store = store, .options = options, .report = ret};

	if (oci_store_tags(store, &k.tags, err) < 0)
		return -1;
	for (size_t i = 0; i < gone->count; i++)
		if (add(&k, gone->items[i], false, err) < 0)
			return -1;
	if (look_at_gone(&k, err) < 0 || add_derived(&k, err) < 0 || look_at_gone(&k, err) < 0 || remove_all(&k, err) < 0)
		return -1;
	return options->dry_run ? 0 : oci_store_finish(store, err);
}

void oci_retain_report_clear(struct oci_retain_report *report)
{
	for (size_t i = 0; i < report->count; i++)
		free(report->items[i].tag);
	free(report->items);
	*report = (struct oci_retain_report){0};
}
