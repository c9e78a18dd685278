/* mirror_place.h - the pairs of repositories that a rule stands for; private to mirror
 *
 * A rule without repositories is one pair: two references, whose tags may be
 * given. With repositories both ends are a registry's host or a prefix within
 * it, or at the destination a directory of layouts, and each name found is added
 * to both.
 */
#pragma once

#include "engine/mirror.h"

struct oci_mirror_place {
	struct oci_reference from, to; /* without tag, which is beside */
	char *from_tag, *to_tag;       /* NULL: the tags are listed; the same as at the source */
	char *below; /* what was added to both ends; NULL: nothing */
};

struct oci_mirror_places {
	struct oci_mirror_place *items;
	size_t count;
};

/* As far as that is known without asking. OCI_E_USAGE. */
int oci_mirror_places_check(const struct oci_mirror_rule *rule, struct oci_error *err);
/* Asks the source for its repositories if there is a glob among the rule's. */
int oci_mirror_places_find(const struct oci_mirror_rule *rule, const struct oci_store_options *from,
	struct oci_mirror_places *ret, struct oci_error *err);
/* HOST/REPO:TAG, or without a tag. The caller frees; NULL: out of memory. */
char *oci_mirror_place_text(const struct oci_reference *ref, const char *tag);
void oci_mirror_places_clear(struct oci_mirror_places *places);
