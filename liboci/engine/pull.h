/* pull.h - an image becomes a directory, whole or not at all
 *
 *     struct oci_pull_options options = {.from = &ref, .dest = "model", ...};
 *     struct oci_pull_report report = {0};
 *     oci_pull(&options, &report, err);
 *
 * The reference is resolved once; from then on only digests are asked for. Where
 * `dest` is an unchanged tree of that image already, that is all (`unchanged`).
 *
 * An image in our format is taken block by block (engine/land.h): what old trees
 * on the volume hold is linked or copied, the rest is fetched by all workers
 * straight to its place in a staged part, and a run that was killed goes on where
 * it ended. Other images come as streams, layer by layer (pull_stream.c), each with a
 * ledger (engine/ledger.h) to the same end. Then
 * files, directories and the record are made durable, and the tree is published
 * (engine/publish.h) in the mode that the place asks for (engine/place.h).
 *
 * A plain directory (dir:PATH) is pulled as the image that pack would make of it
 * (engine/pack_store.h, spec/local.md): what include and exclude leave out is not looked at, and before
 * anything is published all of it is looked at once more (OCI_E_SOURCE when it changed).
 *
 * A dry run looks and decides as a pull does, and writes nothing. Of images that come as
 * streams it knows layers alone: bytes_fetched is their size, and file_count is 0.
 *
 * What lands: of images the content of /models/ (or of `root`), of artifacts
 * all files. Errors: OCI_E_OCCUPIED when `dest` may not be filled,
 * OCI_E_UNSUPPORTED when there is nothing to land, OCI_E_NOSPACE before the first
 * byte where the file system says that it is too small, OCI_E_BUSY when another
 * writer took over. After those of the network and of the medium what is staged
 * stays, and the text says so.
 */
#pragma once

#include "engine/listing.h"
#include "engine/place.h"
#include "store/store.h"

/* Through the page cache, which leaves the model warm for who loads it next, or
 * around it (O_DIRECT), which it fits not. AUTO: around it when the model is larger than
 * the memory of our control group, or than what the machine has available. */
enum oci_pull_cache { OCI_PULL_CACHE_AUTO, OCI_PULL_BUFFERED, OCI_PULL_DIRECT };

struct oci_pull_options {
	const struct oci_reference *from;
	const char *dest;
	const struct oci_platform *platform; /* NULL: choose */
	const char *root;                    /* "models/" when NULL; "" for all */
	struct oci_filter filter;
	enum oci_publish publish;
	bool adopt;          /* keep files that no pull put there, where they are right */
	bool no_link;        /* no hard links to old trees: copies */
	bool repair;         /* trust no time or size: hash every file that is there */
	bool replace_first;  /* where old and new do not fit together, the old one goes first */
	enum oci_pull_cache cache;
	bool warm;           /* read the tree into the page cache afterwards, in the order a server loads it */
	bool seal;           /* files are 0444 */
	bool dry_run;        /* say what would come, write nothing */
	bool force;          /* of a directory: also a model that is not whole */
	const char *cache_dir; /* of a directory: of hashed layers; NULL: the user's, "": none */
	const struct oci_strings *reuse_from; /* more trees to take from; NULL: none */
	unsigned jobs;                       /* 0: as many as processors, at least 4, and more where that helps */
	const struct oci_store_options *store;
	const struct oci_observer *observer;
	const atomic_int *cancel;
};

struct oci_pull_report {
	struct oci_digest root, manifest;
	enum oci_place_mode mode;
	bool unchanged;         /* it was there already */
	bool dry_run;           /* the numbers are those of what would be; bytes_fetched is the most that it can be */
	char version[32];       /* OCI_PUBLISH_VERSION: the directory in `dest`; else "" */
	size_t file_count;
	uint64_t bytes_files;
	uint64_t bytes_fetched; /* of layers, from the store */
	uint64_t bytes_reused;  /* copied from files on this volume, or staged by a run before */
	uint64_t bytes_linked;  /* shared with other trees */
	uint64_t bytes_kept;    /* of files that stayed where they were */
};

int oci_pull(const struct oci_pull_options *options, struct oci_pull_report *ret, struct oci_error *err);

/* The same without a directory: what would land. Layers that an index
 * describes, and raw ones, are not fetched; others are read through, so that
 * every file is known by its digest or by its layer; with `digests`, so are
 * layers that leave a file without a digest of its own. */
int oci_pull_list(struct oci_store *store, const struct oci_image *image, const char *root, bool digests,
	unsigned jobs, const atomic_int *cancel, struct oci_listing *ret, struct oci_error *err);

/* "models/" from what the user typed ("/models", "models/"), "" from "/"; NULL when
 * out of memory. The caller frees. */
char *oci_pull_root(const char *text);
