/* tag_filter.h - some of a repository's tags: by glob, regular expression, version, age
 *
 *     oci_tag_filter_check(&filter, err);                  once
 *     oci_tag_filter_apply(&filter, &tags, &chosen, err);
 *
 * A tag is chosen when one of `include` fits or there is none, none of `exclude`
 * fits, one of `regex` (POSIX, extended) matches all of it or there is none, and
 * it lies within the range of versions. Of those `newest` are taken, the highest
 * versions first (core/version.h): dates of images that are made reproducibly say
 * nothing. Tags that stand for referrers and signatures, sha256-<hex>, are never
 * chosen: they come and go with what they belong to.
 */
#pragma once

#include "base/str.h"

struct oci_tag_filter {
	struct oci_strings include, exclude; /* globs (base/str.h) */
	struct oci_strings regex;
	const char *semver; /* a range; NULL: any tag. Borrowed */
	uint64_t newest;    /* 0: all */
};

/* OCI_E_USAGE: a pattern or range that is none. */
int oci_tag_filter_check(const struct oci_tag_filter *filter, struct oci_error *err);
/* Adds the chosen ones, the highest version first. */
int oci_tag_filter_apply(const struct oci_tag_filter *filter, const struct oci_strings *tags,
	struct oci_strings *ret, struct oci_error *err);
/* sha256-<64 hex> and what follows that. */
bool oci_tag_filter_is_derived(const char *tag);
/* sha256:<64 hex> of such a tag; false: it is none. */
#define OCI_TAG_SUBJECT_MAX 72
bool oci_tag_filter_subject(const char *tag, char ret[OCI_TAG_SUBJECT_MAX]);
