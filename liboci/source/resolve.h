/* resolve.h - where a path leads when its links may stay inside a boundary
 *
 * The kernel can follow links beneath a directory only
 * where it has openat2(); this does it everywhere, one component at a time,
 * and answers with a path that has no link left in it. That path is a hint: it
 * is opened with oci_fs_open_beneath(), which follows nothing, so a tree that
 * changes in between can make the open fail but cannot lead it out.
 */
#pragma once

#include <limits.h>
#include <sys/stat.h>

#include "base/error.h"

/* Follow `path`, which is relative to `boundary`. `out` gets the path without
 * links, also relative to `boundary` ("" is the boundary), `st` what is there.
 * OCI_E_SOURCE: a link that leaves the boundary (an absolute one may lead into
 * it), leads nowhere or needs more than 40 hops. */
int oci_resolve(int boundary, const char *path, char out[PATH_MAX], struct stat *st, struct oci_error *err);

/* The boundary of `dir`: the models--* directory above it when `dir` lies in
 * models--<name>/snapshots/<revision>. `*fd` becomes its descriptor and `*path`
 * the path of `dir` below it, both the caller's; -1 and NULL when there is none. */
int oci_resolve_boundary(int dir, int *fd, char **path, struct oci_error *err);
