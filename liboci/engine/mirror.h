/* mirror.h - repositories kept the same in another place, by rules
 *
 *     oci_mirror_plan_read(text, len, &plan, err);            spec/mirror.md
 *     oci_mirror_run(&plan, &options, &report, err);
 *
 * Each rule names a source, a destination, and which repositories and tags. The
 * source says what is right: a tag that moved there is moved at the destination.
 * Both ends are asked for the digest of each tag first, by HEAD; one that is the
 * same is not looked at further, but for referrers that came later. What differs
 * is copied as engine/copy.h does it, children first, the tag last, so a run that
 * was killed leaves nothing half named, and the next one moves only the rest.
 *
 * One failure does not stop the others: it stands in the report. The call itself
 * fails on a cancel and when memory is short.
 *
 * Pruning removes tags of the destination that the rule's filter would choose
 * and the source does not have any more (engine/retain.h). It is refused without
 * `force` when more than `prune_percent` of what the rule has chosen there would
 * go, though one tag always may, and when the source has nothing that is chosen.
 */
#pragma once

#include "engine/copy.h"
#include "engine/tag_filter.h"

#define OCI_MIRROR_PRUNE_PERCENT 25

struct oci_mirror_rule {
	char *name;        /* NULL: the source */
	char *source;      /* a reference; with repositories HOST or HOST/PREFIX */
	char *destination; /* likewise */
	struct oci_strings repositories;         /* globs and names, relative to the source; none: it is one */
	struct oci_strings exclude_repositories; /* globs */
	struct oci_tag_filter tags; /* its range of versions is `semver` */
	char *semver;
	char *platform;    /* NULL: all */
	bool referrers;
	bool via_zarf;     /* Zarf's tag, too (engine/zarf.h) */
	bool prune;
	uint64_t prune_percent;
};

struct oci_mirror_plan {
	struct oci_mirror_rule *rules;
	size_t rule_count;
	uint64_t limit_rate; /* bytes a second, 0: not said */
	uint64_t jobs;       /* 0: not said */
};

/* A rule with the defaults, appended; borrowed until the next. */
struct oci_mirror_rule *oci_mirror_plan_add(struct oci_mirror_plan *plan, struct oci_error *err);
/* A YAML document as spec/mirror.md has it. OCI_E_FORMAT, OCI_E_USAGE. */
int oci_mirror_plan_read(const char *text, size_t len, struct oci_mirror_plan *ret, struct oci_error *err);
/* Can each rule be followed, as far as that is known without asking? OCI_E_USAGE. */
int oci_mirror_plan_check(const struct oci_mirror_plan *plan, struct oci_error *err);
void oci_mirror_plan_clear(struct oci_mirror_plan *plan);

enum oci_mirror_state {
	OCI_MIRROR_UNCHANGED,
	OCI_MIRROR_COPIED,
	OCI_MIRROR_REMOVED,
	OCI_MIRROR_FAILED,
};

struct oci_mirror_entry {
	const struct oci_mirror_rule *rule;
	char *source, *destination; /* HOST/REPO:TAG; NULL: none. A failure may be a repository's or a rule's */
	enum oci_mirror_state state;
	struct oci_digest digest, destination_digest; /* alg 0: not known */
	uint64_t bytes_sent, bytes_mounted;
	struct oci_error err;
};

struct oci_mirror_report {
	struct oci_mirror_entry *items;
	size_t count;
	size_t by_state[OCI_MIRROR_FAILED + 1];
	uint64_t bytes_sent, bytes_mounted;
};

/* An object that was looked at for an entry: what the audit is made of. */
struct oci_mirror_object {
	const struct oci_mirror_entry *entry;
	const char *kind; /* tag manifest config layer */
	struct oci_digest source_digest, destination_digest; /* alg 0: none */
	uint64_t size_bytes;
	const char *state; /* copied unchanged removed failed sent mounted exists */
};

struct oci_mirror_options {
	const struct oci_store_options *from, *to;
	bool force, dry_run;
	unsigned jobs;
	void (*on_object)(void *ctx, const struct oci_mirror_object *object); /* NULL: nobody listens */
	void *ctx;
	const struct oci_observer *observer;
	const atomic_int *cancel;
};

int oci_mirror_run(const struct oci_mirror_plan *plan, const struct oci_mirror_options *options,
	struct oci_mirror_report *ret, struct oci_error *err);
void oci_mirror_report_clear(struct oci_mirror_report *report);
