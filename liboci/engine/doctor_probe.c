/* What the file system lets us do, tried with two files of our own. */
#include "engine/doctor_job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/temp.h"

#define PREFIX ".modelcar"
#define SUFFIX ".part"
#define TRIAL_BYTES OCI_MIB
#define SECTOR_BYTES 4096 /* what O_DIRECT is content with everywhere */

struct probe {
	struct doctor *d;
	int dir;
	int a, b;                   /* two files, -1: not made */
	char a_name[OCI_TEMP_NAME_MAX], b_name[OCI_TEMP_NAME_MAX];
	char more_name[OCI_TEMP_NAME_MAX]; /* what is renamed to, and linked to */
};

static void clear(struct probe *p)
{
	if (p->a_name[0])
		unlinkat(p->dir, p->a_name, 0);
	if (p->b_name[0])
		unlinkat(p->dir, p->b_name, 0);
	if (p->more_name[0])
		unlinkat(p->dir, p->more_name, 0);
	oci_cleanup_close(&p->a);
	oci_cleanup_close(&p->b);
}

/* may we write? */

static void say_who(char *out, size_t size)
{
	snprintf(out, size, "uid %u, gid %u", (unsigned)geteuid(), (unsigned)getegid());
}

/* Why not, and who may. */
static void advise_owner(const struct stat *st, char *out, size_t size)
{
	if (geteuid() == 0)
		snprintf(out, size, "root has no rights here (root_squash?): set securityContext.runAsUser to %u",
			(unsigned)st->st_uid);
	else if ((st->st_mode & S_IWGRP) && st->st_gid != getegid() && !group_member(st->st_gid))
		snprintf(out, size, "set securityContext.fsGroup (NFS, hostPath: supplementalGroups) to %u",
			(unsigned)st->st_gid);
	else
		snprintf(out, size,
			"set securityContext.fsGroup to %u; on NFS and hostPath, where it does nothing, chown the directory",
			(unsigned)(getegid() ? getegid() : 1000));
}

static void fail_create(struct probe *p, int sys)
{
	struct doctor *d = p->d;
	char who[64], advice[160];
	struct stat st = {0};
	enum oci_errc code = doctor_code(sys);

	say_who(who, sizeof who);
	if ((sys != EACCES && sys != EPERM) || fstat(p->dir, &st) < 0) {
		doctor_fail(d, code, "write", sys == ENOSPC ? "make room: no space or no inode is free" : doctor_remedy(sys),
			"no file can be made in '%s': %s", d->place_path, strerrordesc_np(sys));
		return;
	}
	advise_owner(&st, advice, sizeof advice);
	doctor_fail(d, code, "write", advice, "%s may not write in '%s', which is of uid %u, gid %u, mode %04o", who,
		d->place_path, (unsigned)st.st_uid, (unsigned)st.st_gid, (unsigned)(st.st_mode & 07777));
}

static bool try_create(struct probe *p)
{
	struct oci_error why = {0};
	char who[64];
	struct stat st = {0}, made = {0};

	p->a = oci_temp_file(p->dir, PREFIX, 0600, p->a_name, &why);
	if (p->a >= 0)
		p->b = oci_temp_file(p->dir, PREFIX, 0600, p->b_name, &why);
	if (p->b < 0 || oci_fs_temp_name(PREFIX, SUFFIX, p->more_name, sizeof p->more_name, &why) < 0) {
		fail_create(p, why.sys);
		return false;
	}
	say_who(who, sizeof who);
	if (fstat(p->dir, &st) == 0 && fstat(p->a, &made) == 0 && made.st_uid != geteuid())
		doctor_warn(p->d, "write", "a server that maps users: every puller maps to the same one",
			"%s may write in '%s', and its files become uid %u, gid %u", who, p->d->place_path,
			(unsigned)made.st_uid, (unsigned)made.st_gid);
	else
		doctor_ok(p->d, "write", "%s may write in '%s', which is of uid %u, gid %u, mode %04o", who, p->d->place_path,
			(unsigned)st.st_uid, (unsigned)st.st_gid, (unsigned)(st.st_mode & 07777));
	return true;
}

/* space and durability */

static bool is_unsupported(int sys)
{
	return sys == EOPNOTSUPP || sys == ENOSYS || sys == EINVAL;
}

static void fail_call(struct probe *p, const char *what, int sys)
{
	doctor_fail(p->d, doctor_code(sys), what, doctor_remedy(sys), "refused in '%s': %s", p->d->place_path,
		strerrordesc_np(sys));
}

static void try_fallocate(struct probe *p)
{
	if (fallocate(p->a, 0, 0, TRIAL_BYTES) == 0)
		doctor_ok(p->d, "fallocate", "space can be reserved");
	else if (is_unsupported(errno))
		doctor_warn(p->d, "fallocate", "see that there is room: a full volume shows in the middle of a pull",
			"space cannot be reserved here");
	else
		fail_call(p, "fallocate", errno);
}

/* Servers tell of a quota or an error as late as here. */
static void try_fsync(struct probe *p)
{
	uint64_t begin = oci_clock_ms();
	struct oci_error why = {0};
	char block[SECTOR_BYTES];

	memset(block, 'm', sizeof block);
	for (uint64_t at = 0; at < TRIAL_BYTES && why.code == OCI_OK; at += sizeof block)
		oci_fs_pwrite_all(p->a, block, sizeof block, at, &why);
	if (why.code == OCI_OK)
		oci_fs_sync(p->a, &why);
	if (why.code == OCI_OK)
		oci_fs_sync(p->dir, &why);
	if (why.code != OCI_OK)
		fail_call(p, "fsync", why.sys);
	else
		doctor_ok(p->d, "fsync", "1 MiB written and made durable in %llu ms",
			(unsigned long long)(oci_clock_ms() - begin));
}

