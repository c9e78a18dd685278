/* fs.h - the one file where paths are resolved
 *
 * Names that come from elsewhere (a layer, an index, a record) are resolved
 * below a directory descriptor: openat2() with RESOLVE_BENEATH and
 * RESOLVE_NO_SYMLINKS, or component by component with O_NOFOLLOW where the
 * kernel or a seccomp filter has no openat2. No link is ever followed and
 * nothing outside the directory can be reached.
 *
 * Descriptors are O_CLOEXEC. Paths beneath are relative, with '/' between
 * components, without empty, "." or ".." components (oci_fs_path_ok).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

#define OCI_FS_DEPTH_MAX 256

/* Relative, clean, components <= 255 bytes, path <= 4095 bytes, depth <= 256. */
bool oci_fs_path_ok(const char *path);

/* Record a failed system call: "cannot <what> '<path>': <reason>"; returns -1.
 * ENOENT is OCI_E_NOT_FOUND, EEXIST OCI_E_OCCUPIED; a link or another file in
 * the way of a path (ELOOP, EXDEV, ENOTDIR) is OCI_E_FORMAT, as an unclean path
 * is; the rest is OCI_E_IO or what oci_fail_sys() knows. */
int oci_fs_fail(struct oci_error *err, int sys, const char *what, const char *path);

/* Open a directory that the user named (links followed). */
int oci_fs_open_dir(const char *path, struct oci_error *err);
/* The same below `dir`, links not followed. "" or "." is `dir` itself. */
int oci_fs_open_dir_beneath(int dir, const char *path, struct oci_error *err);
/* Is `dir` the directory `above`, or somewhere below it? Also where a mount lies between. */
bool oci_fs_is_within(int dir, int above);
/* A user's path from the root on, as it would be found later from elsewhere; links stay.
 * The caller's to free. */
char *oci_fs_absolute(const char *path, struct oci_error *err);
/* Open a file below `dir`; flags as open(2). */
int oci_fs_open_beneath(int dir, const char *path, int flags, mode_t mode, struct oci_error *err);
/* Create the directories of `path` (all components) below `dir`; those that
 * exist are left as they are. Modes are exact, umask does not matter; a setgid
 * bit that is inherited stays. */
int oci_fs_mkdirs_beneath(int dir, const char *path, mode_t mode, struct oci_error *err);
/* Descriptor of the parent directory of `path`; *base borrows from `path`. */
int oci_fs_parent_beneath(int dir, const char *path, const char **base, struct oci_error *err);

/* A private name "<prefix>.<16 random hex><suffix>". */
int oci_fs_temp_name(const char *prefix, const char *suffix, char *out, size_t size,
	struct oci_error *err);

/* Whole-file helpers. Reading fails beyond `max` bytes (OCI_E_FORMAT). Writing goes
 * through a temporary name (".modelcar.<hex>.part") in the same directory, fsync
 * when `durable`, rename, fsync of the directory; `mode` is exact; nothing is
 * left behind on failure, and what a killed process leaves goes by oci_temp_sweep()
 * (base/temp.h) with this prefix. `path` and `name` are paths beneath `dir`. */
#define OCI_FS_TEMP_PREFIX ".modelcar"
int oci_fs_read_file(int dir, const char *path, struct oci_buf *out, struct oci_error *err);
int oci_fs_write_file(int dir, const char *name, const void *data, size_t len, mode_t mode,
	bool durable, struct oci_error *err);

int oci_fs_write_all(int fd, const void *data, size_t len, struct oci_error *err);
int oci_fs_pwrite_all(int fd, const void *data, size_t len, uint64_t offset, struct oci_error *err);
/* Reads until `len` bytes or end of file; returns the count or -1. */
ssize_t oci_fs_pread_full(int fd, void *data, size_t len, uint64_t offset, struct oci_error *err);

int oci_fs_sync(int fd, struct oci_error *err); /* fsync(2); a file system that has none is tolerated */

/* rename that fails with EEXIST when `to` exists (OCI_E_OCCUPIED); falls back
 * to a checked rename where the file system has no RENAME_NOREPLACE. Both are
 * names in their directories, not paths. */
int oci_fs_rename_new(int from_dir, const char *from, int to_dir, const char *to,
	struct oci_error *err);

/* The target of a symbolic link, as stored; *ret is freed first and set. */
int oci_fs_read_link(int dir, const char *path, char **ret, struct oci_error *err);

/* rm -rf of the entry `name` of `dir` without following links; absent is success. */
int oci_fs_remove_tree(int dir, const char *name, struct oci_error *err);

/* Remove the files of `dir` whose names begin with `prefix` and that nobody has
 * changed for `life_s` seconds; best effort. */
void oci_fs_remove_old(int dir, const char *prefix, time_t life_s);

/* Split a user's path into an open parent directory and a last component, as
 * dirname and basename would; a path that ends in "." or ".." is resolved
 * first, "" and "/" are OCI_E_USAGE. The last component need not exist. *name
 * is the caller's to free. Returns the descriptor of the parent or -1. */
int oci_fs_open_parent(const char *path, char **name, struct oci_error *err);

/* A user's path, and where its last component is a link, what that leads to
 * (OCI_E_NOT_FOUND: nothing is there). The caller's to free. */
char *oci_fs_follow(const char *path, struct oci_error *err);
/* oci_fs_open_parent() of that: where what lies beside a directory is found. */
int oci_fs_open_real_parent(const char *path, char **name, struct oci_error *err);

/* Call `visit` for each entry below `dir`, parents first, names sorted by
 * bytes. `path` is relative to `dir`; `visit` returns 0 to go on (and down),
 * 1 to not go down, -1 to stop. Links are reported, not followed; an entry
 * that goes away meanwhile is left out. A tree deeper than OCI_FS_DEPTH_MAX
 * fails with OCI_E_UNSUPPORTED. */
typedef int (*oci_fs_visit)(void *ctx, const char *path, const struct stat *st,
	struct oci_error *err);
int oci_fs_walk(int dir, oci_fs_visit visit, void *ctx, struct oci_error *err);
