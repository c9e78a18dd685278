#include "source/dir.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "source/resolve.h"

#define FILES_MAX 1000000
#define LINK_DEPTH_MAX 8 /* linked directories inside linked directories */
#define OWN_PREFIX ".modelcar"
#define WHITEOUT_PREFIX ".wh."

static const char *const default_excludes[] = {
	".git",
	".hg",
	".svn",
	".cache",
	"lost+found",
	".snapshot",
	".ipynb_checkpoints",
	"__pycache__",
	"*.pyc",
	"*~",
	"*.swp",
	"*.swo",
	"#*#",
	".#*",
	".idea",
	".vscode",
	".nfs*",
	".DS_Store",
	"._*",
	"Thumbs.db",
	"desktop.ini",
};
#define DEFAULT_EXCLUDES (sizeof default_excludes / sizeof *default_excludes)

struct scan {
	const struct oci_dir_options *options;
	struct oci_dir dir;
	size_t files_max;
	size_t file_cap, skipped_cap;
	size_t entries; /* all that was visited: links to directories multiply them */
};

/* One walk: of the directory itself, or of one that a link leads to. Paths in
 * `at` and `link_dir` are below the boundary and free of links. */
struct walk {
	struct scan *scan;
	const struct walk *outer;
	const char *name;     /* its path in the model, "" for the directory itself */
	const char *at;       /* where it is */
	const char *link_dir; /* where the link lies that led here; NULL for the directory itself */
	unsigned depth;
};

static char *join(const char *a, const char *b)
{
	return *a ? oci_str_printf("%s/%s", a, b) : oci_str_printf("%s", b);
}

/* Whatever keeps a source from being read is the source's failure, bar the
 * process's own. */
static int fail_source(struct oci_error *err)
{
	if (err && (err->code == OCI_E_PERM || err->code == OCI_E_IO || err->code == OCI_E_NOT_FOUND ||
			   err->code == OCI_E_FORMAT))
		err->code = OCI_E_SOURCE;
	return -1;
}

static int refuse(const char *path, const char *why, struct oci_error *err)
{
	char name[OCI_STR_ESCAPE_MAX];
	return oci_fail(err, OCI_E_SOURCE, "'%s' %s", oci_str_escape(path, name), why);
}

static int wrap_name(const char *path, struct oci_error *err)
{
	char name[OCI_STR_ESCAPE_MAX];

	oci_wrap(err, "'%s'", oci_str_escape(path, name));
	return fail_source(err);
}

/* Room for one more item of `size` bytes; the array, moved perhaps, or NULL. */
static void *grow(void *items, size_t count, size_t *cap, size_t size, struct oci_error *err)
{
	if (count < *cap)
		return items;
	size_t cap_new = *cap ? 2 * *cap : 64;
	void *grown = reallocarray(items, cap_new, size);
	if (!grown) {
		oci_fail_nomem(err);
		return NULL;
	}
	*cap = cap_new;
	return grown;
}

static int add_skipped(
	struct scan *scan, const char *path, const char *kind, const char *why, struct oci_error *err)
{
	struct oci_dir *dir = &scan->dir;
	struct oci_dir_skipped *items =
		grow(dir->skipped, dir->skipped_count, &scan->skipped_cap, sizeof *items, err);

	if (!items)
		return -1;
	dir->skipped = items;
	oci_autofree char *path_copy = strdup(path);
	oci_autofree char *why_copy = oci_str_printf("%s%s", kind, why);
	if (!path_copy || !why_copy)
		return oci_fail_nomem(err);
	items[dir->skipped_count++] =
		(struct oci_dir_skipped){.path = oci_steal(&path_copy), .why = oci_steal(&why_copy)};
	return 0;
}

static bool matches(const char *pattern, const char *path, bool is_dir)
{
	if (oci_str_glob(pattern, path))
		return true;
	if (!is_dir || !oci_str_ends(pattern, "/"))
		return false;
	oci_autofree char *as_dir = oci_str_printf("%s/", path);
	return as_dir && oci_str_glob(pattern, as_dir);
}

static bool included(const struct scan *scan, const char *path)
{
	const struct oci_strings *include = scan->options->include;

	if (scan->options->only)
		return scan->options->only(scan->options->only_ctx, path);
	if (!include || !include->count)
		return true;
	for (size_t i = 0; i < include->count; i++) {
		if (oci_str_glob_within(include->items[i], path))
			return true;
	}
	return false;
}

