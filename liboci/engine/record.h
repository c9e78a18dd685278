/* record.h - .modelcar.json, what a pull leaves in the tree
 *
 * spec/record.md. It says which image the tree is and what each file must be,
 * so that the tree can be proven without a registry. Written last.
 */
#pragma once

#include "engine/listing.h"

#define OCI_RECORD_NAME ".modelcar.json"

struct oci_record {
	char *reference;             /* as the user gave it, without credentials */
	struct oci_digest root;      /* what the reference named */
	struct oci_digest manifest;  /* what was chosen */
	bool partial;                /* include or exclude left files out */
	struct oci_listing listing;
};

/* OCI_E_UNSUPPORTED when there are more files than could be read again. */
int oci_record_write(int dir, const struct oci_record *record, struct oci_error *err);
/* OCI_E_NOT_FOUND when there is none; a record is foreign input and checked. */
int oci_record_read(int dir, struct oci_record *ret, struct oci_error *err);
void oci_record_clear(struct oci_record *record);
