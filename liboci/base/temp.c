#include "base/temp.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"

#define SUFFIX ".part"
#define HEX_DIGITS 16
#define SECONDS_TO_LOCK 10
#define SECONDS_UNTOUCHED (24 * 3600)

/* Where locks do not work the temporary is as good; it is swept later. */
static void lock(int fd)
{
	(void)flock(fd, LOCK_EX | LOCK_NB);
}

int oci_temp_file(int dir, const char *prefix, mode_t mode, char name[OCI_TEMP_NAME_MAX], struct oci_error *err)
{
	char fresh[OCI_TEMP_NAME_MAX];
	int fd;

	if (oci_fs_temp_name(prefix, SUFFIX, fresh, sizeof fresh, err) < 0)
		return -1;
	fd = oci_fs_open_beneath(dir, fresh, O_RDWR | O_CREAT | O_EXCL, mode, err);
	if (fd < 0)
		return -1;
	lock(fd);
	memcpy(name, fresh, sizeof fresh);
	return fd;
}

int oci_temp_dir(int dir, const char *prefix, char name[OCI_TEMP_NAME_MAX], struct oci_error *err)
{
	char fresh[OCI_TEMP_NAME_MAX];
	int fd;

	if (oci_fs_temp_name(prefix, SUFFIX, fresh, sizeof fresh, err) < 0 ||
		oci_fs_mkdirs_beneath(dir, fresh, 0700, err) < 0)
		return -1;
	fd = oci_fs_open_dir_beneath(dir, fresh, err);
	if (fd < 0) {
		unlinkat(dir, fresh, AT_REMOVEDIR);
		return -1;
	}
	lock(fd);
	memcpy(name, fresh, sizeof fresh);
	return fd;
}

/* Exactly what oci_fs_temp_name() makes: nobody else's file is ever swept. */
static bool is_temp(const char *name, const char *prefix)
{
	const char *hex;

	if (!oci_str_starts(name, prefix) || name[strlen(prefix)] != '.')
		return false;
	hex = name + strlen(prefix) + 1;
	return strspn(hex, "0123456789abcdef") == HEX_DIGITS && strcmp(hex + HEX_DIGITS, SUFFIX) == 0;
}

/* A lock that another host or container holds is seen here, too. */
static bool has_true_locks(int fd)
{
	static const unsigned long local[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,
		TMPFS_MAGIC, OVERLAYFS_SUPER_MAGIC};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof local / sizeof *local; i++)
		if ((unsigned long)fs.f_type == local[i])
			return true;
	return false;
}

static int take_latest(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	time_t *latest = ctx;

	if (st->st_mtime > *latest)
		*latest = st->st_mtime;
	return 0;
}

/* Seconds since the last change of the file, or of anything in the directory;
 * 0 when that is not known. */
static time_t untouched(int fd)
{
	struct stat st;
	time_t latest, now = time(NULL);

	if (fstat(fd, &st) < 0)
		return 0;
	latest = st.st_mtime;
	if (S_ISDIR(st.st_mode) && oci_fs_walk(fd, take_latest, &latest, NULL) < 0)
		return 0;
	return now > latest ? now - latest : 0;
}

static bool is_abandoned(int fd)
{
	bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;

	if (!locked && errno == EWOULDBLOCK)
		return false;
	return untouched(fd) > (locked && has_true_locks(fd) ? SECONDS_TO_LOCK : SECONDS_UNTOUCHED);
}

struct sweep {
	int dir;
	const char *prefix;
};

static int sweep_entry(void *ctx, const char *name, const struct stat *st, struct oci_error *err)
{
	const struct sweep *sweep = ctx;
	oci_autoclose int fd = -1;

	if (!is_temp(name, sweep->prefix))
		return 1;
	if (S_ISLNK(st->st_mode) && time(NULL) > st->st_mtime + SECONDS_TO_LOCK) /* made and renamed at once */
		(void)unlinkat(sweep->dir, name, 0);
	if (!(S_ISDIR(st->st_mode) || S_ISREG(st->st_mode)))
		return 1;
	fd = oci_fs_open_beneath(sweep->dir, name, O_RDONLY | O_NONBLOCK, 0, NULL);
	if (fd >= 0 && is_abandoned(fd))
		(void)oci_fs_remove_tree(sweep->dir, name, NULL);
	return 1;
}

void oci_temp_sweep(int dir, const char *prefix)
{
	struct sweep sweep = {dir, prefix};

	(void)oci_fs_walk(dir, sweep_entry, &sweep, NULL);
}