/* The first of the patterns that matches, or NULL. */
static const char *find_match(const char *const *patterns, size_t count, const char *path, bool is_dir)
{
	for (size_t i = 0; i < count; i++) {
		if (matches(patterns[i], path, is_dir))
			return patterns[i];
	}
	return NULL;
}

/* 1: left out and recorded, 0: not. */
static int exclude(struct scan *scan, const char *path, bool is_dir, struct oci_error *err)
{
	const struct oci_strings *own = scan->options->only ? NULL : scan->options->exclude;
	size_t defaults = scan->options->no_default_excludes || scan->options->only ? 0 : DEFAULT_EXCLUDES;
	const char *kind = "default: ";
	const char *why = find_match(default_excludes, defaults, path, is_dir);

	if (oci_str_starts(path, OWN_PREFIX)) {
		kind = "";
		why = "own state";
	} else if (!why && own) {
		kind = "";
		why = find_match((const char *const *)own->items, own->count, path, is_dir);
	}
	if (!why)
		return 0;
	return add_skipped(scan, path, kind, why, err) < 0 ? -1 : 1;
}

static int check_name(const char *path, struct oci_error *err)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;

	if (oci_str_starts(base, WHITEOUT_PREFIX))
		return refuse(path,
			"begins with '" WHITEOUT_PREFIX "', which an image reads as a deletion; rename it",
			err);
	if (!oci_str_clean_utf8(base))
		return refuse(path,
			"has a name with control characters or bytes that are not UTF-8; rename it", err);
	if (!oci_fs_path_ok(path))
		return refuse(path, "has a path that is too long or too deep", err);
	return 0;
}

static void describe(const struct stat *st, struct oci_dir_file *ret)
{
	ret->size_bytes = (uint64_t)st->st_size;
	ret->dev = st->st_dev;
	ret->ino = st->st_ino;
	ret->nlink = st->st_nlink;
	ret->mtime_ns = oci_clock_stamp_ns(&st->st_mtim);
	ret->ctime_ns = oci_clock_stamp_ns(&st->st_ctim);
}

/* Open the file at `at`, below the boundary and free of links. Never blocks,
 * even if a fifo took its place. */
static int open_at(const struct oci_dir *dir, const char *at, struct stat *st, struct oci_error *err)
{
	oci_autoclose int fd = oci_fs_open_beneath(
		dir->boundary_fd, at, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, 0, err);

	if (fd < 0)
		return -1;
	if (fstat(fd, st) < 0)
		return oci_fail_sys(err, errno, OCI_E_SOURCE, "cannot stat");
	if (!S_ISREG(st->st_mode))
		return oci_fail(err, OCI_E_SOURCE, "is no longer a regular file");
	return oci_steal_fd(&fd);
}

/* Opening each file now finds the unreadable one before any byte has moved. */
static int add_file(struct scan *scan, const char *path, const char *at, struct oci_error *err)
{
	struct oci_dir *dir = &scan->dir;
	struct oci_dir_file *files = grow(dir->files, dir->count, &scan->file_cap, sizeof *files, err);
	struct stat st;

	if (!files)
		return -1;
	dir->files = files;
	oci_autoclose int fd = open_at(dir, at, &st, err);
	if (fd < 0)
		return wrap_name(path, err);
	oci_autofree char *copy = strdup(path);
	if (!copy)
		return oci_fail_nomem(err);
	describe(&st, &files[dir->count]);
	files[dir->count++].path = oci_steal(&copy);
	return 0;
}

static int refuse_special(const char *path, mode_t mode, struct oci_error *err)
{
	if (S_ISFIFO(mode))
		return refuse(path, "is a fifo, not a file; exclude it", err);
	if (S_ISSOCK(mode))
		return refuse(path, "is a socket, not a file; exclude it", err);
	return refuse(path, "is a device, not a file; exclude it", err);
}

/* What is no directory, at `at`: listed if it is wanted and fit. */
static int take(struct scan *scan, const char *path, const char *at, mode_t mode, struct oci_error *err)
{
	if (!included(scan, path))
		return 0;
	if (check_name(path, err) < 0)
		return -1;
	return S_ISREG(mode) ? add_file(scan, path, at, err) : refuse_special(path, mode, err);
}

