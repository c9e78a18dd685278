#include "engine/wait.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "engine/leftover.h"

#define INTERVAL_MS 1000
#define SLICE_MS 100         /* how long a signal may go unseen */
#define REMIND_MS (60 * 1000)
#define CURRENT "current"    /* of a directory of versions */

static int check_files(int dir, const struct oci_record *record, uint64_t *bytes, struct oci_error *err)
{
	const struct oci_listing *l = &record->listing;
	const char *first = NULL;
	size_t wrong = 0;

	*bytes = 0;
	for (size_t i = 0; i < l->count; i++) {
		const struct oci_listing_file *file = &l->files[i];

		*bytes += file->size_bytes;
		if (oci_record_holds(dir, file))
			continue;
		first = first ? first : file->path;
		wrong++;
	}
	if (wrong == 0)
		return 0;
	return oci_fail(err, OCI_E_DAMAGED, "%zu of %zu files are missing or not as recorded, first '%s'", wrong, l->count,
		first);
}

static bool is_wanted(const struct oci_record *record, const struct oci_digest *want)
{
	return !want || oci_digest_equal(&record->root, want) || oci_digest_equal(&record->manifest, want);
}

/* A tree, and where its record lies: in it, or beside it. */
struct tree {
	int dir, home;
	char record[OCI_RECORD_BESIDE_MAX];
};
#define TREE_NONE ((struct tree){.dir = -1, .home = -1})

static void close_tree(struct tree *tree)
{
	oci_cleanup_close(&tree->dir);
	oci_cleanup_close(&tree->home);
}

static bool is_there(int dir, const char *name)
{
	struct stat st;

	return dir >= 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Takes `parent`, which holds the tree as `name`; -1: it is not known. */
static void find_record(struct tree *tree, int parent, const char *name)
{
	oci_autoclose int beside = parent;

	if (!is_there(tree->dir, OCI_RECORD_NAME) && beside >= 0 && is_there(beside, oci_record_beside(name, tree->record))) {
		tree->home = oci_steal_fd(&beside);
		return;
	}
	tree->home = fcntl(tree->dir, F_DUPFD_CLOEXEC, 0);
	memcpy(tree->record, OCI_RECORD_NAME, sizeof OCI_RECORD_NAME);
}

/* The directory itself, or the version that is current in it. */
static int open_tree(const char *path, struct tree *ret, struct oci_error *err)
{
	oci_autofree char *target = NULL, *name = NULL;
	int version, parent;

	ret->dir = oci_fs_open_dir(path, err);
	if (ret->dir < 0)
		return -1;
	if (!is_there(ret->dir, OCI_RECORD_NAME) && oci_fs_read_link(ret->dir, CURRENT, &target, NULL) == 0) {
		version = oci_fs_open_dir_beneath(ret->dir, target, NULL);
		if (version >= 0) {
			parent = ret->dir;
			ret->dir = version;
			find_record(ret, parent, target);
			return 0;
		}
	}
	parent = oci_fs_open_real_parent(path, &name, NULL);
	find_record(ret, parent, name);
	return 0;
}

/* No record: say what is there instead. */
static int fail_without_record(int dir, struct oci_error *err)
{
	struct oci_leftovers found;
	char size[OCI_STR_SIZE_MAX];

	if (oci_leftovers_scan(dir, &found, err) < 0)
		return -1;
	if (found.part_count > 0)
		return oci_fail(err, OCI_E_NOT_FOUND,
			"it has no record '%s' and %zu parts (%s) of a pull that has not come to its end", OCI_RECORD_NAME,
			found.part_count, oci_str_size(found.part_bytes, size));
	if (found.other_count > 0)
		return oci_fail(err, OCI_E_NOT_FOUND, "it has no record '%s', but %zu other %s, first '%s'", OCI_RECORD_NAME,
			found.other_count, found.other_count == 1 ? "entry" : "entries", found.first_other);
	return oci_fail(err, OCI_E_NOT_FOUND, "it is empty");
}

static int read_record(const struct tree *tree, const struct oci_digest *want, struct oci_record *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_record_clear) struct oci_record record = {0};
	struct oci_error why = {0};
	char have[OCI_DIGEST_TEXT_MAX];

	if (oci_record_read(tree->home, tree->record, &record, &why) < 0) {
		if (why.code == OCI_E_NOT_FOUND)
			return fail_without_record(tree->dir, err);
		if (err)
			*err = why;
		return -1;
	}
	if (!is_wanted(&record, want))
		return oci_fail(err, OCI_E_DIFFERENT, "it holds another image, %s",
			oci_digest_format(&record.root, have));
	*ret = record;
	record = (struct oci_record){0};
	return 0;
}

