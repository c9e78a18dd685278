#include "engine/gc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/gc_job.h"
#include "engine/record.h"

#define STATE_PREFIX ".modelcar"
#define STATE_SUFFIX ".part"
#define GROUP_LEN (sizeof ".modelcar.01234567" - 1) /* of one destination */
#define HOUR_S 3600

/* what stays */

static void stay(struct oci_gc_item *item, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void stay(struct oci_gc_item *item, const char *format, ...)
{
	va_list args;

	if (*item->why)
		return;
	va_start(args, format);
	vsnprintf(item->why, sizeof item->why, format, args);
	va_end(args);
}

static uint64_t age_s(const struct gc *gc, time_t time)
{
	return gc->now > time ? (uint64_t)(gc->now - time) : 0;
}

static void stay_young(struct oci_gc_item *item, uint64_t limit_s)
{
	if (limit_s >= HOUR_S)
		stay(item, "it is younger than %llu h", (unsigned long long)(limit_s / HOUR_S));
	else
		stay(item, "it is younger than %llu s", (unsigned long long)limit_s);
}

/* The last change of anything that belongs to the same destination; a tree that was
 * moved aside belongs to nobody who is at work. */
static time_t group_time(const struct gc *gc, const struct oci_gc_item *item)
{
	time_t latest = item->time;

	if (oci_str_ends(item->name, ".old.part"))
		return latest;
	for (size_t i = 0; i < gc->report.count; i++) {
		const struct oci_gc_item *other = &gc->report.items[i];

		if (!other->is_version && strncmp(other->name, item->name, GROUP_LEN) == 0 &&
			!oci_str_ends(other->name, ".old.part") && other->time > latest)
			latest = other->time;
	}
	return latest;
}

static uint64_t leftover_limit_s(const struct gc *gc)
{
	return gc->options->min_age_s > GC_LIVE_S ? gc->options->min_age_s : GC_LIVE_S;
}

static bool is_worked_on(const struct gc *gc, const char *version)
{
	for (size_t i = 0; i < gc->report.count; i++) {
		const struct oci_gc_item *item = &gc->report.items[i];

		if (!item->is_version && *item->name == '.' && item->name[1] != '.' && gc_is_state_of(item->name, version) &&
			age_s(gc, item->time) < leftover_limit_s(gc))
			return true;
	}
	return false;
}

static size_t keep_count(const struct gc *gc)
{
	return gc->options->keep > OCI_GC_KEEP_MIN ? gc->options->keep : OCI_GC_KEEP_MIN;
}

/* By whatever path: a version's name is like no other. */
static bool is_linked(const struct gc *gc, const char *version)
{
	for (size_t i = 0; i < gc->links.count; i++)
		if (strstr(gc->links.items[i], version))
			return true;
	return false;
}

static void decide(struct gc *gc)
{
	size_t newer = 0;

	for (size_t i = 0; i < gc->report.count; i++) {
		struct oci_gc_item *item = &gc->report.items[i];

		if (!item->is_version) {
			if (age_s(gc, group_time(gc, item)) < leftover_limit_s(gc))
				stay_young(item, leftover_limit_s(gc));
			continue;
		}
		if (is_linked(gc, item->name))
			stay(item, "a link leads to it");
		if (item->digest.alg && newer++ < keep_count(gc))
			stay(item, "it is one of the %zu newest", keep_count(gc));
		if (age_s(gc, item->time) < gc->options->min_age_s)
			stay_young(item, gc->options->min_age_s);
		if (is_worked_on(gc, item->name))
			stay(item, "a pull is at work on it");
	}
}

/* what goes */

static uint64_t free_bytes(const struct gc *gc)
{
	struct statvfs vfs;

	return fstatvfs(gc->dir, &vfs) < 0 ? 0 : (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

/* Of files that are open on this machine a server over NFS leaves a name. */
static int only_busy(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	const char *base = strrchr(path, '/');

	return S_ISDIR(st->st_mode) || oci_str_starts(base ? base + 1 : path, ".nfs") ? 0 : -1;
}

static int remove_hidden(struct gc *gc, int dir, const char *name, struct oci_gc_item *item, struct oci_error *err)
{
	oci_autoclose int left = -1;
	struct oci_error why = {0};

	if (oci_fs_remove_tree(dir, name, &why) == 0)
		return 0;
	left = oci_fs_open_dir_beneath(dir, name, NULL);
	if (left < 0 || oci_fs_walk(left, only_busy, NULL, NULL) < 0) {
		if (err)
			*err = why;
		return -1;
	}
	oci_event_note(gc->options->observer, "'%s' is gone, but a program has files of it open: '%s' goes with the next run",
		item->name, name);
	return 0;
}

/* Out of sight first; a pull may have made it current since we looked. */
static int remove_version(struct gc *gc, struct oci_gc_item *item, struct oci_error *err)
{
	char hidden[64], beside[OCI_RECORD_BESIDE_MAX];

	if (oci_fs_temp_name(STATE_PREFIX, STATE_SUFFIX, hidden, sizeof hidden, err) < 0)
		return -1;
	if (renameat(gc->dir, item->name, gc->dir, hidden) < 0)
		return oci_fs_fail(err, errno, "remove", item->name);
	if (gc_read_links(gc, err) < 0 || is_linked(gc, item->name)) {
		(void)renameat(gc->dir, hidden, gc->dir, item->name);
		stay(item, "a link leads to it");
		return 0;
	}
	(void)unlinkat(gc->dir, oci_record_beside(item->name, beside), 0); /* of a Triton model */
	return remove_hidden(gc, gc->dir, hidden, item, err);
}

static void remove_item(struct gc *gc, struct oci_gc_item *item)
{
	const char *name;
	int dir = gc_place(gc, item, &name);
	int rc = 0;

	if (!gc->options->dry_run)
		rc = item->is_version ? remove_version(gc, item, &item->err)
				      : remove_hidden(gc, dir, name, item, &item->err);
	if (rc < 0 || *item->why)
		return;
	item->goes = true;
	gc->report.gone_count++;
	gc->report.gone_bytes += item->bytes;
}

static bool is_cancelled(const struct gc *gc)
{
	return gc->options->cancel && atomic_load(gc->options->cancel) != 0;
}

/* Of a dry run what would be free. */
static uint64_t free_by_now(const struct gc *gc)
{
	return free_bytes(gc) + (gc->options->dry_run ? gc->report.gone_bytes : 0);
}

/* Leftovers first, nobody reads them; then versions, the oldest first. */
static int collect(struct gc *gc, struct oci_error *err)
{
	for (size_t i = gc->report.count; i > 0; i--) {
		struct oci_gc_item *item = &gc->report.items[i - 1];

		if (is_cancelled(gc))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled; what is removed is removed whole, run again");
		if (*item->why)
			continue;
		if (item->is_version && gc->options->free_bytes > 0 && free_by_now(gc) >= gc->options->free_bytes)
			stay(item, "enough is free");
		else
			remove_item(gc, item);
	}
	gc->report.free_bytes = free_by_now(gc);
	return 0;
}

static int verdict(const struct gc *gc, struct oci_error *err)
{
	const struct oci_gc_item *failed = NULL;
	char have[OCI_STR_SIZE_MAX], want[OCI_STR_SIZE_MAX];
	size_t count = 0;

	for (size_t i = 0; i < gc->report.count; i++) {
		if (!gc->report.items[i].err.code)
			continue;
		failed = failed ? failed : &gc->report.items[i];
		count++;
	}
	if (failed)
		return oci_fail(err, gc->report.gone_count ? OCI_E_PARTIAL : failed->err.code,
			"%zu could not be removed, the first '%s': %s", count, failed->name, failed->err.text);
	if (gc->report.free_bytes >= gc->options->free_bytes)
		return 0;
	return oci_fail(err, OCI_E_NOSPACE, "'%s' has %s free and not %s, and nothing else may go; enlarge the volume, or "
		"keep less", gc->options->dir, oci_str_size(gc->report.free_bytes, have),
		oci_str_size(gc->options->free_bytes, want));
}

static void clear(struct gc *gc)
{
	oci_cleanup_close(&gc->dir);
	oci_cleanup_close(&gc->beside);
	free(gc->name);
	oci_strings_clear(&gc->links);
	oci_gc_report_clear(&gc->report);
}

int oci_gc(const struct oci_gc_options *options, struct oci_gc_report *ret, struct oci_error *err)
{
	OCI_CLEANUP(clear) struct gc gc = {.options = options, .dir = -1, .beside = -1};
	int rc;

	gc.now = options->now ? options->now : time(NULL);
	gc.dir = oci_fs_open_dir(options->dir, err);
	if (gc.dir < 0)
		return -1;
	if (gc_scan(&gc, err) < 0)
		return oci_wrap(err, "'%s'", options->dir);
	decide(&gc);
	if (collect(&gc, err) < 0)
		return -1;
	rc = verdict(&gc, err);
	*ret = gc.report;
	gc.report = (struct oci_gc_report){0};
	return rc;
}

void oci_gc_report_clear(struct oci_gc_report *report)
{
	for (size_t i = 0; i < report->count; i++)
		free(report->items[i].name);
	free(report->items);
	*report = (struct oci_gc_report){0};
}