/* Both below the boundary and free of links. */
static bool is_within(const char *path, const char *dir)
{
	size_t len = strlen(dir);
	return !len || (!strncmp(path, dir, len) && (path[len] == '/' || path[len] == '\0'));
}

static int visit(void *ctx, const char *name, const struct stat *st, struct oci_error *err);

/* Walk the directory `at` that a link in `link_dir` leads to. It is a cycle
 * when a link on the way here lies in that very directory. */
static int walk_linked(const struct walk *outer, const char *path, const char *at, const char *link_dir,
	struct oci_error *err)
{
	struct walk walk = {
		.scan = outer->scan,
		.outer = outer,
		.name = path,
		.at = at,
		.link_dir = link_dir,
		.depth = outer->depth + 1,
	};

	for (const struct walk *w = &walk; w->link_dir; w = w->outer) {
		if (is_within(w->link_dir, at))
			return refuse(path, "is a link to a directory that it lies in", err);
	}
	if (walk.depth > LINK_DEPTH_MAX)
		return refuse(path, "is a link to a directory, too many of which are nested", err);

	oci_autoclose int fd = oci_fs_open_dir_beneath(outer->scan->dir.boundary_fd, at, err);
	if (fd < 0)
		return wrap_name(path, err);
	return oci_fs_walk(fd, visit, &walk, err);
}

static int visit_link(const struct walk *walk, const char *path, const char *at, struct oci_error *err)
{
	struct scan *scan = walk->scan;
	struct oci_error cause = {0};
	char target[PATH_MAX];
	struct stat st;

	if (oci_resolve(scan->dir.boundary_fd, at, target, &st, &cause) < 0) {
		if (!included(scan, path))
			return 1;
		char name[OCI_STR_ESCAPE_MAX];
		if (err)
			*err = cause;
		oci_wrap(err, "link '%s'", oci_str_escape(path, name));
		return fail_source(err);
	}
	if (S_ISDIR(st.st_mode)) {
		const char *slash = strrchr(at, '/');
		oci_autofree char *link_dir = strndup(at, slash ? (size_t)(slash - at) : 0);
		if (!link_dir)
			return oci_fail_nomem(err);
		return check_name(path, err) < 0 ? -1 : walk_linked(walk, path, target, link_dir, err);
	}
	return take(scan, path, target, st.st_mode, err);
}

static int visit(void *ctx, const char *name, const struct stat *st, struct oci_error *err)
{
	const struct walk *walk = ctx;
	struct scan *scan = walk->scan;
	oci_autofree char *path = join(walk->name, name);
	oci_autofree char *at = join(walk->at, name);

	if (!path || !at)
		return oci_fail_nomem(err);
	if (++scan->entries > scan->files_max)
		return oci_fail(err, OCI_E_SOURCE, "more than %zu files and directories", scan->files_max);
	int left_out = exclude(scan, path, S_ISDIR(st->st_mode), err);
	if (left_out)
		return left_out;
	if (S_ISLNK(st->st_mode))
		return visit_link(walk, path, at, err);
	if (S_ISDIR(st->st_mode))
		return check_name(path, err);
	return take(scan, path, at, st->st_mode, err);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct oci_dir_file *)a)->path, ((const struct oci_dir_file *)b)->path);
}

static int open_root(struct oci_dir *dir, const char *path, struct oci_error *err)
{
	dir->fd = oci_fs_open_dir(path, err);
	if (dir->fd < 0) {
		if (err && err->sys == ENOENT)
			err->code = OCI_E_NOT_FOUND;
		else if (err && err->sys == ENOTDIR)
			err->code = OCI_E_USAGE;
		else
			fail_source(err);
		return -1;
	}
	if (oci_resolve_boundary(dir->fd, &dir->boundary_fd, &dir->boundary_path, err) < 0)
		return -1;
	if (dir->boundary_fd < 0)
		dir->boundary_fd = dir->fd;
	return dir->boundary_path ? 0 : oci_str_set(&dir->boundary_path, "", err);
}

static int scan_root(struct scan *scan, const char *path, struct oci_error *err)
{
	struct oci_dir *dir = &scan->dir;

	if (open_root(dir, path, err) < 0)
		return -1;
	struct walk walk = {.scan = scan, .name = "", .at = dir->boundary_path};
	if (oci_fs_walk(dir->fd, visit, &walk, err) < 0)
		return fail_source(err);
	if (!dir->count)
		return oci_fail(err, OCI_E_SOURCE, "there is no file to pack");
	qsort(dir->files, dir->count, sizeof *dir->files, compare_paths);
	return 0;
}

