/* failure.h - how a run ends: one line for people, a few bytes for Kubernetes
 *
 * The termination message is {"code","reason","message"}, at most 1 KiB, in the file
 * that MODELCAR_TERMINATION_LOG names, else /dev/termination-log, when it exists.
 */
#pragma once

#include "base/error.h"

/* The exit code of a failure: its code, 128+n when signal n ended the run,
 * 1 when nothing was recorded. */
int failure_exit_code(const struct oci_error *err, int signal_number);

/* Prints "modelcar: <text>" to stderr, and writes it as termination message.
 * Returns the exit code. */
int failure_report(const struct oci_error *err, int signal_number);

/* The termination message of a run that came to its end: what was done, "" for nothing to tell. */
void failure_none(const char *done);