/* An update in place removes the record first and writes another one last. */
static bool is_same_record(const struct tree *tree, const struct stat *before)
{
	struct stat now;

	return fstatat(tree->home, tree->record, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == before->st_ino &&
		now.st_mtim.tv_sec == before->st_mtim.tv_sec && now.st_mtim.tv_nsec == before->st_mtim.tv_nsec;
}

int oci_wait_look(const char *dir, const struct oci_digest *want, struct oci_wait_report *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_record_clear) struct oci_record record = {0};
	struct oci_error why = {0};
	OCI_CLEANUP(close_tree) struct tree tree = TREE_NONE;
	struct stat st = {0};
	uint64_t bytes;

	if (open_tree(dir, &tree, &why) < 0) {
		if (why.code == OCI_E_NOT_FOUND)
			return oci_fail(err, OCI_E_NOT_FOUND, "it does not exist");
		if (err)
			*err = why;
		return -1;
	}
	(void)fstatat(tree.home, tree.record, &st, AT_SYMLINK_NOFOLLOW);
	if (read_record(&tree, want, &record, err) < 0 || check_files(tree.dir, &record, &bytes, err) < 0)
		return -1;
	if (!is_same_record(&tree, &st))
		return oci_fail(err, OCI_E_DAMAGED, "it is being changed");
	oci_wait_report_clear(ret);
	ret->record = record;
	ret->bytes = bytes;
	record = (struct oci_record){0};
	return 0;
}

static bool is_cancelled(const struct oci_wait_options *o)
{
	return o->cancel && atomic_load(o->cancel) != 0;
}

static void sleep_for(const struct oci_wait_options *o, uint64_t wait_ms)
{
	uint64_t end = oci_clock_ms() + wait_ms, now;

	while ((now = oci_clock_ms()) < end && !is_cancelled(o))
		oci_clock_sleep_ms(end - now < SLICE_MS ? end - now : SLICE_MS);
}

/* A log that says why nothing happens, but not at each look. */
struct reminder {
	enum oci_errc code;
	uint64_t told_ms;
};

static void tell(const struct oci_wait_options *o, const struct oci_error *why, struct reminder *last)
{
	uint64_t now = oci_clock_ms();

	if (why->code == last->code && now - last->told_ms < REMIND_MS)
		return;
	*last = (struct reminder){why->code, now};
	oci_event_note(o->observer, "waiting for '%s': %s", o->dir, why->text);
}

static int fail_late(const struct oci_wait_options *o, const struct oci_error *why, struct oci_error *err)
{
	char want[OCI_DIGEST_TEXT_MAX];

	return oci_fail(err, OCI_E_TIMEOUT, "'%s' is not ready after %.1f s%s%s: %s; look at the job that fills it", o->dir,
		(double)o->timeout_ms / 1000, o->want ? ", waiting for " : "",
		o->want ? oci_digest_format(o->want, want) : "", why->text);
}

int oci_wait(const struct oci_wait_options *o, struct oci_wait_report *ret, struct oci_error *err)
{
	uint64_t interval = o->interval_ms ? o->interval_ms : INTERVAL_MS, begin = oci_clock_ms();
	struct reminder last = {0};

	for (;;) {
		struct oci_error why = {0};
		uint64_t waited;

		if (oci_wait_look(o->dir, o->want, ret, &why) == 0) {
			ret->waited_ms = oci_clock_ms() - begin;
			return 0;
		}
		waited = oci_clock_ms() - begin;
		if (why.code == OCI_E_NOMEM)
			return oci_fail_nomem(err);
		if (is_cancelled(o))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled while waiting for '%s': %s", o->dir, why.text);
		if (waited >= o->timeout_ms)
			return fail_late(o, &why, err);
		tell(o, &why, &last);
		sleep_for(o, o->timeout_ms - waited < interval ? o->timeout_ms - waited : interval);
	}
}

void oci_wait_report_clear(struct oci_wait_report *report)
{
	oci_record_clear(&report->record);
	*report = (struct oci_wait_report){0};
}
