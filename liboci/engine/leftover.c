#include "engine/leftover.h"

#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/place.h"

#define PREFIX ".modelcar"
#define BLOCK_BYTES 512 /* what st_blocks counts, whatever the file system */

static void take_part(struct oci_leftovers *found, const struct stat *st)
{
	found->part_bytes += (uint64_t)st->st_blocks * BLOCK_BYTES;
	if (st->st_mtime > found->part_time)
		found->part_time = st->st_mtime;
}

struct walk {
	int dir;
	struct oci_leftovers found;
};

static int take_inner(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	take_part(ctx, st);
	return 0;
}

static int take_entry(void *ctx, const char *name, const struct stat *st, struct oci_error *err)
{
	struct walk *walk = ctx;
	oci_autoclose int inner = -1;

	if (!oci_str_starts(name, PREFIX)) {
		if (oci_place_is_apart(name))
			return 1;
		if (walk->found.other_count++ == 0)
			oci_str_escape(name, walk->found.first_other);
		return 1;
	}
	if (!oci_str_ends(name, ".part") || oci_str_ends(name, ".old.part"))
		return 1;
	walk->found.part_count++;
	take_part(&walk->found, st);
	if (S_ISDIR(st->st_mode))
		inner = oci_fs_open_dir_beneath(walk->dir, name, NULL);
	if (inner >= 0) /* best effort: its owner is at work in it */
		(void)oci_fs_walk(inner, take_inner, &walk->found, NULL);
	return 1;
}

int oci_leftovers_scan(int dir, struct oci_leftovers *ret, struct oci_error *err)
{
	struct walk walk = {.dir = dir};

	if (oci_fs_walk(dir, take_entry, &walk, err) < 0)
		return -1;
	*ret = walk.found;
	return 0;
}
