/* path.h - names of files in a result: whole, and safe whatever bytes they hold */
#pragma once

#include <stdio.h>

#include "core/json.h"

/* With control characters and bytes that are not UTF-8 as \xNN. Unlike a name
 * in a message it is not cut, unless a component is made of such bytes. */
void path_print(FILE *out, const char *path);
/* As it is; one that is not UTF-8, which no JSON text can hold, as it is printed in a message. */
void path_put(struct oci_json_writer *w, const char *key, const char *path);
