/* pbtxt.h - protobuf text, read as a row of paths and values
 *
 * Private to model/. No schema: each scalar is reported with the names that
 * lead to it, "version_policy.specific.versions" = "3", once for each element
 * of a list. A message is reported when it opens, with a NULL value. Comments,
 * both kinds of brackets and quotes, escapes and adjacent strings are
 * understood; an extension's name in brackets is not.
 *
 * OCI_E_FORMAT, with the line: brackets or quotes that do not match, more than
 * 32 levels, a path longer than 255 bytes. A longer value is cut.
 */
#pragma once

#include "base/error.h"

#define OCI_PBTXT_TEXT_MAX 255

typedef int (*oci_pbtxt_field)(void *ctx, const char *path, const char *value, struct oci_error *err);

/* `text` ends with a zero byte. `field` returns 0, or -1 to stop. */
int oci_pbtxt_parse(const char *text, oci_pbtxt_field field, void *ctx, struct oci_error *err);
