/* dest.h - a directory as the user names it, also as a claim of Kubernetes
 *
 *     struct pull_flags { struct dest_flags dest; ... };
 *     DEST_GROUP(struct pull_flags, dest)
 *     oci_autofree char *path = dest_path(&flags->dest, inv->operands[1], err);
 *
 * pvc://[NAMESPACE:]NAME/PATH is PATH in a persistent volume claim, the way
 * serving platforms write it. The claim must be mounted at PVC_ROOT/NAME, or at
 * PVC_ROOT/NAMESPACE/NAME when the namespace is given. Names are those of
 * Kubernetes; PATH is required, clean (base/fs.h) and leads through no link, but
 * its last component may be a link to a name beside it, as "current" is. It need
 * not exist yet. Everything else is a path and stays as it is.
 *
 * Errors: OCI_E_USAGE (not of this form, leads out of the claim, or no root: then
 * with what to do), OCI_E_NOT_FOUND (the claim is
 * not mounted there).
 */
#pragma once

#include "opt.h"

struct dest_flags {
	const char *pvc_root;
};
extern const struct opt dest_opts[];
extern const char *const dest_publish_modes[]; /* choices for an enum oci_publish */
int dest_publish_find(const char *name);      /* its number; -1: there is no such mode */
#define DEST_GROUP(s, f) {.title = "Destination options", .opts = dest_opts, .field = offsetof(s, f)}

/* The caller's to free; NULL on failure. */
char *dest_path(const struct dest_flags *flags, const char *text, struct oci_error *err);

bool dest_is_claim(const char *text); /* begins with pvc:// */

struct dest_claim {
	char *owner; /* the namespace; NULL: not said */
	char *name;
	char *path; /* in the claim */
};
int dest_claim_parse(const char *text, struct dest_claim *ret, struct oci_error *err);
void dest_claim_clear(struct dest_claim *claim);

/* Names of Kubernetes' objects: a DNS label (63 bytes, no dots), a DNS subdomain (253, dots). */
bool dest_is_label(const char *text);
bool dest_is_subdomain(const char *text);

/* By their components: "." and empty ones count for nothing, links are not followed. */
bool dest_is_at_or_below(const char *path, const char *top);

/* Make the directories above `path` that are missing. */
int dest_make_parents(const char *path, struct oci_error *err);
