/* zarf.h - the names that Zarf gives to images in its registry
 *
 * An image HOST/PATH:TAG lies there as PATH:TAG and as PATH:TAG-zarf-N, where N is
 * the CRC-32 of "HOST/PATH" in decimal: the cluster's agent looks for the latter, so
 * that images of two hosts with one path do not get in each other's way. The
 * digests are untouched. docker.io/library/ is part of a name where it belongs.
 *
 *     oci_zarf_tag("ghcr.io/team/llm", "v1", &tag, err);     v1-zarf-1234567890
 */
#pragma once

#include "base/str.h"
#include "core/reference.h"

/* The name of what a registry's reference means, "HOST/PATH". The caller frees;
 * NULL: out of memory, or (OCI_E_USAGE) it is no registry's. */
char *oci_zarf_image(const struct oci_reference *ref, struct oci_error *err);
/* OCI_E_USAGE: it gets longer than a tag may be. */
int oci_zarf_tag(const char *image, const char *tag, char **ret, struct oci_error *err);
/* The length of TAG in TAG-zarf-N of this image; 0: it is no such tag. */
size_t oci_zarf_base_length(const char *image, const char *tag);
