/* A directory that has to stay: files move in one by one while there is no record. */
#include "engine/publish_in_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

struct moving {
	const struct oci_publication *p;
	int dest;               /* the destination */
	int home;               /* where its record lies, */
	const char *name;       /* and what it is called there */
	char beside[OCI_RECORD_BESIDE_MAX];
	char draft[OCI_STAGE_NAME_MAX]; /* of the record to be, in the state directory */
	bool swept;             /* old files were removed */
};

/* What a server looks at comes last: it names the rest. */
static int rank_of(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	if (strcmp(base, "config.pbtxt") == 0)
		return 4;
	if (strcmp(base, "config.json") == 0)
		return 3;
	if (oci_str_ends(base, ".index.json"))
		return 2;
	if (oci_str_starts(base, "tokenizer"))
		return 1;
	return 0;
}

/* Directories that are empty now go, too, and those that a run before had no time for. */
static void remove_parents(int dir, const char *path)
{
	oci_autofree char *at = strdup(path);
	char *slash;

	while (at && (slash = strrchr(at, '/'))) {
		const char *base;
		oci_autoclose int parent = -1;

		*slash = '\0';
		parent = oci_fs_parent_beneath(dir, at, &base, NULL);
		if (parent >= 0 && unlinkat(parent, base, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return;
	}
}

int oci_publish_remove(int dir, const char *path, struct oci_error *err)
{
	struct oci_error why = {0};
	const char *base;
	oci_autoclose int parent = oci_fs_parent_beneath(dir, path, &base, &why);
	char shown[OCI_STR_ESCAPE_MAX];

	if (parent < 0 && why.sys != ENOENT && why.sys != ENOTDIR) {
		if (err)
			*err = why;
		return -1;
	}
	if (parent < 0 || unlinkat(parent, base, 0) == 0 || errno == ENOENT)
		remove_parents(dir, path);
	else if (errno != EISDIR)
		return oci_fail_sys(err, errno, OCI_E_IO, "cannot remove '%s'", oci_str_escape(path, shown));
	return 0;
}

/* Files of the trees before, by their records, that the new one has not. */
static int sweep_old(struct moving *m, struct oci_error *err)
{
	const struct oci_place *place = m->p->place;

	m->swept = true;
	for (size_t r = 0; r < place->record_count; r++) {
		const struct oci_listing *old = &place->records[r].listing;

		for (size_t i = 0; i < old->count; i++) {
			if (!oci_listing_find(&m->p->record->listing, old->files[i].path) &&
				oci_publish_remove(m->dest, old->files[i].path, err) < 0)
				return -1;
		}
	}
	return 0;
}

static int make_parents(int dir, const char *path, struct oci_error *err)
{
	const char *slash = strrchr(path, '/');
	oci_autofree char *parents = slash ? strndup(path, (size_t)(slash - path)) : NULL;

	if (!slash)
		return 0;
	return parents ? oci_fs_mkdirs_beneath(dir, parents, 0775, err) : oci_fail_nomem(err);
}

/* Where a directory gives its group to what is made in it, what moves in gets it, too; best effort, as it was
 * made beside it perhaps. */
static void give_group(int from_dir, const char *from, int to_dir)
{
	struct stat dir, part;

	if (fstat(to_dir, &dir) == 0 && (dir.st_mode & S_ISGID) &&
		fstatat(from_dir, from, &part, AT_SYMLINK_NOFOLLOW) == 0 && part.st_gid != dir.st_gid)
		(void)!fchownat(from_dir, from, (uid_t)-1, dir.st_gid, AT_SYMLINK_NOFOLLOW);
}

static int move_part(const struct moving *m, const char *part, const char *path, struct oci_error *err)
{
	const char *from, *to;
	oci_autoclose int from_dir = oci_fs_parent_beneath(m->p->stage->tree, part, &from, err);
	oci_autoclose int to_dir = -1;

	if (from_dir < 0 || make_parents(m->dest, path, err) < 0)
		return -1;
	to_dir = oci_fs_parent_beneath(m->dest, path, &to, err);
	if (to_dir < 0)
		return -1;
	give_group(from_dir, from, to_dir);
	if (renameat(from_dir, from, to_dir, to) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "cannot place '%s'", path);
	return 0;
}

static int place_link(const struct moving *m, const struct oci_listing_file *file, struct oci_error *err)
{
	const char *base;
	oci_autoclose int dir = -1;

	if (make_parents(m->dest, file->path, err) < 0)
		return -1;
	dir = oci_fs_parent_beneath(m->dest, file->path, &base, err);
	return dir < 0 ? -1 : oci_publish_link(dir, base, file->link, err);
}

/* Old files of ours are gone by now: a directory where a file shall be, or the other way round, is another's. */
static void blame_stranger(const char *path, struct oci_error *why)
{
	int sys = why->sys;

	if (sys != EISDIR && sys != ENOTDIR && sys != ENOTEMPTY && sys != ELOOP)
		return;
	*why = (struct oci_error){0};
	oci_fail(why, OCI_E_OCCUPIED, "what no pull put there is in the way of '%s' (%s); move it away, then run again",
		path, sys == EISDIR || sys == ENOTEMPTY ? "a directory" : "a file or link");
}

static int place_file(struct moving *m, size_t i, struct oci_error *err)
{
	const struct oci_listing_file *file = &m->p->record->listing.files[i];
	struct oci_error why = {0};
	int rc;

	if (!file->link && !m->p->parts[i])
		return 0;
	if (publish_may(m->p, err) < 0)
		return -1;
	rc = file->link ? place_link(m, file, &why) : move_part(m, m->p->parts[i], file->path, &why);
	if (rc < 0 && !m->swept) { /* a directory of the old tree may be in the way of a file, or the other way round */
		if (sweep_old(m, err) < 0)
			return -1;
		why = (struct oci_error){0};
		rc = file->link ? place_link(m, file, &why) : move_part(m, m->p->parts[i], file->path, &why);
	}
	if (rc < 0)
		blame_stranger(file->path, &why);
	if (rc < 0 && err)
		*err = why;
	return rc;
}

static int place_files(struct moving *m, struct oci_error *err)
{
	const struct oci_listing *l = &m->p->record->listing;

	for (int rank = 0; rank <= 4; rank++)
		for (size_t i = 0; i < l->count; i++)
			if (rank_of(l->files[i].path) == rank && place_file(m, i, err) < 0)
				return -1;
	return 0;
}

/* steps */

int oci_publish_take_record(struct oci_place *place, struct oci_error *err)
{
	char beside[OCI_RECORD_BESIDE_MAX], was[OCI_STAGE_NAME_MAX];
	int home = place->beside ? place->parent : place->dir;

	if (!place->has_record)
		return 0;
	oci_stage_dest_name(place->state_name, "was", was);
	if (renameat(home, place->beside ? oci_record_beside(place->name, beside) : OCI_RECORD_NAME, place->state, was) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "cannot take away the record of '%s'", place->path);
	place->has_record = false;
	return oci_fs_sync(place->state, err) < 0 || oci_fs_sync(home, err) < 0 ? -1 : 0;
}

/* A record says what the files will be before they are: who comes after a crash
 * knows that they are ours. Then the one that says what they are goes. */
static int announce(struct moving *m, struct oci_error *err)
{
	struct oci_place *place = m->p->place;

	if (oci_record_write(place->state, m->draft, m->p->record, err) < 0 || publish_may(m->p, err) < 0)
		return -1;
	return oci_publish_take_record(place, err) < 0 ? -1 : oci_place_clean(place, err);
}

static int make_dest(struct moving *m, struct oci_error *err)
{
	struct oci_place *place = m->p->place;

	if (place->dir < 0) {
		if (oci_fs_mkdirs_beneath(place->parent, place->name, 0775, err) < 0)
			return -1;
		place->dir = oci_fs_open_dir_beneath(place->parent, place->name, err);
		if (place->dir < 0 || oci_fs_sync(place->parent, err) < 0)
			return -1;
	}
	m->dest = place->dir;
	if (m->home < 0)
		m->home = place->dir;
	return 0;
}

/* Without replacing one that another writer may have put there meanwhile. */
static int put_record(const struct moving *m, struct oci_error *err)
{
	const struct oci_place *place = m->p->place;
	struct oci_error why = {0};
	char was[OCI_STAGE_NAME_MAX];

	if (publish_may(m->p, err) < 0)
		return -1;
	if (oci_fs_rename_new(place->state, m->draft, m->home, m->name, &why) < 0) {
		if (why.code == OCI_E_OCCUPIED)
			return oci_fail(err, OCI_E_BUSY, "'%s' was published by another meanwhile; run again", place->path);
		if (err)
			*err = why;
		return -1;
	}
	if (oci_fs_sync(m->home, err) < 0)
		return -1;
	oci_stage_dest_name(place->state_name, "was", was);
	(void)unlinkat(place->state, was, 0);
	return 0;
}

/* Where locks tell nothing another may have filled it, too: no record may vouch for what is his. */
static int check_placed(const struct moving *m, struct oci_error *err)
{
	const struct oci_listing *l = &m->p->record->listing;

	for (size_t i = 0; i < l->count; i++) {
		bool holds;

		if (oci_record_look(m->dest, &l->files[i], &holds, err) < 0)
			return -1;
		if (!holds)
			return oci_fail(err, OCI_E_BUSY, "'%s': file '%s' was changed by another meanwhile; run again",
				m->p->place->path, l->files[i].path);
	}
	return 0;
}

int publish_in_place(const struct oci_publication *p, struct oci_error *err)
{
	struct oci_place *place = p->place;
	bool beside = place->is_model && !place->is_mount;
	struct moving m = {.p = p, .dest = place->dir, .home = beside ? place->parent : place->dir, .name = OCI_RECORD_NAME};

	oci_record_beside(place->name, m.beside);
	if (beside)
		m.name = m.beside;
	snprintf(m.draft, sizeof m.draft, "%s.record.part", p->stage->prefix);
	if (announce(&m, err) < 0 || make_dest(&m, err) < 0 || place_files(&m, err) < 0)
		return -1;
	if (!m.swept && sweep_old(&m, err) < 0)
		return -1;
	if (publish_sync_dirs(m.dest, err) < 0 || check_placed(&m, err) < 0)
		return -1;
	return put_record(&m, err);
}
