/* field.h - the JSON members that manifests and configs share
 *
 * Reading: a member that is absent or null leaves *ret as it is; one of
 * another type fails with OCI_E_FORMAT and names the member. What is read
 * belongs to *ret, also on failure. Writing: what is absent is left out.
 */
#pragma once

#include "core/descriptor.h"
#include "core/json.h"

int oci_field_text(const struct oci_json *object, const char *key, char **ret, struct oci_error *err);
/* An object of strings, added to *ret, which is empty. */
int oci_field_annotations(const struct oci_json *object, const char *key, struct oci_annotations *ret,
	struct oci_error *err);
/* `architecture`, `os` and `variant` of the object itself. */
int oci_field_platform(const struct oci_json *object, struct oci_platform *ret, struct oci_error *err);
/* *ret is an array, or NULL when the member is absent or null. */
int oci_field_array(const struct oci_json *object, const char *key, const struct oci_json **ret,
	struct oci_error *err);
/* *ret is an object, or NULL when the member is absent or null. */
int oci_field_object(const struct oci_json *object, const char *key, const struct oci_json **ret,
	struct oci_error *err);

void oci_field_put_annotations(struct oci_json_writer *w, const char *key, const struct oci_annotations *a);
void oci_field_put_platform(struct oci_json_writer *w, const struct oci_platform *p);
