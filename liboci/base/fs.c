#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define PATH_BYTES 4095
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY)

int oci_fs_fail(struct oci_error *err, int sys, const char *what, const char *path)
{
	enum oci_errc code = OCI_E_IO;
	char safe[OCI_STR_ESCAPE_MAX];

	if (sys == ENOENT)
		code = OCI_E_NOT_FOUND;
	else if (sys == EEXIST)
		code = OCI_E_OCCUPIED;
	else if (sys == ELOOP || sys == EXDEV || sys == ENOTDIR)
		code = OCI_E_FORMAT;
	return oci_fail_sys(err, sys, code, "cannot %s '%s'", what, oci_str_escape(path, safe));
}

static bool component_ok(const char *name, size_t len)
{
	if (len == 0 || len > NAME_MAX)
		return false;
	return name[0] != '.' || (len > 1 && (name[1] != '.' || len > 2));
}

bool oci_fs_path_ok(const char *path)
{
	const char *at = path;

	for (unsigned depth = 1; depth <= OCI_FS_DEPTH_MAX; depth++) {
		size_t len = strcspn(at, "/");

		if (!component_ok(at, len))
			return false;
		at += len;
		if (*at == '\0')
			return at - path <= PATH_BYTES;
		at++;
	}
	return false;
}

static int check_path(const char *path, struct oci_error *err)
{
	char safe[OCI_STR_ESCAPE_MAX];

	if (oci_fs_path_ok(path))
		return 0;
	return oci_fail(err, OCI_E_FORMAT, "path '%s' is not a clean relative path",
		oci_str_escape(path, safe));
}

/* openat() of one component (or "."), never through a link. */
static int open_component(int dir, const char *name, int flags, mode_t mode)
{
	int fd;

	do {
		fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
	} while (fd < 0 && errno == EINTR);
	return fd;
}

/* Copies the component at `*path` and steps behind it; false at the end. */
static bool next_component(const char **path, char name[NAME_MAX + 1])
{
	size_t len = strcspn(*path, "/");

	if (len == 0)
		return false;
	memcpy(name, *path, len);
	name[len] = '\0';
	*path += len;
	*path += **path == '/';
	return true;
}

/* What openat2() does in the kernel, a component at a time. */
static int open_by_components(int dir, const char *path, int flags, mode_t mode)
{
	oci_autoclose int parent = -1;
	char name[NAME_MAX + 1];

	while (next_component(&path, name) && *path) {
		int next = open_component(parent >= 0 ? parent : dir, name, O_PATH | O_DIRECTORY, 0);

		if (next < 0)
			return -1;
		if (parent >= 0)
			close(parent);
		parent = next;
	}
	return open_component(parent >= 0 ? parent : dir, name, flags, mode);
}

