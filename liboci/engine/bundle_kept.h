/* bundle_kept.h - what a load keeps between two disks
 *
 * A blob that is cut by the end of a part which is here and whose other end is
 * not cannot go to the destination yet. Its bytes wait in a directory of the
 * load's own, DIR/load-<32 hex>, together with the numbers of the parts that
 * are taken: every byte of theirs is at the destination or waits there. A
 * part is hashed before its bytes are kept, and a blob when it is sent.
 *
 *     oci_bundle_kept_open(&kept, state_dir, &set, "zot.inside", err);
 *     store = oci_store_bundle_set(&set, &kept.fill, err);     reads both
 *     oci_bundle_kept_save(&kept, &blob, err);                 for each that waits
 *     oci_bundle_kept_commit(&kept, err);                      the parts that are here are taken
 *     oci_bundle_kept_remove(&kept);                           all is done
 *     oci_bundle_kept_close(&kept);
 */
#pragma once

#include "store/bundle.h"

#define OCI_BUNDLE_KEPT_NAME_MAX 64

struct oci_bundle_kept {
	struct oci_bundle_set *set; /* borrowed */
	struct oci_bundle_fill fill;
	char *state_dir; /* NULL: nothing can be kept */
	char name[OCI_BUNDLE_KEPT_NAME_MAX];
	int dir;      /* -1: nothing is kept yet */
	bool *taken;  /* parts.count of them */
};

/* `to` is the destination in words: another one has another state. */
int oci_bundle_kept_open(struct oci_bundle_kept *kept, const char *state_dir, struct oci_bundle_set *set,
	const char *to, struct oci_error *err);
/* In how many pieces are bytes of a blob neither here nor kept? Sets those parts in `wanted` (may be NULL). */
size_t oci_bundle_kept_missing(const struct oci_bundle_kept *kept, const struct oci_bundle_blob *blob, bool *wanted);
/* Sets those parts in `here` that are here and hold bytes of it. */
void oci_bundle_kept_parts(const struct oci_bundle_kept *kept, const struct oci_bundle_blob *blob, bool *here);
/* Its bytes that are here, if any. The caller has checked those parts. */
int oci_bundle_kept_save(struct oci_bundle_kept *kept, const struct oci_bundle_blob *blob, struct oci_error *err);
/* It is at the destination, or what was kept of it is no good. */
void oci_bundle_kept_forget(const struct oci_bundle_kept *kept, const struct oci_bundle_blob *blob);
int oci_bundle_kept_commit(struct oci_bundle_kept *kept, struct oci_error *err);
void oci_bundle_kept_remove(struct oci_bundle_kept *kept);
void oci_bundle_kept_close(struct oci_bundle_kept *kept);
