/* archive_out.h - the archive file that is being written, and who writes where
 *
 *     oci_archive_out_create(&out, dir, "model.tar", err);     a temporary beside it (base/temp.h)
 *     oci_archive_out_reserve(&out, want, &region, err);       room for one blob
 *     ... data at region.offset, by any thread ...
 *     oci_archive_out_place(&out, &region, &digest, err);      or _release()
 *     oci_archive_out_finish(&out, err);                       durable under its name
 *     oci_archive_out_close(&out);                             removes what was not finished
 *
 * Verbs may be called from several threads at once, those of a region from its
 * owner. The members and their order are those of archive.h.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/temp.h"
#include "store/archive_index.h"
#include "core/descriptor.h"

struct oci_archive_slot;

struct oci_archive_out {
	int dir;          /* borrowed */
	const char *name; /* borrowed */
	char temp[OCI_TEMP_NAME_MAX]; /* "" before create and after finish */
	int fd;
	pthread_mutex_t lock; /* guards what follows */
	struct oci_archive_slot *slots; /* by offset, without gaps */
	size_t count;
	uint64_t end;
	struct oci_buf index; /* the coming index.json */
};

struct oci_archive_region {
	size_t slot;     /* the out's */
	uint64_t offset; /* of the data */
	uint64_t size_bytes;
};

/* Before anything else; close is then allowed, with or without create. */
void oci_archive_out_init(struct oci_archive_out *out);
int oci_archive_out_create(struct oci_archive_out *out, int dir, const char *name, struct oci_error *err);
bool oci_archive_out_find(struct oci_archive_out *out, const struct oci_digest *digest,
	struct oci_archive_blob *ret);

int oci_archive_out_reserve(struct oci_archive_out *out, const struct oci_descriptor *want,
	struct oci_archive_region *ret, struct oci_error *err);
/* Header and padding around the data. On failure the region stays the caller's. */
int oci_archive_out_place(struct oci_archive_out *out, const struct oci_archive_region *region,
	const struct oci_digest *digest, struct oci_error *err);
void oci_archive_out_release(struct oci_archive_out *out, const struct oci_archive_region *region);

int oci_archive_out_tag(struct oci_archive_out *out, const struct oci_descriptor *d, const char *tag,
	struct oci_error *err);
/* A copy of the index; *ret need not be initialised. */
int oci_archive_out_index(struct oci_archive_out *out, struct oci_buf *ret, struct oci_error *err);

int oci_archive_out_finish(struct oci_archive_out *out, struct oci_error *err);
void oci_archive_out_close(struct oci_archive_out *out);
