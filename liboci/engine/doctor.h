/* doctor.h - what a pull to a place would meet, found out beforehand
 *
 *     struct oci_doctor_options options = {.dest = "/mnt/models", .from = &ref, .store = &store};
 *     struct oci_diagnosis d = {0};
 *     oci_doctor(&options, &d, err);       fails only when it cannot look at all
 *     for each d.items[i]: level, what, text, next
 *     first = oci_diagnosis_failure(&d);   NULL: nothing stands in the way
 *     oci_diagnosis_clear(&d);
 *
 * The place: does the path exist, which mount is it and is that read-only, who
 * owns it and may we write; what the file system can do, tried with private
 * temporary files (base/temp.h: regular files and one link, never a directory,
 * for a model server may be scanning it); what lies there. The image, when one
 * is named: the way to its registry step by step, the manifest, one byte of a
 * layer by range, and whether there is room. Of a plain directory its files.
 * This process: memory and processors.
 *
 * Nothing but the temporaries is written, and they are removed. A quota is seen
 * when it is used up: the temporaries take 1 MiB.
 */
#pragma once

#include "store/store.h"

enum oci_finding_level {
	OCI_FINDING_OK,
	OCI_FINDING_WARN, /* a pull works, with this drawback */
	OCI_FINDING_FAIL, /* a pull would fail with `code` */
};

struct oci_finding {
	enum oci_finding_level level;
	enum oci_errc code; /* OCI_OK unless the level is FAIL */
	const char *what;   /* "space"; a constant */
	char *text;         /* what was found: one line */
	char *next;         /* what to do; NULL: nothing */
};

struct oci_diagnosis {
	struct oci_finding *items;
	size_t count;
};

struct oci_doctor_options {
	const char *dest;
	const struct oci_reference *from;    /* NULL: no image */
	const struct oci_platform *platform; /* NULL: choose */
	const struct oci_store_options *store;
};

/* OCI_E_NOMEM or OCI_E_CANCELLED; all else is a finding. */
int oci_doctor(const struct oci_doctor_options *options, struct oci_diagnosis *ret, struct oci_error *err);
/* The first finding that is a failure, or NULL. */
const struct oci_finding *oci_diagnosis_failure(const struct oci_diagnosis *d);
void oci_diagnosis_clear(struct oci_diagnosis *d);