int oci_dir_scan(
	const char *path, const struct oci_dir_options *options, struct oci_dir *ret, struct oci_error *err)
{
	static const struct oci_dir_options defaults;
	struct scan scan = {.options = options ? options : &defaults, .dir = {.fd = -1, .boundary_fd = -1}};
	char name[OCI_STR_ESCAPE_MAX];

	scan.files_max = scan.options->max_files ? scan.options->max_files : FILES_MAX;
	if (scan_root(&scan, path, err) < 0) {
		oci_dir_clear(&scan.dir);
		return oci_wrap(err, "source '%s'", oci_str_escape(path, name));
	}
	*ret = scan.dir;
	return 0;
}

static bool same_content(const struct oci_dir_file *file, const struct oci_dir_file *now)
{
	return now->size_bytes == file->size_bytes && now->dev == file->dev && now->ino == file->ino &&
	       now->mtime_ns == file->mtime_ns && (now->ctime_ns == file->ctime_ns || now->nlink != file->nlink);
}

static bool same_file(const struct oci_dir_file *file, const struct stat *st)
{
	struct oci_dir_file now = {0};

	describe(st, &now);
	return same_content(file, &now);
}

static int fail_changed(const char *path, const char *when, struct oci_error *err)
{
	char name[OCI_STR_ESCAPE_MAX];
	return oci_fail(err, OCI_E_SOURCE, "file '%s' changed %s; run again once nothing writes to it",
		oci_str_escape(path, name), when);
}

int oci_dir_open_file(const struct oci_dir *dir, size_t i, struct oci_error *err)
{
	const struct oci_dir_file *file = &dir->files[i];
	oci_autofree char *path = join(dir->boundary_path, file->path);
	char target[PATH_MAX];
	struct stat st;

	if (!path)
		return oci_fail_nomem(err);
	if (oci_resolve(dir->boundary_fd, path, target, &st, err) < 0)
		return wrap_name(file->path, err);
	oci_autoclose int fd = open_at(dir, target, &st, err);
	if (fd < 0)
		return wrap_name(file->path, err);
	if (!same_file(file, &st))
		return fail_changed(file->path, "since the directory was scanned", err);
	return oci_steal_fd(&fd);
}

int oci_dir_check(const struct oci_dir *dir, size_t i, int fd, struct oci_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return oci_fail_sys(err, errno, OCI_E_SOURCE, "cannot stat '%s'", dir->files[i].path);
	if (!same_file(&dir->files[i], &st))
		return fail_changed(dir->files[i].path, "while it was read", err);
	return 0;
}

int oci_dir_compare(const struct oci_dir *before, const struct oci_dir *now, struct oci_error *err)
{
	size_t i = 0;

	while (i < before->count && i < now->count && strcmp(before->files[i].path, now->files[i].path) == 0) {
		if (!same_content(&before->files[i], &now->files[i]))
			return fail_changed(before->files[i].path, "while the directory was read", err);
		i++;
	}
	if (i == before->count && i == now->count)
		return 0;
	if (i == now->count || (i < before->count && strcmp(before->files[i].path, now->files[i].path) < 0))
		return fail_changed(before->files[i].path, "while the directory was read: it is gone", err);
	return fail_changed(now->files[i].path, "while the directory was read: it is new", err);
}

void oci_dir_clear(struct oci_dir *dir)
{
	/* A zeroed struct holds no descriptor, although 0 is one. */
	bool is_open = dir->fd > 0 || dir->boundary_path;

	if (is_open && dir->boundary_fd >= 0 && dir->boundary_fd != dir->fd)
		close(dir->boundary_fd);
	if (is_open && dir->fd >= 0)
		close(dir->fd);
	free(dir->boundary_path);
	for (size_t i = 0; i < dir->count; i++)
		free(dir->files[i].path);
	free(dir->files);
	for (size_t i = 0; i < dir->skipped_count; i++) {
		free(dir->skipped[i].path);
		free(dir->skipped[i].why);
	}
	free(dir->skipped);
	*dir = (struct oci_dir){0};
}
