/* wait.h - is the model there, whole? and the gate that waits until it is
 *
 *     struct oci_wait_options options = {.dir = "/mnt/models/current", .timeout_ms = 60000, ...};
 *     struct oci_wait_report report = {0};
 *     oci_wait(&options, &report, err);
 *     oci_wait_report_clear(&report);
 *
 * A directory is ready when it holds a record (engine/record.h) of the image
 * that is waited for, or has it beside it, and every file of it lies there with the size and time
 * that the record has. Nothing is hashed: the record is written last, by a pull
 * that has verified every byte. A directory of versions stands for the one that
 * its link "current" leads to.
 *
 * It is looked at by its path each time, for it may appear, be replaced by
 * another tree or be a link that is changed. Looking is polling: a change that
 * another machine makes wakes nobody up.
 */
#pragma once

#include <stdatomic.h>

#include "base/event.h"
#include "engine/record.h"

struct oci_wait_options {
	const char *dir;
	const struct oci_digest *want; /* of what the reference named, or of the manifest; NULL: any */
	uint64_t timeout_ms;           /* 0: look once */
	uint64_t interval_ms;          /* between two looks; 0: 1 s */
	const struct oci_observer *observer; /* told what is missing, when that changes */
	const atomic_int *cancel;
};

struct oci_wait_report {
	struct oci_record record;
	uint64_t bytes;     /* of its files */
	uint64_t waited_ms;
};

/* One look. Fails with OCI_E_NOT_FOUND (no directory, or no record in it),
 * OCI_E_DIFFERENT (the record of another image), OCI_E_DAMAGED (files missing
 * or changed), OCI_E_FORMAT or OCI_E_UNSUPPORTED (a record that cannot be read),
 * OCI_E_PERM, OCI_E_IO; the text says what is there and what is missing. */
int oci_wait_look(const char *dir, const struct oci_digest *want, struct oci_wait_report *ret, struct oci_error *err);

/* Until it is ready. OCI_E_TIMEOUT with what the last look saw. */
int oci_wait(const struct oci_wait_options *options, struct oci_wait_report *ret, struct oci_error *err);
void oci_wait_report_clear(struct oci_wait_report *report);
