/* pull_report.h - what a pull has done, for people and for programs */
#pragma once

#include "common.h"
#include "engine/pull.h"

/* Tells the observer: files, bytes and where they came from. */
int pull_report_note(const struct invocation *inv, const struct oci_pull_report *report, const char *dest,
	struct oci_error *err);
/* Members of an object that is open. */
void pull_report_put(struct oci_json_writer *w, const struct oci_pull_report *report, const char *reference,
	const char *dest);