static int open_in_kernel(int dir, const char *path, int flags, mode_t mode)
{
	bool creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
	struct open_how how = {
		.flags = (unsigned)(flags | O_NOFOLLOW | O_CLOEXEC),
		.mode = creates ? mode : 0, /* openat2() refuses one that is not used */
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	long fd;

	do {
		fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
	} while (fd < 0 && errno == EINTR);
	return (int)fd;
}

/* A kernel before 5.6 says ENOSYS, an older container runtime's filter EPERM.
 * Where EPERM is the file's own, the second way says so again. */
static int open_resolved(int dir, const char *path, int flags, mode_t mode)
{
	int fd = open_in_kernel(dir, path, flags, mode);

	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = open_by_components(dir, path, flags, mode);
	return fd;
}

/* The path is the user's word, so what is wrong with it is no malformed content. */
int oci_fs_open_dir(const char *path, struct oci_error *err)
{
	int fd;

	do {
		fd = open(path, DIR_FLAGS | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd >= 0)
		return fd;
	oci_fs_fail(err, errno, "open directory", path);
	if (err && err->code == OCI_E_FORMAT)
		err->code = OCI_E_USAGE;
	return -1;
}

int oci_fs_open_dir_beneath(int dir, const char *path, struct oci_error *err)
{
	int fd;

	if (*path == '\0' || strcmp(path, ".") == 0)
		fd = open_component(dir, ".", DIR_FLAGS, 0);
	else if (check_path(path, err) < 0)
		return -1;
	else
		fd = open_resolved(dir, path, DIR_FLAGS, 0);
	return fd < 0 ? oci_fs_fail(err, errno, "open directory", path) : fd;
}

int oci_fs_open_beneath(int dir, const char *path, int flags, mode_t mode, struct oci_error *err)
{
	int fd;

	if (check_path(path, err) < 0)
		return -1;
	fd = open_resolved(dir, path, flags, mode);
	return fd < 0 ? oci_fs_fail(err, errno, flags & O_CREAT ? "create" : "open", path) : fd;
}

/* The umask does not apply, and setgid that the file system hands down from
 * the parent stays. */
static int set_dir_mode(int fd, mode_t mode)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	return fchmod(fd, mode | (st.st_mode & S_ISGID));
}

/* Make one directory unless it is there; returns its descriptor or -1. */
static int make_dir(int parent, const char *name, mode_t mode)
{
	bool made = mkdirat(parent, name, mode) == 0;
	oci_autoclose int fd = -1;

	if (!made && errno != EEXIST)
		return -1;
	fd = open_component(parent, name, DIR_FLAGS, 0);
	if (fd < 0 || (made && set_dir_mode(fd, mode) < 0))
		return -1;
	return oci_steal_fd(&fd);
}

int oci_fs_mkdirs_beneath(int dir, const char *path, mode_t mode, struct oci_error *err)
{
	oci_autoclose int parent = -1;
	char name[NAME_MAX + 1];
	const char *at = path;

	if (check_path(path, err) < 0)
		return -1;
	while (next_component(&at, name)) {
		int next = make_dir(parent >= 0 ? parent : dir, name, mode);

		if (next < 0)
			return oci_fs_fail(err, errno, "make directory", path);
		if (parent >= 0)
			close(parent);
		parent = next;
	}
	return 0;
}

int oci_fs_parent_beneath(int dir, const char *path, const char **base, struct oci_error *err)
{
	char parent[PATH_BYTES + 1];
	const char *slash;
	size_t len;
	int fd;

	if (check_path(path, err) < 0)
		return -1;
	slash = strrchr(path, '/');
	len = slash ? (size_t)(slash - path) : 0;
	memcpy(parent, path, len);
	parent[len] = '\0';
	fd = oci_fs_open_dir_beneath(dir, parent, err);
	if (fd >= 0)
		*base = slash ? slash + 1 : path;
	return fd;
}

/* Without slashes at its end, which would follow a link. */
static char *trim(const char *path, struct oci_error *err)
{
	char *ret = strdup(path);
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (ret)
		ret[len] = '\0';
	else
		oci_fail_nomem(err);
	return ret;
}

/* Trimmed, and resolved where its last component is "." or "..", which name no entry of a parent. */
static char *entry_path(const char *path, struct oci_error *err)
{
	oci_autofree char *entry = trim(path, err);
	const char *last;

	if (!entry)
		return NULL;
	last = strrchr(entry, '/');
	last = last ? last + 1 : entry;
	if (strcmp(last, ".") != 0 && strcmp(last, "..") != 0)
		return oci_steal(&entry);
	free(entry);
	entry = realpath(path, NULL);
	if (!entry)
		oci_fs_fail(err, errno, "resolve", path);
	return oci_steal(&entry);
}

int oci_fs_open_parent(const char *path, char **name, struct oci_error *err)
{
	oci_autofree char *parent = entry_path(path, err);
	oci_autofree char *last = NULL;
	struct oci_error why = {0};
	char *slash;
	int fd;

	if (!parent)
		return -1;
	slash = strrchr(parent, '/');
	last = strdup(slash ? slash + 1 : parent);
	if (!last)
		return oci_fail_nomem(err);
	if (*last == '\0')
		return oci_fail(err, OCI_E_USAGE, "path '%s' names no entry of a directory", path);
	if (slash)
		slash[slash == parent] = '\0'; /* "/name" is in "/" */
	fd = oci_fs_open_dir(slash ? parent : ".", &why);
	if (fd < 0 && why.sys == EACCES) /* one that may be passed but not listed serves as well */
		fd = open(slash ? parent : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		*name = oci_steal(&last);
	else if (err)
		*err = why;
	return fd;
}

char *oci_fs_follow(const char *path, struct oci_error *err)
{
	oci_autofree char *link = trim(path, err);
	struct stat st;
	char *real;

	if (!link)
		return NULL;
	if (lstat(link, &st) < 0 || !S_ISLNK(st.st_mode))
		return oci_steal(&link);
	real = realpath(link, NULL);
	if (!real && (errno == ENOENT || errno == ELOOP))
		oci_fail(err, OCI_E_NOT_FOUND, "'%s' is a link that leads nowhere; remove it or name another path", path);
	else if (!real)
		oci_fs_fail(err, errno, "follow link", path);
	return real;
}

int oci_fs_open_real_parent(const char *path, char **name, struct oci_error *err)
{
	oci_autofree char *real = oci_fs_follow(path, err);

	return real ? oci_fs_open_parent(real, name, err) : -1;
}

char *oci_fs_absolute(const char *path, struct oci_error *err)
{
	oci_autofree char *here = *path == '/' ? strdup("") : getcwd(NULL, 0);
	char *ret = here ? oci_str_printf("%s%s%s", here, *path == '/' ? "" : "/", path) : NULL;

	if (!here && errno != ENOMEM)
		oci_fs_fail(err, errno, "find", ".");
	else if (!ret)
		oci_fail_nomem(err);
	return ret;
}
