#include "engine/mirror_place.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/grow.h"
#include "engine/zarf.h"
#include "store/registry.h"

static bool is_glob(const char *text)
{
	return strpbrk(text, "*?[") != NULL;
}

/* HOST or HOST/PREFIX without schemes; false: it is no registry. The prefix may be "". */
static bool split_registry(const char *text, const char **host, size_t *host_len, const char **prefix)
{
	static const char *const schemes[] = {"docker://", "oci://"};

	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (oci_str_starts(text, schemes[i])) {
			text += strlen(schemes[i]);
			break;
		}
	*host = text;
	*host_len = strcspn(text, "/");
	*prefix = text + *host_len + (text[*host_len] == '/');
	return !oci_str_starts(text, "oci:") && !oci_str_starts(text, "bundle:") && !strstr(text, "-archive:") &&
		*host_len > 0;
}

static int check_destination(const struct oci_reference *ref, struct oci_error *err)
{
	if (ref->transport != OCI_TRANSPORT_REGISTRY && ref->transport != OCI_TRANSPORT_LAYOUT)
		return oci_fail(err, OCI_E_USAGE,
			"a destination is a registry or a layout, for archives and bundles are written whole");
	if (ref->digest.alg)
		return oci_fail(err, OCI_E_USAGE, "a destination is written by tag, not by digest");
	return 0;
}

static int parse_place(const char *from, const char *to, struct oci_mirror_place *place, struct oci_error *err)
{
	if (oci_reference_parse(from, &place->from, err) < 0 || oci_reference_parse(to, &place->to, err) < 0 ||
		check_destination(&place->to, err) < 0)
		return -1;
	place->from_tag = oci_steal(&place->from.tag);
	place->to_tag = oci_steal(&place->to.tag);
	if (place->from.digest.alg && !place->to_tag)
		return oci_fail(err, OCI_E_USAGE, "what is named by a digest needs a tag at the destination");
	if (place->to_tag && !place->from_tag && !place->from.digest.alg)
		return oci_fail(err, OCI_E_USAGE, "the destination has a tag and the source, whose tags are many, has none");
	return 0;
}

static void place_clear(struct oci_mirror_place *place)
{
	oci_reference_clear(&place->from);
	oci_reference_clear(&place->to);
	free(place->from_tag);
	free(place->to_tag);
	free(place->below);
}

static int add(struct oci_mirror_places *places, const char *from, const char *to, const char *below,
	struct oci_error *err)
{
	OCI_CLEANUP(place_clear) struct oci_mirror_place place = {0};
	struct oci_mirror_place *items;

	if (parse_place(from, to, &place, err) < 0 || oci_str_set(&place.below, below, err) < 0)
		return -1;
	items = oci_grow(places->items, places->count, sizeof *items);
	if (!items)
		return oci_fail_nomem(err);
	places->items = items;
	items[places->count++] = place;
	place = (struct oci_mirror_place){0};
	return 0;
}

static int add_named(struct oci_mirror_places *places, const struct oci_mirror_rule *rule, const char *name,
	struct oci_error *err)
{
	oci_autofree char *from = oci_str_printf("%s/%s", rule->source, name);
	oci_autofree char *to = oci_str_printf("%s/%s", rule->destination, name);

	return from && to ? add(places, from, to, name, err) : oci_fail_nomem(err);
}

static bool is_excluded(const struct oci_mirror_rule *rule, const char *name)
{
	for (size_t i = 0; i < rule->exclude_repositories.count; i++)
		if (oci_str_glob(rule->exclude_repositories.items[i], name))
			return true;
	return false;
}

static bool is_wanted(const struct oci_mirror_rule *rule, const char *name)
{
	for (size_t i = 0; i < rule->repositories.count; i++)
		if (is_glob(rule->repositories.items[i]) && oci_str_glob(rule->repositories.items[i], name))
			return true;
	return false;
}

static bool needs_catalog(const struct oci_mirror_rule *rule)
{
	for (size_t i = 0; i < rule->repositories.count; i++)
		if (is_glob(rule->repositories.items[i]))
			return true;
	return false;
}

static int add_listed(struct oci_mirror_places *places, const struct oci_mirror_rule *rule,
	const struct oci_store_options *options, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings names = {0};
	oci_autofree char *host = NULL;
	const char *start, *prefix;
	size_t host_len, prefix_len;

	split_registry(rule->source, &start, &host_len, &prefix);
	prefix_len = strlen(prefix);
	host = strndup(start, host_len);
	if (!host)
		return oci_fail_nomem(err);
	if (oci_registry_catalog(host, options, &names, err) < 0)
		return oci_fail_side(err, OCI_SIDE_SOURCE);
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.items[i];
		bool below = prefix_len == 0 || (oci_str_starts(name, prefix) && name[prefix_len] == '/');

		name += below && prefix_len ? prefix_len + 1 : 0;
		if (below && is_wanted(rule, name) && !is_excluded(rule, name) &&
			!oci_strings_has(&rule->repositories, name) && add_named(places, rule, name, err) < 0)
			return -1;
	}
	return 0;
}

int oci_mirror_places_find(const struct oci_mirror_rule *rule, const struct oci_store_options *from,
	struct oci_mirror_places *ret, struct oci_error *err)
{
	if (rule->repositories.count == 0)
		return add(ret, rule->source, rule->destination, NULL, err);
	for (size_t i = 0; i < rule->repositories.count; i++)
		if (!is_glob(rule->repositories.items[i]) && add_named(ret, rule, rule->repositories.items[i], err) < 0)
			return -1;
	return needs_catalog(rule) ? add_listed(ret, rule, from, err) : 0;
}

int oci_mirror_places_check(const struct oci_mirror_rule *rule, struct oci_error *err)
{
	OCI_CLEANUP(oci_mirror_places_clear) struct oci_mirror_places places = {0};
	const char *host, *prefix;
	size_t host_len;

	if (!rule->source || !rule->destination)
		return oci_fail(err, OCI_E_USAGE, "a rule needs a source and a destination");
	if (rule->repositories.count == 0) {
		oci_autofree char *image = NULL;

		if (add(&places, rule->source, rule->destination, NULL, err) < 0)
			return -1;
		image = rule->via_zarf ? oci_zarf_image(&places.items[0].from, err) : NULL;
		return rule->via_zarf && !image ? -1 : 0;
	}
	if (!split_registry(rule->source, &host, &host_len, &prefix))
		return oci_fail(err, OCI_E_USAGE, "repositories are those of a registry, HOST or HOST/PREFIX");
	return add_named(&places, rule, is_glob(rule->repositories.items[0]) ? "x" : rule->repositories.items[0], err);
}

char *oci_mirror_place_text(const struct oci_reference *ref, const char *tag)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, 64 * OCI_KIB);
	if (oci_reference_format(ref, &text, NULL) < 0)
		return NULL;
	return tag ? oci_str_printf("%s:%s", oci_buf_text(&text), tag) : strdup(oci_buf_text(&text));
}

void oci_mirror_places_clear(struct oci_mirror_places *places)
{
	for (size_t i = 0; i < places->count; i++)
		place_clear(&places->items[i]);
	free(places->items);
	*places = (struct oci_mirror_places){0};
}
