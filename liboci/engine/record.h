/* record.h - .modelcar.json, what a pull leaves in the tree
 *
 * spec/record.md. It says which image the tree is and what each file must be,
 * so that the tree can be proven without a registry. Written last.
 */
#pragma once

#include "engine/listing.h"

#define OCI_RECORD_NAME ".modelcar.json"

/* A tree that is one Triton model has its record beside it, for nothing of ours
 * may be in a model: ".modelcar.<name>.json". */
#define OCI_RECORD_BESIDE_MAX 256

struct oci_record {
	char *reference;             /* as the user gave it, a path absolute, without credentials */
	struct oci_digest root;      /* what the reference named */
	struct oci_digest manifest;  /* what was chosen */
	bool partial;                /* include or exclude left files out */
	char *part;                  /* of the image, where it is not models/ ("" for all); NULL: that */
	struct oci_listing listing;
	int64_t put_ns;              /* when it was put in its place, by the file system; not in its text */
};

/* As the file `name` below `dir`. OCI_E_UNSUPPORTED when there are more files than
 * could be read again. */
int oci_record_write(int dir, const char *name, const struct oci_record *record, struct oci_error *err);
/* OCI_E_NOT_FOUND when there is none; a record is foreign input and checked. */
int oci_record_read(int dir, const char *name, struct oci_record *ret, struct oci_error *err);
void oci_record_clear(struct oci_record *record);

/* The name of the record beside a tree called `name`. */
const char *oci_record_beside(const char *name, char ret[OCI_RECORD_BESIDE_MAX]);
/* The record of the tree at `path`, within or beside it. */
int oci_record_find(const char *path, struct oci_record *ret, struct oci_error *err);

/* Does this file of a record lie below `dir` with the size, time and target that
 * are recorded? Nothing is read. Fails where that cannot be told. */
int oci_record_look(int dir, const struct oci_listing_file *file, bool *ret, struct oci_error *err);
/* The same; what cannot be told is false. */
bool oci_record_holds(int dir, const struct oci_listing_file *file);
