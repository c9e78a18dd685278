/* temp.h - private files and directories that a dead owner does not leave behind
 *
 *     oci_temp_sweep(dir, ".blob");                     what killed runs have left
 *     fd = oci_temp_file(dir, ".blob", 0644, name, err);
 *     ... fill it, rename it away or unlink `name` ...
 *     close(fd);
 *
 * A temporary is called "<prefix>.<16 hex>.part" and is locked (flock) for as
 * long as its descriptor is open, so nobody sweeps away what is being written.
 * A sweep takes what nobody has locked: on a local file system, where a lock
 * tells the truth, at once (but for the last 10 s: its owner may be about to
 * lock it); elsewhere after 24 h without a change; a link after 10 s. It is best effort and never
 * fails: what cannot be looked at, locked or removed stays.
 */
#pragma once

#include <sys/types.h>

#include "base/error.h"

#define OCI_TEMP_NAME_MAX 64

/* Creates the file in `dir` for reading and writing; returns its descriptor or -1. */
int oci_temp_file(int dir, const char *prefix, mode_t mode, char name[OCI_TEMP_NAME_MAX], struct oci_error *err);
/* The same for a directory, which is the owner's alone (0700). */
int oci_temp_dir(int dir, const char *prefix, char name[OCI_TEMP_NAME_MAX], struct oci_error *err);
void oci_temp_sweep(int dir, const char *prefix);
