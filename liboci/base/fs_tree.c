/* Trees: walked, removed, moved. */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define NAMES_MAX 10000000 /* in one directory */

/* Across mounts: no link is in the way here. */
static int fail_rename(struct oci_error *err, int sys, const char *to)
{
	char safe[OCI_STR_ESCAPE_MAX];

	if (sys != EXDEV)
		return oci_fs_fail(err, sys, "rename to", to);
	return oci_fail_sys(err, sys, OCI_E_IO, "cannot rename to '%s'", oci_str_escape(to, safe));
}

int oci_fs_rename_new(int from_dir, const char *from, int to_dir, const char *to, struct oci_error *err)
{
	struct stat st;

	if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return fail_rename(err, errno, to);
	if (fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return oci_fs_fail(err, EEXIST, "rename to", to);
	if (errno != ENOENT)
		return oci_fs_fail(err, errno, "look at", to);
	if (renameat(from_dir, from, to_dir, to) < 0)
		return fail_rename(err, errno, to);
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(struct oci_strings *names, const char *name, struct oci_error *err)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (names->count == NAMES_MAX)
		return oci_fail(err, OCI_E_UNSUPPORTED, "more than %d names in one directory", NAMES_MAX);
	return oci_strings_add(names, name, err);
}

/* The sorted names in a directory, read at once: no descriptor is kept, and
 * what happens to the entries does not disturb the reading. */
static int list_names(int dir, struct oci_strings *names, struct oci_error *err)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (!stream) {
		oci_cleanup_close(&fd);
		return oci_fail_sys(err, errno, OCI_E_IO, "cannot read a directory");
	}
	for (errno = 0; rc == 0 && (entry = readdir(stream)); errno = 0)
		rc = add_name(names, entry->d_name, err);
	if (rc == 0 && errno)
		rc = oci_fail_sys(err, errno, OCI_E_IO, "cannot read a directory");
	closedir(stream);
	if (names->count > 1)
		qsort(names->items, names->count, sizeof *names->items, compare_names);
	return rc;
}

/* The walk keeps one list of names and one descriptor a level. */
struct walk {
	oci_fs_visit visit;
	void *ctx;
	char path[4096];
	unsigned depth;
};

static int walk_dir(struct walk *walk, int dir, size_t len, struct oci_error *err);

static int enter_dir(struct walk *walk, int parent, const char *name, size_t len, struct oci_error *err)
{
	oci_autoclose int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc;

	if (dir < 0)
		return oci_fs_fail(err, errno, "open directory", walk->path);
	if (walk->depth == OCI_FS_DEPTH_MAX)
		return oci_fail(err, OCI_E_UNSUPPORTED, "directories are nested more than %d deep",
			OCI_FS_DEPTH_MAX);
	walk->depth++;
	rc = walk_dir(walk, dir, len, err);
	walk->depth--;
	return rc;
}

static int visit_entry(struct walk *walk, int dir, const char *name, size_t len, struct oci_error *err)
{
	int added = snprintf(walk->path + len, sizeof walk->path - len, "%s%s", len ? "/" : "", name);
	struct stat st;
	int rc;

	if (added < 0 || (size_t)added >= sizeof walk->path - len)
		return oci_fail(err, OCI_E_UNSUPPORTED, "a path is longer than %zu bytes", sizeof walk->path - 1);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) /* gone meanwhile: it never was there */
		return errno == ENOENT ? 0 : oci_fs_fail(err, errno, "look at", walk->path);
	rc = walk->visit(walk->ctx, walk->path, &st, err);
	if (rc == 0 && S_ISDIR(st.st_mode))
		rc = enter_dir(walk, dir, name, len + (size_t)added, err);
	walk->path[len] = '\0';
	return rc < 0 ? -1 : 0;
}

static int walk_dir(struct walk *walk, int dir, size_t len, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings names = {0};

	if (list_names(dir, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		if (visit_entry(walk, dir, names.items[i], len, err) < 0)
			return -1;
	return 0;
}

int oci_fs_walk(int dir, oci_fs_visit visit, void *ctx, struct oci_error *err)
{
	oci_autofree struct walk *walk = calloc(1, sizeof *walk);

	if (!walk)
		return oci_fail_nomem(err);
	walk->visit = visit;
	walk->ctx = ctx;
	return walk_dir(walk, dir, 0, err);
}

static int remove_entry(int dir, const char *name, unsigned depth, struct oci_error *err);

static int remove_content(int parent, const char *name, unsigned depth, struct oci_error *err)
{
	oci_autoclose int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	OCI_CLEANUP(oci_strings_clear) struct oci_strings names = {0};

	if (dir < 0 && errno == ENOENT)
		return 0; /* the caller's next call says what it is */
	if (dir < 0 || depth == OCI_FS_DEPTH_MAX)
		return oci_fs_fail(err, dir < 0 ? errno : ELOOP, "remove", name);
	if (list_names(dir, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		if (remove_entry(dir, names.items[i], depth + 1, err) < 0)
			return -1;
	return 0;
}

static int remove_entry(int dir, const char *name, unsigned depth, struct oci_error *err)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	int sys = errno;

	if (sys != EISDIR && sys != EPERM)
		return oci_fs_fail(err, sys, "remove", name);
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno == ENOTDIR) /* a file, and it was the file's own EPERM */
		return oci_fs_fail(err, sys, "remove", name);
	if (remove_content(dir, name, depth, err) < 0)
		return -1;
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return oci_fs_fail(err, errno, "remove", name);
	return 0;
}

int oci_fs_remove_tree(int dir, const char *name, struct oci_error *err)
{
	return remove_entry(dir, name, 0, err);
}

int oci_fs_read_link(int dir, const char *path, char **ret, struct oci_error *err)
{
	const char *base;
	oci_autoclose int parent = oci_fs_parent_beneath(dir, path, &base, err);
	char safe[OCI_STR_ESCAPE_MAX];
	char target[4096];
	ssize_t len;

	if (parent < 0)
		return -1;
	len = readlinkat(parent, base, target, sizeof target);
	if (len < 0 && errno == EINVAL)
		return oci_fail(err, OCI_E_FORMAT, "'%s' is no link", oci_str_escape(path, safe));
	if (len < 0)
		return oci_fs_fail(err, errno, "read link", path);
	if (len == sizeof target)
		return oci_fail(err, OCI_E_UNSUPPORTED, "the target of link '%s' is too long",
			oci_str_escape(path, safe));
	target[len] = '\0';
	return oci_str_set(ret, target, err);
}

void oci_fs_remove_old(int dir, const char *prefix, time_t life_s)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
	time_t oldest = time(NULL) - life_s;
	struct dirent *entry;
	struct stat st;

	if (!list) {
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((entry = readdir(list))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		    st.st_mtime < oldest)
			unlinkat(dir, entry->d_name, 0);
	}
	closedir(list);
}

static bool same_dir(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool oci_fs_is_within(int dir, int above)
{
	oci_autoclose int at = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	struct stat want, here, last = {0};

	if (fstat(above, &want) < 0)
		return false;
	while (at >= 0 && fstat(at, &here) == 0) {
		int up;

		if (same_dir(&here, &want))
			return true;
		if (same_dir(&here, &last)) /* the root is its own parent */
			return false;
		last = here;
		up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = up;
	}
	return false;
}
