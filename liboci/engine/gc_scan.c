/* What lies there. */
#include "engine/gc_job.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mount.h"
#include "engine/record.h"
#include "engine/stage.h"

#define ITEMS_MAX 100000
#define VERSION_PREFIX "sha256-"
#define VERSION_HEX 12
#define STATE_PREFIX ".modelcar."
#define STATE_SUFFIX ".part"
#define BESIDE "../"
#define BLOCK_BYTES 512 /* what st_blocks counts, whatever the file system */

static bool is_version(const char *name)
{
	return oci_str_starts(name, VERSION_PREFIX) &&
		strspn(name + strlen(VERSION_PREFIX), "0123456789abcdef") == VERSION_HEX &&
		name[strlen(VERSION_PREFIX) + VERSION_HEX] == '\0';
}

static bool is_state(const char *name)
{
	return oci_str_starts(name, STATE_PREFIX) && oci_str_ends(name, STATE_SUFFIX);
}

bool gc_is_state_of(const char *item, const char *name)
{
	char prefix[OCI_STAGE_NAME_MAX];

	oci_stage_dest_name(name, "", prefix); /* ".modelcar.<8 hex>..part" */
	prefix[strlen(prefix) - strlen("." STATE_SUFFIX) + 1] = '\0';
	return oci_str_starts(item, prefix);
}

int gc_place(const struct gc *gc, const struct oci_gc_item *item, const char **name)
{
	bool beside = oci_str_starts(item->name, BESIDE);

	*name = item->name + (beside ? strlen(BESIDE) : 0);
	return beside ? gc->beside : gc->dir;
}

static struct oci_gc_item *add(struct gc *gc, const char *where, const char *name, struct oci_error *err)
{
	struct oci_gc_report *report = &gc->report;
	struct oci_gc_item *item;

	if (report->count == ITEMS_MAX) {
		oci_fail(err, OCI_E_UNSUPPORTED, "more than %d entries", ITEMS_MAX);
		return NULL;
	}
	if (report->count == gc->capacity) {
		size_t more = gc->capacity ? 2 * gc->capacity : 16;
		struct oci_gc_item *grown = reallocarray(report->items, more, sizeof *grown);

		if (!grown) {
			oci_fail_nomem(err);
			return NULL;
		}
		report->items = grown;
		gc->capacity = more;
	}
	item = &report->items[report->count];
	*item = (struct oci_gc_item){.name = oci_str_printf("%s%s", where, name)};
	if (!item->name) {
		oci_fail_nomem(err);
		return NULL;
	}
	report->count++;
	return item;
}

/* size and time */

struct measure {
	struct oci_gc_item *item;
	bool is_version;
};

static int measure_entry(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	const struct measure *m = ctx;
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	if (!S_ISDIR(st->st_mode) && st->st_nlink < 2)
		m->item->bytes += (uint64_t)st->st_blocks * BLOCK_BYTES;
	if (!m->is_version && st->st_mtime > m->item->time)
		m->item->time = st->st_mtime;
	if (m->is_version && oci_str_starts(base, ".nfs") && !*m->item->why)
		snprintf(m->item->why, sizeof m->item->why, "a program has a removed file of it open ('%.64s')", base);
	return 0;
}

/* Its owner may be at work in it, so what goes away meanwhile is no failure. */
static void measure(int dir, const char *name, const struct stat *st, bool version, struct oci_gc_item *item)
{
	struct measure m = {item, version};
	oci_autoclose int inner = -1;

	if (S_ISDIR(st->st_mode))
		inner = oci_fs_open_dir_beneath(dir, name, NULL);
	else if (st->st_nlink < 2)
		item->bytes = (uint64_t)st->st_blocks * BLOCK_BYTES;
	if (inner >= 0)
		(void)oci_fs_walk(inner, measure_entry, &m, NULL);
}

static bool read_record(int dir, const char *name, struct oci_record *record, struct stat *written)
{
	return oci_record_read(dir, name, record, NULL) == 0 && fstatat(dir, name, written, AT_SYMLINK_NOFOLLOW) == 0;
}

