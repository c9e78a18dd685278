/* layer_cache.h - what is known of layers that were hashed before
 *
 *     oci_layer_cache_open(&cache, NULL);
 *     oci_layer_identity(&shape, files, numbers, &identity);
 *     if (oci_layer_cache_load(&cache, &identity, &entry)) ...
 *     oci_layer_cache_save(&cache, &identity, &entry);
 *     oci_layer_cache_close(&cache);
 *
 * spec/layer-cache.md. A layer is known by its shape and by path, size, device,
 * inode, mtime and ctime of its files, so a tree that did not change is packed
 * again without being read. A file that was written while it was hashed, or
 * within a clock's tick of it, may have changed without a trace in these: an
 * entry is recent when a file's mtime or ctime lies less than 2 seconds before the
 * hashing, and then only a hint.
 *
 * Nothing here fails: what cannot be read is not known, what cannot be written
 * is not remembered. An entry that is cut, changed or of another layout is none.
 */
#pragma once

#include "core/digest.h"
#include "engine/layer.h"
#include "source/dir.h"

struct oci_layer_cache {
	int dir; /* -1: none */
};

struct oci_layer_entry {
	int64_t started_ns;        /* CLOCK_REALTIME, before the first byte was read */
	struct oci_digest digest;  /* of the layer */
	uint64_t size_bytes;
	struct oci_digest *files;  /* in the order of the shape; alg 0: not taken */
	size_t file_count;
	struct oci_buf chains;     /* checkpoints, as a tape collects them */
};

/* $XDG_CACHE_HOME/modelcar/layers or $HOME/.cache/modelcar/layers; NULL when
 * neither is an absolute path. The caller frees. */
char *oci_layer_cache_default_dir(void);
/* `dir` is made when it is missing; NULL or "": no cache. Entries that nobody has
 * used for 90 days go, and what a killed process has left half written. */
void oci_layer_cache_open(struct oci_layer_cache *cache, const char *dir);
void oci_layer_cache_close(struct oci_layer_cache *cache);
/* False where what is saved would not be there the next time. */
bool oci_layer_cache_remembers(const struct oci_layer_cache *cache);

/* `numbers`: which of the directory's files the shape's are. */
void oci_layer_identity(const struct oci_layer_shape *shape, const struct oci_dir_file *files,
	const size_t *numbers, struct oci_digest *ret);
/* Was one of the files touched so shortly before that the entry is but a hint? */
bool oci_layer_entry_recent(const struct oci_layer_entry *entry, const struct oci_dir_file *files,
	const size_t *numbers);

/* Not filled when false. */
bool oci_layer_cache_load(const struct oci_layer_cache *cache, const struct oci_digest *identity,
	struct oci_layer_entry *ret);
void oci_layer_cache_save(const struct oci_layer_cache *cache, const struct oci_digest *identity,
	const struct oci_layer_entry *entry);
void oci_layer_cache_forget(const struct oci_layer_cache *cache, const struct oci_digest *identity);
void oci_layer_entry_clear(struct oci_layer_entry *entry);
