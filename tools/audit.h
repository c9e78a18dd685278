/* audit.h - one line of JSON for each object of a mirror, appended to a file (spec/mirror.md)
 *
 *     audit_open(&audit, path, err);           path NULL: nothing is written
 *     options.on_object = audit_object; options.ctx = &audit;
 *     audit_close(&audit, err);                OCI_E_IO when not all lines are in the file
 */
#pragma once

#include <stdio.h>

#include "engine/mirror.h"

struct audit {
	FILE *file; /* NULL: none */
	const char *path;
	bool failed;
};

int audit_open(struct audit *audit, const char *path, struct oci_error *err);
void audit_object(void *ctx, const struct oci_mirror_object *object);
int audit_close(struct audit *audit, struct oci_error *err);