static int take_version(struct gc *gc, const char *name, const struct stat *st, struct oci_error *err)
{
	OCI_CLEANUP(oci_record_clear) struct oci_record record = {0};
	struct oci_gc_item *item = add(gc, "", name, err);
	oci_autoclose int tree = oci_fs_open_dir_beneath(gc->dir, name, NULL);
	char beside[OCI_RECORD_BESIDE_MAX];
	struct stat written;

	if (!item)
		return -1;
	item->is_version = true;
	if (tree < 0 || (!read_record(tree, OCI_RECORD_NAME, &record, &written) &&
				!read_record(gc->dir, oci_record_beside(name, beside), &record, &written))) {
		item->time = st->st_mtime;
		snprintf(item->why, sizeof item->why, "it has no record that can be read, and may be anybody's");
		return 0;
	}
	item->time = written.st_mtime;
	item->digest = record.root;
	measure(gc->dir, name, st, true, item);
	return 0;
}

/* A tree that was moved aside has the times of its files, but was touched itself. */
static int take_state(struct gc *gc, const char *where, int dir, const char *name, const struct stat *st,
	struct oci_error *err)
{
	struct oci_gc_item *item = add(gc, where, name, err);

	if (!item)
		return -1;
	item->time = st->st_mtime > st->st_ctime ? st->st_mtime : st->st_ctime;
	measure(dir, name, st, false, item);
	return 0;
}

static int take_link(struct gc *gc, const char *name, struct oci_error *err)
{
	oci_autofree char *target = NULL;

	if (oci_fs_read_link(gc->dir, name, &target, NULL) < 0)
		return 0; /* gone meanwhile */
	return oci_strings_add(&gc->links, target, err);
}

static int take_entry(void *ctx, const char *name, const struct stat *st, struct oci_error *err)
{
	struct gc *gc = ctx;
	int rc = 0;

	if (S_ISDIR(st->st_mode) && is_version(name))
		rc = take_version(gc, name, st, err);
	else if (S_ISLNK(st->st_mode))
		rc = take_link(gc, name, err);
	else if (is_state(name))
		rc = take_state(gc, "", gc->dir, name, st, err);
	return rc < 0 ? -1 : 1;
}

static int take_entry_beside(void *ctx, const char *name, const struct stat *st, struct oci_error *err)
{
	struct gc *gc = ctx;

	if (!is_state(name) || !gc_is_state_of(name, gc->name))
		return 1;
	return take_state(gc, BESIDE, gc->beside, name, st, err) < 0 ? -1 : 1;
}

static int take_link_alone(void *ctx, const char *name, const struct stat *st, struct oci_error *err)
{
	return S_ISLNK(st->st_mode) && take_link(ctx, name, err) < 0 ? -1 : 1;
}

int gc_read_links(struct gc *gc, struct oci_error *err)
{
	oci_strings_clear(&gc->links);
	return oci_fs_walk(gc->dir, take_link_alone, gc, err);
}

/* State lies beside a tree, but inside what is mounted. */
static bool has_state_beside(const struct gc *gc)
{
	struct oci_mount mount = {.is_root = false};

	return !oci_mount_of(gc->dir, &mount) || !mount.is_root;
}

/* Newest first; leftovers, by name, last. */
static int compare(const void *a, const void *b)
{
	const struct oci_gc_item *x = a, *y = b;

	if (x->is_version != y->is_version)
		return x->is_version ? -1 : 1;
	if (x->is_version && x->time != y->time)
		return x->time > y->time ? -1 : 1;
	return strcmp(x->name, y->name);
}

int gc_scan(struct gc *gc, struct oci_error *err)
{
	if (has_state_beside(gc))
		gc->beside = oci_fs_open_real_parent(gc->options->dir, &gc->name, NULL);
	if (oci_fs_walk(gc->dir, take_entry, gc, err) < 0 ||
		(gc->beside >= 0 && oci_fs_walk(gc->beside, take_entry_beside, gc, err) < 0))
		return -1;
	if (gc->report.count > 1)
		qsort(gc->report.items, gc->report.count, sizeof *gc->report.items, compare);
	return 0;
}
