#include "engine/bundle_target.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/grow.h"
#include "engine/copy.h"
#include "engine/zarf.h"

struct placer {
	const struct oci_bundle_images *images;
	const struct oci_bundle_wish *wish;
	struct oci_bundle_targets *targets;
	char *host;               /* NULL: `fixed` is where all goes */
	struct oci_reference fixed;
};

static void placer_clear(struct placer *p)
{
	free(p->host);
	oci_reference_clear(&p->fixed);
}

static int parse_destination(struct placer *p, struct oci_error *err)
{
	oci_autofree char *text = strdup(p->wish->to);
	const char *bare = text;
	size_t len;

	if (!text)
		return oci_fail_nomem(err);
	if (oci_str_starts(text, "docker://") || oci_str_starts(text, "oci://"))
		bare = strstr(text, "://") + 3;
	len = strlen(bare);
	if (len > 0 && bare[len - 1] == '/' && !strchr(bare, '/')[1])
		text[strlen(text) - 1] = '\0';
	if (*bare && !strchr(bare, '/') && !oci_str_starts(text, "oci:") && !oci_str_starts(text, "bundle:") &&
		!strstr(text, "-archive:"))
		return oci_str_set(&p->host, bare, err);
	if (oci_reference_parse(p->wish->to, &p->fixed, err) < 0)
		return -1;
	if (p->fixed.transport != OCI_TRANSPORT_REGISTRY && p->fixed.transport != OCI_TRANSPORT_LAYOUT)
		return oci_fail(err, OCI_E_UNSUPPORTED, "a bundle is loaded into a registry or a layout: HOST, HOST/REPO, oci:DIR");
	if (p->fixed.digest.alg)
		return oci_fail(err, OCI_E_USAGE, "a destination is written by tag, not by digest");
	if (p->wish->maps->count > 0)
		return oci_fail(err, OCI_E_USAGE, "--map is for a destination that is a host alone");
	return 0;
}

/* All images of one name, and one of them if a tag is given. */
static int check_fixed(const struct placer *p, struct oci_error *err)
{
	const char *first = NULL;
	size_t plain = 0;

	for (size_t i = 0; i < p->images->count; i++) {
		const struct oci_bundle_image *image = &p->images->items[i];

		plain += !oci_bundle_image_is_signature(image);
		if (image->name && first && strcmp(image->name, first) != 0)
			return oci_fail(err, OCI_E_USAGE, "the bundle has images of several names ('%s', '%s'): %s", first,
				image->name, p->fixed.transport == OCI_TRANSPORT_LAYOUT ?
				"take each into a layout of its own with 'cp bundle:FILE:NAME:TAG oci:DIR:TAG'" :
				"load it to a host alone");
		first = image->name ? image->name : first;
	}
	if (p->fixed.tag && plain > 1)
		return oci_fail(err, OCI_E_USAGE, "the bundle has %zu images: give the destination no tag", plain);
	return 0;
}

/* The path after the first rule that fits. The caller frees. */
static char *map_path(const struct placer *p, const char *name, struct oci_error *err)
{
	const char *path = strchr(name, '/') + 1;
	const struct oci_strings *maps = p->wish->maps;
	char *ret;

	for (size_t i = 0; i < maps->count; i++) {
		const char *rule = maps->items[i], *equals = strchr(rule, '=');
		size_t len = equals ? (size_t)(equals - rule) : 0;
		const char *rest = strncmp(path, rule, len) == 0 ? path + len
			: strncmp(name, rule, len) == 0 ? name + len : NULL;

		if (!equals || len == 0) {
			oci_fail(err, OCI_E_USAGE, "'%s' is no rule, write --map old/=new/", rule);
			return NULL;
		}
		if (!rest)
			continue;
		ret = oci_str_printf("%s%s", equals + 1, rest);
		if (!ret)
			oci_fail_nomem(err);
		return ret;
	}
	ret = strdup(path);
	if (!ret)
		oci_fail_nomem(err);
	return ret;
}

static int parse_place(const struct placer *p, const struct oci_bundle_image *image, struct oci_reference *ret,
	struct oci_error *err)
{
	oci_autofree char *path = NULL, *text = NULL;

	if (!image->name)
		return oci_fail(err, OCI_E_USAGE,
			"the bundle does not say how the repository of '%s' is called: give HOST/REPO", image->tag ?
			image->tag : "an image");
	path = map_path(p, image->name, err);
	if (!path)
		return -1;
	text = oci_str_printf("%s/%s", p->host, path);
	if (!text)
		return oci_fail_nomem(err);
	return oci_reference_parse(text, ret, err);
}

