/* image.h - one manifest, chosen from what a reference names, with its index
 *
 *     struct oci_image image = {0};
 *     oci_image_open(store, ref.tag, NULL, &image, err);
 *     for each image.manifest.layers[i]: image.layers[i] says how it is read
 *     oci_image_clear(&image);
 *
 * An index is resolved to one manifest: the platform asked for, else the
 * host's, else the first that is in our format, else the first runnable one,
 * else the first model artifact. All documents are verified by digest, and a
 * config must have a diffID for each layer, the layer's digest where it is plain.
 */
#pragma once

#include "core/mediatype.h"
#include "engine/block_index.h"
#include "store/store.h"

enum oci_layer_use {
	OCI_USE_NONE,    /* the index layer, or empty */
	OCI_USE_SHAPED,  /* our tar, every byte of its headers known */
	OCI_USE_IMAGE,   /* a tar of an image */
	OCI_USE_TAR,     /* a tar of an artifact */
	OCI_USE_RAW,     /* one file */
};

struct oci_image_layer {
	enum oci_layer_use use;
	enum oci_compression compression;
	size_t indexed;  /* SHAPED: number of the layer in the index */
	struct oci_digest diff_id; /* of the layer uncompressed, as the config has it; alg 0: none */
	char *path;      /* RAW: the file; TAR: what org.cncf.model.filepath says, or NULL */
};

struct oci_image {
	struct oci_descriptor root;       /* what the reference named */
	struct oci_descriptor descriptor; /* of the manifest */
	struct oci_manifest manifest;
	struct oci_image_layer *layers;   /* one each manifest.layers */
	bool runnable;                    /* an image, not an artifact */
	bool has_index;
	struct oci_block_index index;
};

/* `name`: tag or digest text, NULL for the only one. `platform`: NULL, or the
 * one asked for (OCI_E_NOT_FOUND with the list of those there are). */
int oci_image_open(struct oci_store *store, const char *name, const struct oci_platform *platform,
	struct oci_image *ret, struct oci_error *err);
/* Of what a name was resolved to before, which is not asked for again. */
int oci_image_open_root(struct oci_store *store, const struct oci_descriptor *root, const struct oci_platform *platform,
	struct oci_image *ret, struct oci_error *err);
void oci_image_clear(struct oci_image *image);
/* The same choice, of which only the manifest's descriptor is wanted. */
int oci_image_choose(struct oci_store *store, const char *name, const struct oci_platform *platform,
	struct oci_descriptor *ret, struct oci_error *err);

/* The name of a reference within its store: digest text, else tag, else NULL
 * ("latest" for a registry). The buffer holds OCI_DIGEST_TEXT_MAX bytes. */
const char *oci_image_name(const struct oci_reference *ref, char *buffer);

/* Read, verify and parse a manifest or index. */
int oci_image_read_manifest(struct oci_store *store, const struct oci_descriptor *d, struct oci_manifest *ret,
	struct oci_error *err);
