/* mirror_job.h - one run of a mirror, and what it finds; private to mirror */
#pragma once

#include "engine/mirror_place.h"

struct oci_mirror_job {
	const struct oci_mirror_plan *plan;
	const struct oci_mirror_options *options;
	struct oci_mirror_report *report;
};

/* An entry of the report, counted when it is ended. The texts are the place's,
 * with the tags where there are any; borrowed until the next. */
struct oci_mirror_entry *oci_mirror_job_add(struct oci_mirror_job *job, const struct oci_mirror_rule *rule,
	const struct oci_mirror_place *place, const char *from_tag, const char *to_tag, struct oci_error *err);
/* Counts it and tells the audit: the entry itself, and the objects of a copy (NULL: none). */
void oci_mirror_job_end(struct oci_mirror_job *job, struct oci_mirror_entry *entry, enum oci_mirror_state state,
	const struct oci_copy_report *copied);
/* A failure of all the place, or of the rule (place NULL). 0, unless it ends the run: a
 * cancel, no memory. */
int oci_mirror_job_fail(struct oci_mirror_job *job, const struct oci_mirror_rule *rule,
	const struct oci_mirror_place *place, const struct oci_error *failure, struct oci_error *err);
/* Is that a failure that ends everything? Then it is moved to `err`. */
bool oci_mirror_job_ends(const struct oci_error *failure, struct oci_error *err);

/* One pair of repositories, its failures in the report. */
int oci_mirror_repository(struct oci_mirror_job *job, const struct oci_mirror_rule *rule,
	const struct oci_mirror_place *place, struct oci_error *err);
/* Removes what `chosen`, the source's tags, does not have. */
int oci_mirror_prune(struct oci_mirror_job *job, const struct oci_mirror_rule *rule,
	const struct oci_mirror_place *place, struct oci_store *to, const struct oci_strings *chosen,
	struct oci_error *err);
