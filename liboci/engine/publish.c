#include "engine/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/publish_in_place.h"

int publish_may(const struct oci_publication *p, struct oci_error *err)
{
	return p->may ? p->may(p->ctx, err) : 0;
}

static int sync_dir(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	const int *tree = ctx;
	oci_autoclose int dir = -1;

	if (!S_ISDIR(st->st_mode))
		return 0;
	dir = oci_fs_open_dir_beneath(*tree, path, err);
	return dir < 0 ? -1 : oci_fs_sync(dir, err);
}

int publish_sync_dirs(int tree, struct oci_error *err)
{
	return oci_fs_walk(tree, sync_dir, &tree, err) < 0 ? -1 : oci_fs_sync(tree, err);
}

int oci_publish_link(int dir, const char *name, const char *target, struct oci_error *err)
{
	char temp[64];

	if (oci_fs_temp_name(".modelcar", ".part", temp, sizeof temp, err) < 0)
		return -1;
	if (symlinkat(target, dir, temp) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "cannot make link '%s'", name);
	if (renameat(dir, temp, dir, name) < 0) {
		oci_fail_sys(err, errno, OCI_E_IO, "cannot place link '%s'", name);
		unlinkat(dir, temp, 0);
		return -1;
	}
	return oci_fs_sync(dir, err);
}

static int place_fresh(const struct oci_publication *p, const char *tree, struct oci_error *err)
{
	struct oci_error why = {0};

	if (oci_fs_rename_new(p->stage->fd, tree, p->place->parent, p->place->name, &why) == 0)
		return oci_fs_sync(p->place->parent, err);
	if (why.code == OCI_E_OCCUPIED)
		return oci_fail(err, OCI_E_OCCUPIED, "'%s' was made by another meanwhile and is left as it is; run again",
			p->place->path);
	if (err)
		*err = why;
	return -1;
}

static bool cannot_exchange(int number)
{
	return number == EINVAL || number == ENOSYS || number == EOPNOTSUPP;
}

/* The old tree aside, then the new one in: for a moment there is none. */
static int rename_aside(const struct oci_publication *p, const char *tree, const char *old, struct oci_error *err)
{
	const struct oci_place *place = p->place;

	if (renameat(place->parent, place->name, place->parent, old) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "cannot move '%s' aside", place->path);
	if (renameat(p->stage->fd, tree, place->parent, place->name) == 0)
		return oci_fs_sync(place->parent, err);
	oci_fail_sys(err, errno, OCI_E_IO, "cannot place '%s'", place->path);
	(void)renameat(place->parent, old, place->parent, place->name);
	return -1;
}

static int place_swap(struct oci_publication *p, const char *tree, struct oci_error *err)
{
	const struct oci_place *place = p->place;
	char old[OCI_STAGE_NAME_MAX], dir[OCI_STAGE_NAME_MAX];

	oci_stage_dest_name(place->name, "old", old);
	if (oci_fs_remove_tree(place->parent, old, err) < 0)
		return -1;
	if (renameat2(p->stage->fd, tree, place->parent, place->name, RENAME_EXCHANGE) < 0) {
		if (errno == EBUSY || errno == EXDEV)
			return oci_fail_sys(err, errno, OCI_E_IO,
				"'%s' cannot be exchanged, for it is mounted; use --publish in-place", place->path);
		if (!cannot_exchange(errno))
			return oci_fail_sys(err, errno, OCI_E_IO, "cannot exchange '%s'", place->path);
		return rename_aside(p, tree, old, err);
	}
	p->holds_old = true;
	if (oci_fs_sync(place->parent, err) < 0 || oci_fs_sync(p->stage->fd, err) < 0)
		return -1;
	/* The old tree stays for those who read it, until the next pull. */
	snprintf(dir, sizeof dir, "%s.part", p->stage->prefix);
	p->holds_old = renameat(p->stage->parent, dir, place->parent, old) < 0;
	return 0;
}

/* The new tree has its record in it. */
static void clean_beside(const struct oci_place *place)
{
	char beside[OCI_RECORD_BESIDE_MAX];

	if (place->beside)
		(void)unlinkat(place->parent, oci_record_beside(place->name, beside), 0);
	(void)oci_place_clean(place, NULL);
}

static int publish_tree(struct oci_publication *p, struct oci_error *err)
{
	char tree[OCI_STAGE_NAME_MAX];

	/* Asked twice: one whose lease is lost would write into what another has published, */
	if (publish_may(p, err) < 0 || oci_record_write(p->stage->tree, OCI_RECORD_NAME, p->record, err) < 0 ||
		publish_sync_dirs(p->stage->tree, err) < 0 || oci_stage_claim_tree(p->stage, tree, err) < 0)
		return -1;
	/* and who is stopped from here on finds the name gone. */
	if (publish_may(p, err) < 0)
		return -1;
	if ((p->place->mode == OCI_PLACE_SWAP ? place_swap(p, tree, err) : place_fresh(p, tree, err)) < 0)
		return -1;
	clean_beside(p->place);
	return 0;
}

int oci_publish(struct oci_publication *p, struct oci_error *err)
{
	int rc = p->place->mode == OCI_PLACE_IN_PLACE ? publish_in_place(p, err) : publish_tree(p, err);

	return rc < 0 ? oci_fail_side(err, OCI_SIDE_DEST) : 0;
}
