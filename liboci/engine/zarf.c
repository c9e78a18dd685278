#include "engine/zarf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "stream/crc32.h"

#define SUFFIX_MAX sizeof "-zarf-4294967295"

static const char *suffix_of(const char *image, char out[SUFFIX_MAX])
{
	snprintf(out, SUFFIX_MAX, "-zarf-%" PRIu32, oci_crc32(image, strlen(image)));
	return out;
}

char *oci_zarf_image(const struct oci_reference *ref, struct oci_error *err)
{
	char *image;

	if (ref->transport != OCI_TRANSPORT_REGISTRY) {
		oci_fail(err, OCI_E_USAGE, "Zarf's tag is made of the image's host and repository, which are not known here");
		return NULL;
	}
	image = oci_str_printf("%s/%s", ref->host, ref->path);
	if (!image)
		oci_fail_nomem(err);
	return image;
}

int oci_zarf_tag(const char *image, const char *tag, char **ret, struct oci_error *err)
{
	char suffix[SUFFIX_MAX];
	oci_autofree char *whole = oci_str_printf("%s%s", tag, suffix_of(image, suffix));

	if (!whole)
		return oci_fail_nomem(err);
	if (!oci_reference_tag_ok(whole))
		return oci_fail(err, OCI_E_USAGE, "tag '%s' is too long for Zarf, which adds '%s'", tag, suffix);
	free(*ret);
	*ret = oci_steal(&whole);
	return 0;
}

size_t oci_zarf_base_length(const char *image, const char *tag)
{
	char suffix[SUFFIX_MAX];

	if (!oci_str_ends(tag, suffix_of(image, suffix)))
		return 0;
	return strlen(tag) - strlen(suffix);
}
