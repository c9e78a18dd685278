#include "engine/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/mount.h"

/* opening */

/* The path is the user's word, so what is wrong with it is no malformed content. */
static int open_parent(struct oci_place *place, const char *path, struct oci_error *err)
{
	struct oci_error why = {0};

	place->parent = oci_fs_open_parent(path, &place->name, &why);
	if (place->parent >= 0)
		return 0;
	if (why.code == OCI_E_NOT_FOUND)
		oci_wrap(&why, "'%s' cannot be made: make its parent directory first", path);
	else
		oci_wrap(&why, "'%s' cannot be made", path);
	if (why.code == OCI_E_FORMAT)
		why.code = OCI_E_USAGE;
	if (err)
		*err = why;
	return -1;
}

static int open_dir(struct oci_place *place, struct oci_error *err)
{
	struct oci_mount mount;
	struct stat st;

	if (fstatat(place->parent, place->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return 0;
		return oci_fail_sys(err, errno, OCI_E_IO, "'%s'", place->path);
	}
	if (!S_ISDIR(st.st_mode))
		return oci_fail(err, OCI_E_OCCUPIED, "'%s' is a file; name a directory, or a path that does not exist",
			place->path);
	place->dir = oci_fs_open_dir_beneath(place->parent, place->name, err);
	if (place->dir < 0)
		return -1;
	place->is_mount = oci_mount_of(place->dir, &mount) && mount.is_root;
	return 0;
}

/* records */

/* One that is not there, or is no record, is none; one that cannot be read now is a failure. */
static int add_record(struct oci_place *place, int dir, const char *name, bool *found, struct oci_error *err)
{
	struct oci_error why = {0};

	*found = false;
	if (place->record_count == OCI_PLACE_RECORDS_MAX)
		return 0;
	if (oci_record_read(dir, name, &place->records[place->record_count], &why) == 0) {
		place->record_count++;
		*found = true;
		return 0;
	}
	if (why.code == OCI_E_NOT_FOUND || why.code == OCI_E_FORMAT || why.code == OCI_E_UNSUPPORTED)
		return 0;
	if (err)
		*err = why;
	return -1;
}

/* ".modelcar.<8 hex>.<12 hex>.record.part", or ".was.part" of the destination. */
struct drafts {
	struct oci_place *place;
	int dir;
	char prefix[OCI_STAGE_NAME_MAX];
};

static int take_draft(void *ctx, const char *name, const struct stat *st, struct oci_error *err)
{
	struct drafts *drafts = ctx;
	bool found;

	if (S_ISREG(st->st_mode) && oci_str_starts(name, drafts->prefix) &&
		(oci_str_ends(name, ".record.part") || oci_str_ends(name, ".was.part")))
		return add_record(drafts->place, drafts->dir, name, &found, err) < 0 ? -1 : 1;
	return 1;
}

static int find_drafts(struct oci_place *place, int dir, const char *name, struct oci_error *err)
{
	struct drafts drafts = {.place = place, .dir = dir};

	oci_stage_dest_name(name, "", drafts.prefix); /* ".modelcar.<8 hex>..part" */
	drafts.prefix[strlen(drafts.prefix) - strlen(".part")] = '\0';
	return oci_fs_walk(dir, take_draft, &drafts, err);
}

static int find_records(struct oci_place *place, struct oci_error *err)
{
	char beside[OCI_RECORD_BESIDE_MAX];
	size_t known;

	if (add_record(place, place->dir, OCI_RECORD_NAME, &place->has_record, err) < 0)
		return -1;
	if (!place->has_record) {
		if (add_record(place, place->parent, oci_record_beside(place->name, beside), &place->beside, err) < 0)
			return -1;
		place->has_record = place->beside;
	}
	if (find_drafts(place, place->dir, ".", err) < 0)
		return -1;
	known = place->record_count;
	if (!place->is_mount && find_drafts(place, place->parent, place->name, err) < 0)
		return -1;
	if (!place->has_record)
		place->beside = place->record_count > known;
	return 0;
}

static ino_t file_at(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) ? st.st_ino : 0;
}

/* Damaged ones, and that of a Triton model that somebody removed: no record could take their names. */
static void find_false_records(struct oci_place *place)
{
	bool beside = place->has_record && place->beside, inside = place->has_record && !place->beside;
	char name[OCI_RECORD_BESIDE_MAX];

	if (place->dir >= 0 && !inside)
		place->false_inside = file_at(place->dir, OCI_RECORD_NAME);
	if (!place->is_mount && !beside)
		place->false_beside = file_at(place->parent, oci_record_beside(place->name, name));
}

