/* bundle_images.h - references on a command line to images, their stores and their names
 *
 * A registry's image is called HOST/REPO:TAG (or @DIGEST); one from a layout,
 * archive or bundle as its index says, or by its tag alone. A local reference
 * without a tag stands for all that are named there.
 *
 * In index.json an image has its tag as org.opencontainers.image.ref.name, or
 * the full name where several have one tag, and the full name as
 * io.containerd.image.name.
 */
#pragma once

#include "engine/graph.h"

struct oci_bundle_image {
	struct oci_descriptor root;
	struct oci_store *store; /* borrowed from `stores` */
	char *tag;  /* NULL: none */
	char *name; /* HOST/REPO, NULL: not known */
};

struct oci_bundle_images {
	struct oci_bundle_image *items;
	size_t count;
	struct oci_store **stores; /* owned */
	size_t store_count;
};

/* Resolve `text` and add what it stands for; the same image twice is one. */
int oci_bundle_images_open(struct oci_bundle_images *images, const char *text,
	const struct oci_store_options *options, struct oci_error *err);
/* With all tags of a registry's repository when it is named without one. */
int oci_bundle_images_open_all(struct oci_bundle_images *images, const char *text,
	const struct oci_store_options *options, struct oci_error *err);
/* All that a bundle or another archive of images holds. */
int oci_bundle_images_open_file(struct oci_bundle_images *images, const char *path,
	const struct oci_store_options *options, struct oci_error *err);
int oci_bundle_images_add(struct oci_bundle_images *images, struct oci_store *store,
	const struct oci_descriptor *root, const char *name, const char *tag, struct oci_error *err);
/* Those that index.json lists, but for lists of referrers (sha256-<hex>).
 * OCI_E_FORMAT when two that differ have the same name. */
int oci_bundle_images_of_index(struct oci_bundle_images *images, struct oci_store *store,
	const struct oci_buf *index, struct oci_error *err);
/* index.json of the images and of `lists`, tag to descriptor; OCI_E_USAGE when
 * two that differ have the same name. */
int oci_bundle_images_index(const struct oci_bundle_images *images, const struct oci_graph_tag *lists,
	size_t list_count, struct oci_buf *ret, struct oci_error *err);
/* HOST/REPO:TAG as far as it is known; with `pinned` the digest behind it. The
 * caller frees; NULL: out of memory. */
char *oci_bundle_image_text(const struct oci_bundle_image *image, bool pinned);
/* A signature's tag is made of a digest and stays what it is, wherever it goes. */
bool oci_bundle_image_is_signature(const struct oci_bundle_image *image);
void oci_bundle_images_clear(struct oci_bundle_images *images);
