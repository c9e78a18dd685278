/* stage.h - the private place beside a destination, and its publication
 *
 *     struct oci_stage stage = {.parent = -1, .fd = -1, .tree = -1};
 *     oci_stage_open("/data/model", &stage, err);     OCI_E_OCCUPIED when it exists
 *     ... fill stage.fd; the tree to publish is its "tree" ...
 *     oci_stage_publish(&stage, err);                 durable, one rename
 *     oci_stage_clear(&stage);                        removes what was not published
 *
 * Opening also removes what killed runs have left in that place (base/temp.h).
 */
#pragma once

#include <stdint.h>

#include "base/temp.h"

struct oci_stage {
	int parent;      /* the directory that will hold the destination */
	char *dest;      /* its name there */
	char name[OCI_TEMP_NAME_MAX]; /* of the staging directory, beside it */
	int fd;          /* of the staging directory */
	int tree;        /* of "tree" in it */
};

int oci_stage_open(const char *dest, struct oci_stage *ret, struct oci_error *err);
/* Fails with OCI_E_NOSPACE, saying need and have, unless so much is free. */
int oci_stage_check_space(const struct oci_stage *stage, uint64_t need_bytes, struct oci_error *err);
int oci_stage_publish(struct oci_stage *stage, struct oci_error *err);
void oci_stage_clear(struct oci_stage *stage);
