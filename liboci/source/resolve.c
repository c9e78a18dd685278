#include "source/resolve.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"

#define HOPS_MAX 40 /* as the kernel */

struct resolution {
	int boundary;
	char *done;          /* no links in it */
	char todo[PATH_MAX]; /* still to be followed */
	unsigned hops;
};

static int too_long(struct oci_error *err)
{
	return oci_fail(err, OCI_E_SOURCE, "leads to a path that is too long");
}

/* Move the next component of todo to `name`; false at the end. */
static bool next_component(struct resolution *r, char name[PATH_MAX])
{
	const char *start = r->todo + strspn(r->todo, "/");
	size_t len = strcspn(start, "/");

	if (!len)
		return false;
	memcpy(name, start, len);
	name[len] = '\0';
	memmove(r->todo, start + len, strlen(start + len) + 1);
	return true;
}

static void pop_component(struct resolution *r)
{
	char *slash = strrchr(r->done, '/');
	*(slash ? slash : r->done) = '\0';
}

static int push_component(struct resolution *r, const char *name, struct oci_error *err)
{
	size_t used = strlen(r->done);
	int n = snprintf(r->done + used, PATH_MAX - used, "%s%s", used ? "/" : "", name);

	if (n < 0 || (size_t)n >= PATH_MAX - used)
		return too_long(err);
	return 0;
}

/* The kernel's name of an open directory; false where /proc does not say. */
static bool real_path(int dir, char real[PATH_MAX])
{
	char proc[64];
	ssize_t len;

	snprintf(proc, sizeof proc, "/proc/self/fd/%d", dir);
	len = readlink(proc, real, PATH_MAX - 1);
	real[len < 0 ? 0 : len] = '\0';
	return len > 0;
}

/* An absolute target that begins with the boundary's own path, relative to the
 * boundary; NULL for any other. */
static const char *below_boundary(const struct resolution *r, const char *target)
{
	char real[PATH_MAX];
	size_t len;

	if (!real_path(r->boundary, real) || !oci_str_starts(target, real))
		return NULL;
	len = strlen(real);
	return target[len] == '/' ? target + len + 1 : NULL;
}

/* Put the target of the link `name` in `parent` before what is still to do. */
static int follow_link(struct resolution *r, int parent, const char *name, struct oci_error *err)
{
	char target[PATH_MAX], rest[PATH_MAX];
	ssize_t len = readlinkat(parent, name, target, sizeof target);

	if (len < 0)
		return oci_fail_sys(err, errno, OCI_E_SOURCE, "cannot read a link");
	if ((size_t)len == sizeof target)
		return too_long(err);
	target[len] = '\0';
	if (++r->hops > HOPS_MAX)
		return oci_fail(err, OCI_E_SOURCE, "leads through more than %d links", HOPS_MAX);
	const char *to = target[0] == '/' ? below_boundary(r, target) : target;
	if (!to)
		return oci_fail(err, OCI_E_SOURCE, "is or leads to an absolute link that leaves the model directory");

	memcpy(rest, r->todo, sizeof rest);
	int n = snprintf(r->todo, sizeof r->todo, "%s%s", to, rest);
	if (n < 0 || (size_t)n >= sizeof r->todo)
		return too_long(err);
	if (to == target)
		pop_component(r);
	else
		r->done[0] = '\0';
	return 0;
}

static int enter(struct resolution *r, const char *name, struct stat *st, struct oci_error *err)
{
	const char *base;

	if (!strcmp(name, "."))
		return 0;
	if (!strcmp(name, "..")) {
		if (!*r->done)
			return oci_fail(err, OCI_E_SOURCE, "leads out of the model directory");
		pop_component(r);
		return 0;
	}
	if (push_component(r, name, err) < 0)
		return -1;

	oci_autoclose int parent = oci_fs_parent_beneath(r->boundary, r->done, &base, err);
	if (parent < 0)
		return -1;
	if (fstatat(parent, base, st, AT_SYMLINK_NOFOLLOW) < 0)
		return oci_fail_sys(err, errno, OCI_E_SOURCE, "leads nowhere");
	if (S_ISLNK(st->st_mode))
		return follow_link(r, parent, base, err);
	return 0;
}

/* What `path` is, once nothing is left to follow. */
static int stat_beneath(int boundary, const char *path, struct stat *st, struct oci_error *err)
{
	const char *base;

	if (!*path)
		return fstat(boundary, st) < 0 ? oci_fail_sys(err, errno, OCI_E_SOURCE, "cannot stat") : 0;
	oci_autoclose int parent = oci_fs_parent_beneath(boundary, path, &base, err);
	if (parent < 0)
		return -1;
	if (fstatat(parent, base, st, AT_SYMLINK_NOFOLLOW) < 0)
		return oci_fail_sys(err, errno, OCI_E_SOURCE, "leads nowhere");
	return 0;
}

int oci_resolve(int boundary, const char *path, char out[PATH_MAX], struct stat *st, struct oci_error *err)
{
	struct resolution r = {.boundary = boundary, .done = out};
	char name[PATH_MAX];

	if (strlen(path) >= sizeof r.todo)
		return too_long(err);
	memcpy(r.todo, path, strlen(path) + 1);
	out[0] = '\0';
	while (next_component(&r, name)) {
		if (enter(&r, name, st, err) < 0)
			return -1;
	}
	return stat_beneath(boundary, out, st, err);
}

/* The part of `path` below its last models--* component, when that is
 * snapshots/<revision>...; NULL elsewhere. */
static const char *below_model(const char *path)
{
	const char *found = NULL;

	for (const char *p = strstr(path, "/models--"); p; p = strstr(p + 1, "/models--")) {
		const char *below = strchr(p + 1, '/');
		if (below && oci_str_starts(below, "/snapshots/") && below[strlen("/snapshots/")])
			found = below + 1;
	}
	return found;
}

/* Open the directory that is as many levels up as `below` has components. */
static int open_above(int dir, const char *below)
{
	oci_autoclose int at = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (const char *p = strchr(below, '/'); p && at >= 0; p = strchr(p + 1, '/')) {
		int up = openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = up;
	}
	return oci_steal_fd(&at);
}

static bool same_inode(int a, int b)
{
	struct stat sa, sb;
	return !fstat(a, &sa) && !fstat(b, &sb) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

int oci_resolve_boundary(int dir, int *fd, char **path, struct oci_error *err)
{
	char real[PATH_MAX];

	*fd = -1;
	*path = NULL;
	if (!real_path(dir, real))
		return 0;
	const char *below = below_model(real);
	if (!below)
		return 0;

	oci_autoclose int boundary = open_above(dir, below);
	if (boundary < 0)
		return 0;
	/* The text came from the kernel, yet may be stale: the way down must end where we stand. */
	oci_autoclose int again = oci_fs_open_dir_beneath(boundary, below, NULL);
	if (again < 0 || !same_inode(again, dir))
		return 0;
	if (oci_str_set(path, below, err) < 0)
		return -1;
	*fd = oci_steal_fd(&boundary);
	return 0;
}