/* O_DIRECT cannot be asked for a file that is open already. */
static void try_direct(struct probe *p)
{
	oci_autoclose int fd = oci_fs_open_beneath(p->dir, p->a_name, O_WRONLY | O_DIRECT, 0, NULL);
	void *sector = NULL;

	if (fd >= 0 && posix_memalign(&sector, SECTOR_BYTES, SECTOR_BYTES) == 0) {
		memset(sector, 'd', SECTOR_BYTES);
		if (pwrite(fd, sector, SECTOR_BYTES, 0) == SECTOR_BYTES)
			doctor_ok(p->d, "direct", "O_DIRECT works");
		else
			doctor_ok(p->d, "direct", "no O_DIRECT: bytes go through the page cache");
		free(sector);
		return;
	}
	doctor_ok(p->d, "direct", "no O_DIRECT: bytes go through the page cache");
}

/* names */

static void try_rename(struct probe *p)
{
	struct oci_error why = {0};

	if (oci_fs_rename_new(p->dir, p->a_name, p->dir, p->more_name, &why) < 0) {
		fail_call(p, "rename", why.sys);
		return;
	}
	memcpy(p->a_name, p->more_name, sizeof p->a_name);
	(void)oci_fs_temp_name(PREFIX, SUFFIX, p->more_name, sizeof p->more_name, NULL);
	doctor_ok(p->d, "rename", "works");
}

static void try_exchange(struct probe *p)
{
	if (renameat2(p->dir, p->a_name, p->dir, p->b_name, RENAME_EXCHANGE) == 0)
		doctor_ok(p->d, "exchange", "two names change places in one step");
	else
		doctor_warn(p->d, "exchange", "use --publish version where readers must never miss the path",
			"RENAME_EXCHANGE is refused (%s): an old tree is moved aside before the new one comes",
			strerrordesc_np(errno));
}

/* The first file of the tree that is there, which may be another user's
 * (fs.protected_hardlinks), else one of our own. */
static int link_something(struct probe *p, bool *shared)
{
	OCI_CLEANUP(oci_record_clear) struct oci_record record = {0};
	oci_autoclose int parent = -1;
	const char *base = NULL;

	*shared = false;
	if (p->d->dest >= 0 && oci_record_find(p->d->options->dest, &record, NULL) == 0 && record.listing.count > 0 &&
		!record.listing.files[0].link)
		parent = oci_fs_parent_beneath(p->d->dest, record.listing.files[0].path, &base, NULL);
	*shared = parent >= 0;
	if (*shared && linkat(parent, base, p->dir, p->more_name, 0) == 0)
		return 0;
	if (*shared && errno != ENOENT)
		return -1;
	*shared = false;
	return linkat(p->dir, p->a_name, p->dir, p->more_name, 0);
}

static void try_link(struct probe *p)
{
	bool shared;

	if (link_something(p, &shared) == 0) {
		doctor_ok(p->d, "link", "%s", shared ? "files of the tree that is there can be shared" : "works");
		unlinkat(p->dir, p->more_name, 0);
		return;
	}
	doctor_warn(p->d, "link",
		shared ? "pull as the user who owns the tree (fs.protected_hardlinks), or count unchanged files as new space"
		       : "count unchanged files as new space",
		"hard links are refused%s (%s): unchanged files are copied", shared ? " on the tree that is there" : "",
		strerrordesc_np(errno));
}

static void try_symlink(struct probe *p)
{
	if (symlinkat("a", p->dir, p->more_name) == 0) {
		doctor_ok(p->d, "symlink", "works");
		unlinkat(p->dir, p->more_name, 0);
		return;
	}
	doctor_warn(p->d, "symlink", "do not use --publish version here", "symbolic links are refused (%s)",
		strerrordesc_np(errno));
}

/* A lock that is granted twice is none. What other machines see is not known from here. */
static void try_lock(struct probe *p)
{
	oci_autoclose int again = oci_fs_open_beneath(p->dir, p->a_name, O_RDWR, 0, NULL);
	const char *next = "nothing: writers take turns by a lease file";

	if (flock(p->a, LOCK_EX | LOCK_NB) < 0)
		doctor_warn(p->d, "lock", next, "flock is refused (%s)", strerrordesc_np(errno));
	else if (again >= 0 && flock(again, LOCK_EX | LOCK_NB) == 0)
		doctor_warn(p->d, "lock", next, "flock lies: it was granted twice");
	else if (p->d->is_mounted && oci_mount_is_shared(&p->d->mount))
		doctor_ok(p->d, "lock", "flock works on this machine; others are not relied on to see it");
	else
		doctor_ok(p->d, "lock", "flock works");
}

bool doctor_probe(struct doctor *d)
{
	OCI_CLEANUP(clear) struct probe p = {.d = d, .dir = d->place, .a = -1, .b = -1};

	if (!try_create(&p))
		return false;
	try_fallocate(&p);
	try_fsync(&p);
	try_direct(&p);
	try_rename(&p);
	try_exchange(&p);
	try_link(&p);
	try_symlink(&p);
	try_lock(&p);
	return true;
}