static int clean(int dir, const char *name, ino_t ino, struct oci_error *err)
{
	if (ino == 0 || file_at(dir, name) != ino || unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	return oci_fs_fail(err, errno, "remove", name);
}

int oci_place_clean(const struct oci_place *place, struct oci_error *err)
{
	char beside[OCI_RECORD_BESIDE_MAX];

	if (clean(place->dir, OCI_RECORD_NAME, place->false_inside, err) < 0)
		return -1;
	return clean(place->parent, oci_record_beside(place->name, beside), place->false_beside, err);
}

/* content */

static bool is_known(const struct oci_place *place, const char *path)
{
	for (size_t i = 0; i < place->record_count; i++)
		if (oci_listing_find(&place->records[i].listing, path))
			return true;
	return false;
}

bool oci_place_is_apart(const char *name)
{
	return oci_str_starts(name, ".modelcar") || strcmp(name, "lost+found") == 0 || strcmp(name, ".snapshot") == 0;
}

static bool leads_to_version(int dir, const char *link)
{
	oci_autofree char *target = NULL;

	return strcmp(link, "current") == 0 && oci_fs_read_link(dir, link, &target, NULL) == 0 &&
		oci_str_starts(target, "sha256-");
}

static int look_at(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	struct oci_place *place = ctx;
	bool top = !strchr(path, '/');

	if (top && oci_place_is_apart(path))
		return 1;
	if (top && S_ISLNK(st->st_mode) && leads_to_version(place->dir, path))
		place->has_versions = true;
	place->entries++;
	if (S_ISDIR(st->st_mode) || is_known(place, path) || *place->stranger)
		return 0;
	oci_str_escape(path, place->stranger);
	return 0;
}

int oci_place_open(const char *path, struct oci_place *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_place_clear) struct oci_place place = OCI_PLACE_NONE;
	oci_autofree char *real = oci_fs_follow(path, err);

	if (!real && err && err->code == OCI_E_NOT_FOUND)
		err->code = OCI_E_OCCUPIED; /* a link is there, and stays */
	if (!real || oci_str_set(&place.path, path, err) < 0 || open_parent(&place, real, err) < 0 ||
		open_dir(&place, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	if (place.dir >= 0 &&
		(find_records(&place, err) < 0 || oci_fs_walk(place.dir, look_at, &place, err) < 0)) {
		oci_wrap(err, "'%s'", path);
		return oci_fail_side(err, OCI_SIDE_DEST);
	}
	find_false_records(&place);
	*ret = place;
	place = OCI_PLACE_NONE;
	return 0;
}

void oci_place_clear(struct oci_place *place)
{
	for (size_t i = 0; i < place->record_count; i++)
		oci_record_clear(&place->records[i]);
	oci_cleanup_close(&place->parent);
	oci_cleanup_close(&place->dir);
	oci_cleanup_close(&place->state);
	free(place->path);
	free(place->name);
	*place = OCI_PLACE_NONE;
}

/* Nobody knows what a tree is that was to become another. */
static bool has_one_image(const struct oci_place *place)
{
	for (size_t i = 1; i < place->record_count; i++)
		if (!oci_digest_equal(&place->records[i].root, &place->records[0].root))
			return false;
	return place->record_count > 0;
}

int oci_place_find_record(const char *path, struct oci_record *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_place_clear) struct oci_place place = OCI_PLACE_NONE;
	struct oci_error why = {0};

	if (oci_record_find(path, ret, &why) == 0)
		return 0;
	if (why.code == OCI_E_NOT_FOUND && oci_place_open(path, &place, NULL) == 0 && has_one_image(&place)) {
		*ret = place.records[0];
		place.records[0] = (struct oci_record){0};
		return 0;
	}
	if (err)
		*err = why;
	return -1;
}

bool oci_place_holds(const struct oci_place *place, const struct oci_digest *root)
{
	const struct oci_record *record = &place->records[0];

	if (!place->has_record || !oci_digest_equal(&record->root, root))
		return false;
	for (size_t i = 0; i < record->listing.count; i++)
		if (!oci_record_holds(place->dir, &record->listing.files[i]))
			return false;
	return true;
}

/* deciding */

static bool is_number(const char *text, size_t len)
{
	return len > 0 && strspn(text, "0123456789") == len;
}

bool oci_place_is_model(const struct oci_listing *files)
{
	if (oci_listing_find(files, "config.pbtxt"))
		return true;
	for (size_t i = 0; i < files->count; i++) {
		const char *slash = strchr(files->files[i].path, '/');

		if (slash && is_number(files->files[i].path, (size_t)(slash - files->files[i].path)) &&
			oci_str_starts(slash, "/model."))
			return true;
	}
	return false;
}

const char *oci_place_mode_name(enum oci_place_mode mode)
{
	switch (mode) {
	case OCI_PLACE_FRESH:
		return "fresh";
	case OCI_PLACE_SWAP:
		return "swap";
	default:
		return "in-place";
	}
}

int oci_place_check(const struct oci_place *place, bool adopt, struct oci_error *err)
{
	const char *leave = place->mode == OCI_PLACE_IN_PLACE
		? "move them away, or use --adopt to leave them where they are"
		: "move them away, or use --publish in-place --adopt to leave them where they are";

	if (!*place->stranger || adopt)
		return 0;
	if (place->has_versions)
		return oci_fail(err, OCI_E_OCCUPIED, "'%s' holds versions; use --publish version, or name another directory",
			place->path);
	return oci_fail(err, OCI_E_OCCUPIED, "'%s' holds files that no pull put there, such as '%s'; %s", place->path,
		place->stranger, place->record_count > 0
			? leave
			: "use --adopt to keep those that are right and replace the others, or name another directory");
}

static int refuse_strangers(const struct oci_place *place, bool adopt, struct oci_error *err)
{
	return oci_place_check(place, adopt && place->mode == OCI_PLACE_IN_PLACE, err);
}

/* Readers of a mounted tree know it by its record alone: another image comes into it
 * only where that was asked for. */
static bool must_ask(const struct oci_place *place, const struct oci_place_wish *wish)
{
	return place->is_mount && place->has_record && wish->publish == OCI_PUBLISH_AUTO && !place->is_model &&
		!oci_digest_equal(&place->records[0].root, wish->root);
}

static enum oci_place_mode mode_of(const struct oci_place *place, const struct oci_place_wish *wish)
{
	if (place->is_model || place->is_mount || !place->has_record)
		return OCI_PLACE_IN_PLACE;
	return wish->publish == OCI_PUBLISH_IN_PLACE ? OCI_PLACE_IN_PLACE : OCI_PLACE_SWAP;
}

static int decide_existing(struct oci_place *place, const struct oci_place_wish *wish, struct oci_error *err)
{
	if (wish->publish == OCI_PUBLISH_SWAP && place->is_mount)
		return oci_fail(err, OCI_E_OCCUPIED,
			"'%s' is a mount point, which cannot be swapped; use --publish in-place or --publish version",
			place->path);
	if (must_ask(place, wish))
		return oci_fail(err, OCI_E_OCCUPIED,
			"'%s' is a mount point that holds another tree, which cannot be swapped; use --publish in-place "
			"(readers wait for the record) or --publish version",
			place->path);
	place->mode = mode_of(place, wish);
	return refuse_strangers(place, wish->adopt, err);
}

/* Can a file beside it be renamed into it? Subvolumes of btrfs are no mounts, and others all the same. */
static bool has_room_beside(const struct oci_place *place)
{
	struct stat outer, inner;

	return faccessat(place->parent, ".", W_OK | X_OK, AT_EACCESS) == 0 && fstat(place->parent, &outer) == 0 &&
		fstat(place->dir, &inner) == 0 && outer.st_dev == inner.st_dev;
}

/* In a model nothing of ours may lie, and what comes may become one; and whoever fills a place, in whatever mode, must
 * find the same lease. So it lies beside it, where that can be. */
static bool is_state_inside(const struct oci_place *place)
{
	if (place->mode != OCI_PLACE_IN_PLACE || place->dir < 0)
		return false;
	return place->is_mount || (!place->is_model && !has_room_beside(place));
}

static int choose_state(struct oci_place *place, struct oci_error *err)
{
	bool inside = is_state_inside(place);

	place->state_name = inside ? "." : place->name;
	place->state = fcntl(inside ? place->dir : place->parent, F_DUPFD_CLOEXEC, 0);
	return place->state < 0 ? oci_fail_sys(err, errno, OCI_E_IO, "'%s'", place->path) : 0;
}

int oci_place_decide(struct oci_place *place, const struct oci_place_wish *wish, struct oci_error *err)
{
	bool in_place = wish->publish == OCI_PUBLISH_IN_PLACE || wish->is_model;

	place->is_model = wish->is_model;
	if (place->dir >= 0) {
		if (decide_existing(place, wish, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
		return choose_state(place, err);
	}
	place->mode = in_place ? OCI_PLACE_IN_PLACE : OCI_PLACE_FRESH;
	if (wish->look_only)
		return 0;
	return choose_state(place, err);
}

void oci_place_settle(struct oci_place *place, bool is_model)
{
	bool beside = place->state_name == place->name;

	place->is_model = is_model && (beside || place->is_mount);
	if (place->is_model)
		place->mode = OCI_PLACE_IN_PLACE;
}
