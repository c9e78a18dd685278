#include "core/mediatype.h"

#include <stddef.h>
#include <string.h>

#include "base/str.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is(const char *media_type, const char *name)
{
	return media_type && strcmp(media_type, name) == 0;
}

bool oci_media_is_index(const char *media_type)
{
	return is(media_type, OCI_MT_INDEX) || is(media_type, OCI_MT_DOCKER_LIST);
}

bool oci_media_is_manifest(const char *media_type)
{
	return is(media_type, OCI_MT_MANIFEST) || is(media_type, OCI_MT_DOCKER_MANIFEST);
}

bool oci_media_is_image_config(const char *media_type)
{
	return is(media_type, OCI_MT_CONFIG) || is(media_type, OCI_MT_DOCKER_CONFIG);
}

/* How the layers of one family of types are read, by the end of the type. */
static const struct family {
	const char *prefix;
	enum oci_layer_form tar, raw, other;
} families[] = {
	{"application/vnd.oci.image.layer.", OCI_LAYER_IMAGE, OCI_LAYER_UNKNOWN, OCI_LAYER_UNKNOWN},
	{"application/vnd.docker.image.rootfs.", OCI_LAYER_IMAGE, OCI_LAYER_UNKNOWN, OCI_LAYER_UNKNOWN},
	{"application/vnd.cncf.model.", OCI_LAYER_TAR, OCI_LAYER_RAW, OCI_LAYER_RAW},
	{"application/vnd.cnai.model.", OCI_LAYER_TAR, OCI_LAYER_RAW, OCI_LAYER_RAW},
	{"application/vnd.kitops.modelkit.", OCI_LAYER_TAR, OCI_LAYER_RAW, OCI_LAYER_UNKNOWN},
	{"application/vnd.jozu.model.", OCI_LAYER_TAR, OCI_LAYER_RAW, OCI_LAYER_UNKNOWN},
};

static const struct tar_suffix {
	const char *suffix;
	enum oci_compression compression;
} tar_suffixes[] = {
	{".tar", OCI_PLAIN},
	{".tar+gzip", OCI_GZIP},
	{".tar.gzip", OCI_GZIP},
	{".tar+zstd", OCI_ZSTD},
	{".tar.zstd", OCI_ZSTD},
};

static const struct family *family_of(const char *media_type)
{
	for (size_t i = 0; media_type && i < COUNT(families); i++) {
		if (oci_str_starts(media_type, families[i].prefix))
			return &families[i];
	}
	return NULL;
}

enum oci_layer_form oci_media_layer_form(const char *media_type, enum oci_compression *ret)
{
	*ret = OCI_PLAIN;
	const struct family *f = family_of(media_type);
	if (!f || oci_str_ends(media_type, "+json")) /* the family's config is no layer */
		return OCI_LAYER_UNKNOWN;
	for (size_t i = 0; i < COUNT(tar_suffixes); i++) {
		if (!oci_str_ends(media_type, tar_suffixes[i].suffix))
			continue;
		*ret = tar_suffixes[i].compression;
		return f->tar;
	}
	return oci_str_ends(media_type, ".raw") ? f->raw : f->other;
}

const char *oci_media_oci_layer(const char *media_type)
{
	static const struct {
		const char *docker, *oci;
	} twins[] = {
		{"application/vnd.docker.image.rootfs.diff.tar", OCI_MT_LAYER_TAR},
		{"application/vnd.docker.image.rootfs.diff.tar.gzip", OCI_MT_LAYER_GZIP},
		{"application/vnd.docker.image.rootfs.diff.tar.zstd", OCI_MT_LAYER_ZSTD},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar",
			"application/vnd.oci.image.layer.nondistributable.v1.tar"},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
			"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"},
	};
	for (size_t i = 0; i < COUNT(twins); i++) {
		if (is(media_type, twins[i].docker))
			return twins[i].oci;
	}
	return media_type;
}
