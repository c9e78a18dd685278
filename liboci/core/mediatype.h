/* mediatype.h - media types: the names, and what a layer's type means
 *
 * spec: OCI image-spec media-types.md; Docker image manifest v2 schema 2;
 * ModelPack model-spec (cncf, and the older cnai prefix).
 */
#pragma once

#include <stdbool.h>

#define OCI_MT_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_MT_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_MT_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_MT_LAYER_TAR "application/vnd.oci.image.layer.v1.tar"
#define OCI_MT_LAYER_GZIP "application/vnd.oci.image.layer.v1.tar+gzip"
#define OCI_MT_LAYER_ZSTD "application/vnd.oci.image.layer.v1.tar+zstd"
#define OCI_MT_EMPTY "application/vnd.oci.empty.v1+json"
#define OCI_MT_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define OCI_MT_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define OCI_MT_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define OCI_MT_MODELPACK_MANIFEST "application/vnd.cncf.model.manifest.v1+json"
#define OCI_MT_MODELPACK_CONFIG "application/vnd.cncf.model.config.v1+json"

/* The Accept header that asks for all four manifest types. */
#define OCI_MT_ACCEPT OCI_MT_INDEX ", " OCI_MT_MANIFEST ", " OCI_MT_DOCKER_LIST ", " OCI_MT_DOCKER_MANIFEST

enum oci_compression { OCI_PLAIN, OCI_GZIP, OCI_ZSTD };

enum oci_layer_form {
	OCI_LAYER_UNKNOWN,  /* neither: a file if it has a title, else not for us */
	OCI_LAYER_IMAGE,    /* a tar of an image: whiteouts apply, files below models/ */
	OCI_LAYER_TAR,      /* a tar of an artifact: files at its root */
	OCI_LAYER_RAW,      /* the bytes of one file */
};

bool oci_media_is_index(const char *media_type);
bool oci_media_is_manifest(const char *media_type); /* image manifest, not index */
bool oci_media_is_image_config(const char *media_type);

/* How a layer of this type is read. Image types (OCI and Docker, nondistributable
 * ones too), ModelPack cncf and cnai and KitOps (also as vnd.jozu)
 * `.raw .tar .tar+gzip .tar+zstd`; unknown ModelPack suffixes are raw. *ret is
 * OCI_PLAIN for all but compressed tars. NULL is unknown, here and above. */
enum oci_layer_form oci_media_layer_form(const char *media_type, enum oci_compression *ret);

/* The OCI twin of a Docker layer type; others come back as they are. */
const char *oci_media_oci_layer(const char *media_type);
