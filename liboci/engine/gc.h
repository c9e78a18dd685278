/* gc.h - room on a volume: versions and leftovers that nobody needs any more
 *
 *     struct oci_gc_options options = {.dir = "/mnt/models", .keep = 2, .min_age_s = OCI_GC_MIN_AGE_S};
 *     struct oci_gc_report report = {0};
 *     oci_gc(&options, &report, err);
 *     for each report.items[i]: name, goes, why it stays, err
 *     oci_gc_report_clear(&report);
 *
 * `dir` is what a pull was given as its destination, or holds such trees.
 *
 * Versions are its directories "sha256-<12 hex>" with a record. Some always stay:
 * the one that "current", or any other link in `dir`, leads to; the `keep` newest,
 * by the time their record was written; what is younger than `min_age_s`; what a
 * pull is at work on; what holds a ".nfs" file, which a program of this machine
 * has open. Of the others all go, or, where `free_bytes` says how much is to be
 * free, the oldest until it is. A version without a record may be anybody's and
 * stays.
 *
 * Leftovers (".modelcar.<...>.part") are what pulls that were killed have staged,
 * and the tree that a swap replaced; those of a tree at `dir` itself lie beside it.
 * They go when nothing of the same destination, its lease included, has changed for
 * `min_age_s`, and for two minutes at least: a pull that is at work changes its
 * lease more often.
 *
 * A version goes from sight by one rename, so that no reader finds half of it; one
 * that holds it open reads on as far as it has files open.
 *
 * Errors: OCI_E_NOT_FOUND, OCI_E_NOSPACE (`free_bytes` was not reached; the text
 * says what is free), OCI_E_PARTIAL (something could not be removed; where nothing could,
 * what kept the first). With these the report is filled, too.
 */
#pragma once

#include <stdatomic.h>
#include <time.h>

#include "base/event.h"
#include "core/digest.h"

#define OCI_GC_KEEP_MIN 2
#define OCI_GC_MIN_AGE_S (24 * 3600)
#define OCI_GC_WHY_MAX 128

struct oci_gc_options {
	const char *dir;
	size_t keep;         /* below OCI_GC_KEEP_MIN it is that */
	uint64_t free_bytes; /* 0: all that may go */
	uint64_t min_age_s;
	bool dry_run;        /* look, and remove nothing */
	time_t now;          /* 0: the clock's */
	const struct oci_observer *observer;
	const atomic_int *cancel;
};

struct oci_gc_item {
	char *name;               /* in `dir`; "../<name>" lies beside it */
	bool is_version;          /* else a leftover */
	bool goes;                /* it was removed, or would be */
	char why[OCI_GC_WHY_MAX]; /* it stays; "" when it goes */
	struct oci_error err;     /* it could not be removed whole */
	struct oci_digest digest; /* of a version's image */
	uint64_t bytes;           /* that it alone takes: files shared with other trees do not count */
	time_t time;              /* published, or changed last */
};

struct oci_gc_report {
	struct oci_gc_item *items; /* versions, newest first, then leftovers */
	size_t count, gone_count;
	uint64_t gone_bytes;
	uint64_t free_bytes;       /* on the volume, afterwards */
};

int oci_gc(const struct oci_gc_options *options, struct oci_gc_report *ret, struct oci_error *err);
void oci_gc_report_clear(struct oci_gc_report *report);
