/* Versions stand beside each other, each at a path of its own, and a link says which is current. */
#include "engine/pull_tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/publish.h"

#define VERSION_HEX 12
#define CURRENT "current"

/* The path of a version never changes, whatever part of the image is asked for next. */
int pull_check_version(const struct pull_tree *t, struct oci_error *err)
{
	if (t->options->publish != OCI_PUBLISH_VERSION || !oci_place_holds(&t->place, &t->root.digest))
		return 0;
	oci_fail(err, OCI_E_OCCUPIED, "'%s' holds other files of this image, and a version never changes; remove it first, or "
		"name another directory", t->place.path);
	return oci_fail_side(err, OCI_SIDE_DEST);
}

/* A gc that saw no link to the version may have begun to remove it before there was one. */
static int link_version(const struct pull_tree *t, bool *there, struct oci_error *err)
{
	oci_autoclose int dir = oci_fs_open_dir(t->options->dest, err);
	struct stat st;

	if (dir < 0 || oci_publish_link(dir, CURRENT, t->report.version, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	*there = fstatat(dir, t->report.version, &st, AT_SYMLINK_NOFOLLOW) == 0;
	return 0;
}

/* Once more where what was there already is gone: the link keeps it from then on. */
static int pull_and_link(struct pull_tree *t, const char *dest, struct oci_error *err)
{
	bool there = false;

	for (int round = 0; round < 2 && !there; round++) {
		oci_place_clear(&t->place);
		t->report.unchanged = false;
		t->report.bytes_files = t->report.bytes_kept = 0;
		if (pull_one(t, dest, err) < 0)
			return -1;
		if (t->options->dry_run)
			return 0;
		if (link_version(t, &there, err) < 0)
			return -1;
		if (!t->report.unchanged)
			break;
	}
	if (there)
		return 0;
	oci_fail(err, OCI_E_BUSY, "'%s' was removed by another meanwhile; run again", dest);
	return oci_fail_side(err, OCI_SIDE_DEST);
}

/* `dest`/sha256-<12 hex>, and the link that says which is current. */
int pull_version(struct pull_tree *t, struct oci_error *err)
{
	char hex[OCI_DIGEST_TEXT_MAX];
	oci_autofree char *dest = NULL;
	OCI_CLEANUP(oci_place_clear) struct oci_place place = OCI_PLACE_NONE;

	snprintf(t->report.version, sizeof t->report.version, "%s-%.*s", oci_digest_alg_name(t->root.digest.alg), VERSION_HEX,
		oci_digest_hex(&t->root.digest, hex));
	if (oci_place_open(t->options->dest, &place, err) < 0)
		return -1;
	if (place.has_record)
		return oci_fail(err, OCI_E_OCCUPIED, "'%s' is a tree itself; versions want a directory of their own",
			t->options->dest);
	if (place.dir < 0 && t->options->dry_run) /* where nothing is, all is new */
		return pull_one(t, t->options->dest, err);
	if (place.dir < 0 && oci_fs_mkdirs_beneath(place.parent, place.name, 0775, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	dest = oci_str_printf("%s/%s", t->options->dest, t->report.version);
	return dest ? pull_and_link(t, dest, err) : oci_fail_nomem(err);
}
