/* retain.h - tags and images that go, without taking those that stay
 *
 *     oci_retain_remove(store, &gone, &options, &report, err);
 *
 * A tag is removed alone where the place can do that. Registries before
 * distribution 3 remove manifests by digest only, with every tag that names
 * them: there a tag goes with its manifest when no other tag stands for the same
 * one, and is kept and reported otherwise. With an image that no tag names any
 * more go the tags sha256-<hex> of its signatures and referrers. Blobs stay
 * until the registry collects its garbage.
 *
 * A failure of one tag stands in the report and does not stop the others; the
 * call fails when nothing can be known (the tags cannot be listed), and on a
 * cancel.
 */
#pragma once

#include "store/store.h"

struct oci_retain_options {
	bool dry_run;
	const struct oci_observer *observer;
	const atomic_int *cancel;
};

struct oci_retain_tag {
	char *tag;               /* or a digest text */
	struct oci_digest digest; /* alg 0: it was not there */
	bool derived;            /* of a signature or referrer, went with its image */
	bool removed;            /* also: would be, in a dry run; was not there */
	struct oci_error err;    /* when it is not */
};

struct oci_retain_report {
	struct oci_retain_tag *items;
	size_t count;
	size_t removed, failed;
};

/* `gone`: tags and digest texts of the repository. */
int oci_retain_remove(struct oci_store *store, const struct oci_strings *gone, const struct oci_retain_options *options,
	struct oci_retain_report *ret, struct oci_error *err);
void oci_retain_report_clear(struct oci_retain_report *report);
