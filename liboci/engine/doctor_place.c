/* The path, its mount, who owns it, and the room there. */
#include "engine/doctor_job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define MARGIN_BYTES (16 * OCI_MIB) /* directories, record, the file system's own */
#define MARGIN_FILES 16             /* parts, journal, record */
#define LITTLE_BYTES OCI_GIB

/* For messages: the part of the path before its last component. */
static char *parent_of(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	while (len > 0 && path[len - 1] != '/')
		len--;
	while (len > 1 && path[len - 1] == '/')
		len--;
	return len > 0 ? strndup(path, len) : strdup(".");
}

static void fail_path(struct doctor *d, const struct oci_error *why)
{
	enum oci_errc code = why->code == OCI_E_USAGE ? OCI_E_OCCUPIED : why->code;
	const char *next = why->sys ? doctor_remedy(why->sys) : NULL;

	if (code == OCI_E_NOT_FOUND)
		next = "mount the volume there (volumeMounts), or make the directory";
	if (code == OCI_E_OCCUPIED)
		next = "name a directory";
	doctor_fail(d, code, "path", next, "%s", why->text);
}

/* DEST is absent: it would be made in its parent. */
static bool find_parent(struct doctor *d, const char *dest)
{
	oci_autofree char *name = NULL;
	struct oci_error why = {0};
	struct stat st;

	d->place = oci_fs_open_parent(dest, &name, &why);
	if (d->place < 0) {
		oci_wrap(&why, "'%s' is not there, nor what it would be made in", dest);
		fail_path(d, &why);
		return false;
	}
	if (fstatat(d->place, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		doctor_fail(d, OCI_E_NOT_FOUND, "path", "make the directory that it names, or remove the link",
			"'%s' is a link to nothing", dest);
		return false;
	}
	doctor_ok(d, "path", "'%s' is to be made in '%s'", dest, d->place_path);
	return true;
}

static bool is_tree(const char *dest)
{
	OCI_CLEANUP(oci_record_clear) struct oci_record record = {0};

	return oci_record_find(dest, &record, NULL) == 0;
}

/* A tree of ours is replaced by one that is made beside it; a mount point cannot be. */
static bool choose_place(struct doctor *d, const char *dest)
{
	oci_autofree char *name = NULL;
	struct oci_mount mount = {.is_root = false};
	int parent = -1;

	(void)oci_mount_of(d->dest, &mount);
	if (is_tree(dest) && !mount.is_root)
		parent = oci_fs_open_parent(dest, &name, NULL);
	if (parent < 0) {
		free(d->place_path);
		d->place_path = strdup(dest);
		parent = fcntl(d->dest, F_DUPFD_CLOEXEC, 0);
	}
	d->place = parent;
	if (!d->place_path || d->place < 0) {
		oci_fail_nomem(&d->failed);
		return false;
	}
	doctor_ok(d, "path", "'%s' exists%s", dest, mount.is_root ? " and is a mount point: it is filled in place" : "");
	return true;
}

static bool find_place(struct doctor *d)
{
	const char *dest = d->options->dest;
	struct oci_error why = {0};

	d->place_path = parent_of(dest);
	if (!d->place_path) {
		oci_fail_nomem(&d->failed);
		return false;
	}
	d->dest = oci_fs_open_dir(dest, &why);
	if (d->dest >= 0)
		return choose_place(d, dest);
	if (why.code == OCI_E_NOT_FOUND)
		return find_parent(d, dest);
	fail_path(d, &why);
	return false;
}

static bool is_read_only(const struct doctor *d)
{
	struct statvfs vfs;

	return fstatvfs(d->place, &vfs) == 0 && (vfs.f_flag & ST_RDONLY);
}

static bool lies_about_locks(const struct oci_mount *m)
{
	return oci_mount_has(m, "nolock") || oci_mount_has(m, "local_lock=all") || oci_mount_has(m, "local_lock=flock");
}

static bool check_mount(struct doctor *d)
{
	const struct oci_mount *m = &d->mount;

	d->is_mounted = oci_mount_of(d->place, &d->mount);
	if (!d->is_mounted)
		memcpy(d->mount.type, "unknown", sizeof "unknown");
	if (is_read_only(d)) {
		doctor_fail(d, OCI_E_PERM, "mount", doctor_remedy(EROFS), "'%s' is mounted read-only (%s)", d->place_path,
			m->type);
		return false;
	}
	if (!d->is_mounted)
		doctor_ok(d, "mount", "the kernel does not say which it is");
	else if (strcmp(m->type, "overlay") == 0)
		doctor_warn(d, "mount", "mount a volume there unless that is meant",
			"'%s' is in a container's own layer, which ends with it", d->place_path);
	else if (strcmp(m->type, "tmpfs") == 0)
		doctor_warn(d, "mount", "count the model into the memory limit, or use a volume on disk",
			"'%s' is a tmpfs: what lies there is memory of the pod", m->point);
	else if (lies_about_locks(m))
		doctor_warn(d, "mount", "mount it without nolock and local_lock, or let one pod write at a time",
			"'%s' is %s of '%s', whose locks hold on this machine only", m->point, m->type, m->source);
	else
		doctor_ok(d, "mount", "'%s' is %s of '%s', %s", m->point, m->type, m->source, m->options);
	return true;
}

bool doctor_place(struct doctor *d)
{
	return find_place(d) && check_mount(d);
}

/* room */

static uint64_t with_margin(uint64_t need, uint64_t margin)
{
	return need > UINT64_MAX - margin ? UINT64_MAX : need + margin;
}

static void check_space(struct doctor *d, const struct statvfs *vfs)
{
	uint64_t have = (uint64_t)vfs->f_bavail * vfs->f_frsize;
	uint64_t need = d->has_image ? with_margin(d->need_bytes, MARGIN_BYTES) : 1;
	char have_text[OCI_STR_SIZE_MAX], need_text[OCI_STR_SIZE_MAX];

	oci_str_size(have, have_text);
	oci_str_size(need, need_text);
	if (vfs->f_blocks == 0)
		doctor_ok(d, "space", "the file system does not say");
	else if (have < need && d->has_image)
		doctor_fail(d, OCI_E_NOSPACE, "space", doctor_remedy(ENOSPC), "%s%s needed and %s free",
			d->needs_more ? "more than " : "", need_text, have_text);
	else if (have < need)
		doctor_fail(d, OCI_E_NOSPACE, "space", doctor_remedy(ENOSPC), "nothing is free");
	else if (d->has_image)
		doctor_ok(d, "space", "%s%s needed, %s free", d->needs_more ? "more than " : "", need_text, have_text);
	else if (have < LITTLE_BYTES)
		doctor_warn(d, "space", "name the image, too, to compare", "only %s free", have_text);
	else
		doctor_ok(d, "space", "%s free", have_text);
}

static void check_inodes(struct doctor *d, const struct statvfs *vfs)
{
	uint64_t have = vfs->f_favail, need = d->has_image ? with_margin(d->need_files, MARGIN_FILES) : 1;

	if (vfs->f_files == 0)
		doctor_ok(d, "inodes", "not counted here");
	else if (have < need)
		doctor_fail(d, OCI_E_NOSPACE, "inodes", "remove small files, or make the file system with more inodes",
			"%llu needed and %llu free", (unsigned long long)need, (unsigned long long)have);
	else if (d->has_image)
		doctor_ok(d, "inodes", "%llu needed, %llu free", (unsigned long long)need, (unsigned long long)have);
	else
		doctor_ok(d, "inodes", "%llu free", (unsigned long long)have);
}

void doctor_room(struct doctor *d)
{
	struct statvfs vfs;

	if (fstatvfs(d->place, &vfs) < 0) {
		doctor_fail(d, doctor_code(errno), "space", doctor_remedy(errno), "'%s' does not say how much is free",
			d->place_path);
		return;
	}
	check_space(d, &vfs);
	check_inodes(d, &vfs);
}
