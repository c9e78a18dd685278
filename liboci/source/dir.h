/* dir.h - a model directory as the source of a pack
 *
 *     struct oci_dir dir = {0};
 *     oci_dir_scan("model", &options, &dir, err);
 *     fd = oci_dir_open_file(&dir, i, err);    read it ...
 *     oci_dir_check(&dir, i, fd, err);         still the file that was scanned?
 *     oci_dir_clear(&dir);
 *
 * The list is sorted by path bytes and holds regular files only. A symlink
 * stands for the file it leads to, provided that lies inside the boundary:
 * the directory itself, or, inside a Hugging Face cache
 * (models--org--name/snapshots/<rev>, or below), the models--* directory.
 * Links are resolved by descriptor; an absolute one counts as inside when it
 * names the boundary by its real path. A link to a directory inside the boundary is
 * walked; one to a directory that it lies in is refused, and so are more than
 * eight of them inside each other.
 *
 * Refused with the name (OCI_E_SOURCE): links that leave the boundary or
 * lead nowhere, devices, sockets, fifos, names that begin with
 * ".wh." or are not clean UTF-8, unreadable files and directories. What is
 * excluded, or a file that is not included, is not looked at and not refused.
 * ".modelcar*" at the root is our own state and always skipped.
 * An empty result is OCI_E_SOURCE too; not a directory is OCI_E_USAGE
 * (absent: OCI_E_NOT_FOUND).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"
#include "core/digest.h"

struct oci_dir_file {
	char *path;          /* relative to the directory, '/' */
	uint64_t size_bytes;
	dev_t dev;
	ino_t ino;
	nlink_t nlink;
	int64_t mtime_ns, ctime_ns;
};

struct oci_dir_skipped {
	char *path;
	char *why; /* the pattern, "default: .git" or "own state" */
};

struct oci_dir {
	int fd;              /* of the directory */
	int boundary_fd;     /* of the boundary; may equal fd */
	char *boundary_path; /* of the directory within the boundary, "" when equal */
	struct oci_dir_file *files;
	size_t count;
	struct oci_dir_skipped *skipped; /* what excludes and defaults left out */
	size_t skipped_count;
};

struct oci_dir_options {
	const struct oci_strings *include; /* globs; NULL or empty: everything */
	const struct oci_strings *exclude;
	/* Take also .git .cache lost+found .snapshot .DS_Store *~ *.swp .nfs*
	 * .ipynb_checkpoints __pycache__ and the like. */
	bool no_default_excludes;
	/* Those of which this is true and no others, whatever the rest says; NULL: all. */
	bool (*only)(const void *ctx, const char *path);
	const void *only_ctx;
	size_t max_files; /* directories count; 0: 1,000,000 */
};

int oci_dir_scan(const char *path, const struct oci_dir_options *options, struct oci_dir *ret,
	struct oci_error *err);
/* Opens for reading and checks that it is the scanned file. */
int oci_dir_open_file(const struct oci_dir *dir, size_t i, struct oci_error *err);
/* OCI_E_SOURCE "file 'x' changed while it was read" unless size, mtime, ctime and inode are the scan's. (A link made to
 * the file changes its ctime, too, and is none of its content.) */
int oci_dir_check(const struct oci_dir *dir, size_t i, int fd, struct oci_error *err);
/* The same of all files of two scans of one directory: OCI_E_SOURCE with the first that
 * came, went or changed. */
int oci_dir_compare(const struct oci_dir *before, const struct oci_dir *now, struct oci_error *err);
void oci_dir_clear(struct oci_dir *dir);
