/* yaml.h - YAML that people write, as the values of json.h; the only door to the YAML library
 *
 *     OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
 *     doc = oci_yaml_parse(text, len, &OCI_JSON_SMALL, err);
 *
 * One document. Mappings are objects, sequences arrays; every scalar is a text,
 * quoted or not, so that the tag 1.10 stays what it is, but for the plain ones
 * that are empty, ~ or null. What is empty altogether is an empty object.
 *
 * Refused with OCI_E_FORMAT, with the line: what is not YAML, a second document,
 * keys that are not scalars or stand there twice, NUL, more than the limits or
 * 16 levels. Anchors and aliases are OCI_E_UNSUPPORTED.
 */
#pragma once

#include "core/json.h"

struct oci_json *oci_yaml_parse(const char *text, size_t len, const struct oci_json_limits *limits,
	struct oci_error *err);
