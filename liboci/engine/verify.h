/* verify.h - is a tree, or an image in a store, what its digests say?
 *
 *     oci_verify_tree("model", &listing, jobs, ..., &report, err);   fails only when it cannot look
 *     report.differences.count == 0: every byte is proven
 *
 * A tree is proven layer by layer where a whole layer in our format is there:
 * headers, data and padding are hashed as the layer they came from. Other
 * files are hashed alone. Files that should not be there are differences too;
 * our own state (".modelcar*" at the root) and a volume's "lost+found" and ".snapshot"
 * are not files of the model.
 *
 * In a directory without a record, a link to a file inside it, or inside the
 * Hugging Face cache that it is a part of, stands for that file, as it does for
 * pack. A link to a directory does not.
 */
#pragma once

#include "engine/diff.h"
#include "store/store.h"

struct oci_verify_report {
	size_t file_count, blob_count;
	uint64_t bytes; /* hashed */
	struct oci_differences differences;
};

int oci_verify_tree(const char *path, const struct oci_listing *want, unsigned jobs,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_verify_report *ret,
	struct oci_error *err);

struct oci_record;
/* The tree of this record by sizes, times and link targets. Only files that were touched since the
 * record was put there are read and hashed, so that who sets times back is found out as well. */
int oci_verify_quick(const char *path, const struct oci_record *record, unsigned jobs,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_verify_report *ret, struct oci_error *err);

/* Lists the files of a directory, without the record's help; with `digests`
 * each is hashed. */
int oci_verify_list(const char *path, bool digests, unsigned jobs, const struct oci_observer *observer,
	const atomic_int *cancel, struct oci_listing *ret, struct oci_error *err);

/* Every manifest, config and layer that a reference leads to, each once, and
 * the checkpoints of our own index layers against the layers they describe.
 * Fails with OCI_E_DIGEST, OCI_E_NOT_FOUND or OCI_E_FORMAT at the first that is not right. */
int oci_verify_image(struct oci_store *store, const char *name, unsigned jobs, const struct oci_observer *observer,
	const atomic_int *cancel, struct oci_verify_report *ret, struct oci_error *err);

void oci_verify_report_clear(struct oci_verify_report *report);