static bool same_place(const struct oci_reference *a, const struct oci_reference *b)
{
	return a->transport == b->transport && strcmp(a->path, b->path) == 0 &&
		(a->host ? strcmp(a->host, b->host) == 0 : !b->host);
}

static int find_target(struct placer *p, const struct oci_reference *ref, size_t *ret, struct oci_error *err)
{
	struct oci_bundle_targets *targets = p->targets;
	struct oci_bundle_target *items, *target;

	for (*ret = 0; *ret < targets->count; (*ret)++)
		if (same_place(&targets->items[*ret].ref, ref))
			return 0;
	items = oci_grow(targets->items, targets->count, sizeof *items);
	if (!items)
		return oci_fail_nomem(err);
	targets->items = items;
	target = &items[targets->count++];
	oci_graph_init(&target->graph);
	target->ref.transport = ref->transport;
	if (oci_str_set(&target->ref.host, ref->host, err) < 0 || oci_str_set(&target->ref.path, ref->path, err) < 0)
		return -1;
	target->store = oci_copy_open(ref, p->wish->dry_run, p->wish->store, err);
	return target->store ? 0 : -1;
}

/* A signature's tag is looked up by digest and not by the agent. */
static int add_zarf_tag(const struct oci_bundle_image *image, struct oci_bundle_placing *placing, struct oci_error *err)
{
	if (!placing->tag || oci_bundle_image_is_signature(image))
		return 0;
	if (!image->name)
		return oci_fail(err, OCI_E_USAGE,
			"the bundle does not say how the repository of '%s' is called, of which Zarf's tag is made: "
			"use cp --via-zarf --image-name HOST/REPO", image->tag ? image->tag : "an image");
	return oci_zarf_tag(image->name, placing->tag, &placing->zarf_tag, err);
}

static int place(struct placer *p, size_t number, struct oci_error *err)
{
	OCI_CLEANUP(oci_reference_clear) struct oci_reference own = {0};
	const struct oci_bundle_image *image = &p->images->items[number];
	struct oci_bundle_placing *placing = &p->targets->placings[number];
	const char *tag = p->fixed.tag && !oci_bundle_image_is_signature(image) ? p->fixed.tag : image->tag;

	if (p->host && parse_place(p, image, &own, err) < 0)
		return -1;
	if (find_target(p, p->host ? &own : &p->fixed, &placing->target, err) < 0 ||
		oci_str_set(&placing->tag, tag, err) < 0 ||
		(p->wish->via_zarf && add_zarf_tag(image, placing, err) < 0))
		return -1;
	for (size_t i = 0; tag && i < number; i++) {
		const struct oci_bundle_placing *other = &p->targets->placings[i];

		if (other->target == placing->target && other->tag && strcmp(other->tag, tag) == 0 &&
			!oci_digest_equal(&p->images->items[i].root.digest, &image->root.digest))
			return oci_fail(err, OCI_E_USAGE, "two images would be called '%s': tell them apart with --map", tag);
	}
	return 0;
}

int oci_bundle_targets_open(const struct oci_bundle_images *images, const struct oci_bundle_wish *wish,
	struct oci_bundle_targets *ret, struct oci_error *err)
{
	OCI_CLEANUP(placer_clear) struct placer p = {.images = images, .wish = wish, .targets = ret};

	ret->placings = calloc(images->count + 1, sizeof *ret->placings);
	if (!ret->placings)
		return oci_fail_nomem(err);
	if (parse_destination(&p, err) < 0 || (!p.host && check_fixed(&p, err) < 0))
		return -1;
	for (size_t i = 0; i < images->count; i++) {
		ret->placing_count++;
		if (place(&p, i, err) < 0)
			return -1;
	}
	return 0;
}

void oci_bundle_targets_clear(struct oci_bundle_targets *targets)
{
	for (size_t i = 0; i < targets->count; i++) {
		oci_graph_clear(&targets->items[i].graph);
		oci_store_close(targets->items[i].store);
		oci_reference_clear(&targets->items[i].ref);
	}
	for (size_t i = 0; i < targets->placing_count; i++) {
		free(targets->placings[i].tag);
		free(targets->placings[i].zarf_tag);
	}
	free(targets->items);
	free(targets->placings);
	*targets = (struct oci_bundle_targets){0};
}
