#include "store/archive_out.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "store/blob.h"
#include "store/index.h"
#include "stream/tar.h"

#define LAYOUT_FILE "oci-layout"
#define INDEX_FILE "index.json"
#define MEMBER_PATH_MAX (sizeof "blobs/sha512/" + OCI_DIGEST_TEXT_MAX)
#define FILE_MODE 0644
#define TEMP_PREFIX ".oci-archive"

enum slot_state { SLOT_WRITING, SLOT_DONE, SLOT_FREE };

/* Header, data and padding of one blob. */
struct oci_archive_slot {
	enum slot_state state;
	struct oci_digest digest; /* when done */
	uint64_t offset;          /* of the header */
	uint64_t header_bytes;
	uint64_t size_bytes;
};

static uint64_t member_bytes(uint64_t header_bytes, uint64_t size_bytes)
{
	return header_bytes + size_bytes + oci_tar_padding(size_bytes);
}

static const char *member_path(const struct oci_digest *digest, char out[MEMBER_PATH_MAX])
{
	char hex[OCI_DIGEST_TEXT_MAX];

	snprintf(out, MEMBER_PATH_MAX, "blobs/%s/%s", oci_digest_alg_name(digest->alg),
		oci_digest_hex(digest, hex));
	return out;
}

static uint64_t blob_header_bytes(enum oci_digest_alg alg)
{
	const struct oci_digest any = {.alg = alg ? alg : OCI_SHA256};
	char path[MEMBER_PATH_MAX];

	return oci_tar_header_bytes(member_path(&any, path));
}

/* Header, data if they are at hand, and padding. */
static int write_member(int fd, uint64_t offset, const char *path, const struct oci_buf *data, uint64_t size,
	struct oci_error *err)
{
	static const char zeros[OCI_TAR_BLOCK];
	OCI_CLEANUP(oci_buf_clear) struct oci_buf header;

	oci_buf_init(&header, 8 * OCI_TAR_BLOCK);
	if (oci_tar_add_header(&header, path, OCI_TAR_FILE, size, err) < 0 ||
		oci_fs_pwrite_all(fd, header.data, header.len, offset, err) < 0)
		return -1;
	offset += header.len;
	if (data && oci_fs_pwrite_all(fd, data->data, data->len, offset, err) < 0)
		return -1;
	return oci_fs_pwrite_all(fd, zeros, oci_tar_padding(size), offset + size, err);
}

void oci_archive_out_init(struct oci_archive_out *out)
{
	*out = (struct oci_archive_out){.dir = -1, .fd = -1};
	pthread_mutex_init(&out->lock, NULL);
	oci_buf_init(&out->index, OCI_INDEX_MAX);
}

int oci_archive_out_create(struct oci_archive_out *out, int dir, const char *name, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, OCI_KIB);
	out->dir = dir;
	out->name = name;
	oci_temp_sweep(dir, TEMP_PREFIX);
	out->fd = oci_temp_file(dir, TEMP_PREFIX, FILE_MODE, out->temp, err);
	if (out->fd < 0)
		return -1;
	if (oci_buf_puts(&text, OCI_LAYOUT_TEXT, err) < 0 ||
		write_member(out->fd, 0, LAYOUT_FILE, &text, text.len, err) < 0)
		return -1;
	out->end = member_bytes(oci_tar_header_bytes(LAYOUT_FILE), text.len);
	return oci_buf_puts(&out->index, OCI_INDEX_EMPTY_TEXT, err);
}

/* From here to the next remark: the lock is held. */
static const struct oci_archive_slot *find_done(const struct oci_archive_out *out,
	const struct oci_digest *digest)
{
	for (size_t i = 0; i < out->count; i++)
		if (out->slots[i].state == SLOT_DONE && oci_digest_equal(&out->slots[i].digest, digest))
			return &out->slots[i];
	return NULL;
}

static struct oci_archive_slot *find_free(const struct oci_archive_out *out, uint64_t header, uint64_t size)
{
	for (size_t i = 0; i < out->count; i++) {
		struct oci_archive_slot *slot = &out->slots[i];

		if (slot->state == SLOT_FREE && slot->header_bytes == header && slot->size_bytes == size)
			return slot;
	}
	return NULL;
}

static struct oci_archive_slot *append_slot(struct oci_archive_out *out, uint64_t header, uint64_t size,
	struct oci_error *err)
{
	struct oci_archive_slot *slots, *slot;

	if (size > INT64_MAX - OCI_GIB - out->end) {
		oci_fail(err, OCI_E_NOSPACE, "the archive would be larger than a file can be");
		return NULL;
	}
	slots = reallocarray(out->slots, out->count + 1, sizeof *slots);
	if (!slots) {
		oci_fail_nomem(err);
		return NULL;
	}
	out->slots = slots;
	slot = &slots[out->count++];
	*slot = (struct oci_archive_slot){.offset = out->end, .header_bytes = header, .size_bytes = size};
	out->end += member_bytes(header, size);
	return slot;
}

/* Free slots at the end leave the file, others wait for content of their size. */
static void free_slot(struct oci_archive_out *out, size_t slot)
{
	out->slots[slot].state = SLOT_FREE;
	while (out->count > 0 && out->slots[out->count - 1].state == SLOT_FREE)
		out->end = out->slots[--out->count].offset;
}

static int check_slots(const struct oci_archive_out *out, struct oci_error *err)
{
	for (size_t i = 0; i < out->count; i++) {
		if (out->slots[i].state == SLOT_WRITING)
			return oci_fail(err, OCI_E_BUG, "finish while a blob is being written");
		if (out->slots[i].state == SLOT_FREE)
			return oci_fail(err, OCI_E_PARTIAL,
				"a blob of the archive was given up, write it again");
	}
	return 0;
}

/* What comes after the blobs, and the name. */
static int complete(struct oci_archive_out *out, struct oci_error *err)
{
	const struct oci_buf *index = &out->index;
	uint64_t end = out->end + member_bytes(oci_tar_header_bytes(INDEX_FILE), index->len);

	if (check_slots(out, err) < 0 ||
		write_member(out->fd, out->end, INDEX_FILE, index, index->len, err) < 0)
		return -1;
	/* Cut what a given-up blob left behind, then let a hole be the end blocks. */
	if (ftruncate(out->fd, (off_t)end) < 0 || ftruncate(out->fd, (off_t)end + OCI_TAR_END_BYTES) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "set the size of the archive");
	if (oci_fs_sync(out->fd, err) < 0)
		return -1;
	if (renameat(out->dir, out->temp, out->dir, out->name) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "rename the archive to '%s'", out->name);
	out->temp[0] = '\0';
	return oci_fs_sync(out->dir, err);
}

/* From here on the lock is taken. */
bool oci_archive_out_find(struct oci_archive_out *out, const struct oci_digest *digest,
	struct oci_archive_blob *ret)
{
	const struct oci_archive_slot *slot;

	pthread_mutex_lock(&out->lock);
	slot = find_done(out, digest);
	if (slot)
		*ret = (struct oci_archive_blob){
			.digest = slot->digest,
			.offset = slot->offset + slot->header_bytes,
			.size_bytes = slot->size_bytes,
		};
	pthread_mutex_unlock(&out->lock);
	return slot != NULL;
}

int oci_archive_out_reserve(struct oci_archive_out *out, const struct oci_descriptor *want,
	struct oci_archive_region *ret, struct oci_error *err)
{
	uint64_t header = blob_header_bytes(want->digest.alg);
	struct oci_archive_slot *slot;

	pthread_mutex_lock(&out->lock);
	slot = find_free(out, header, want->size_bytes);
	if (!slot)
		slot = append_slot(out, header, want->size_bytes, err);
	if (slot) {
		slot->state = SLOT_WRITING;
		ret->slot = (size_t)(slot - out->slots);
		ret->offset = slot->offset + header;
		ret->size_bytes = want->size_bytes;
	}
	pthread_mutex_unlock(&out->lock);
	return slot ? 0 : -1;
}

void oci_archive_out_release(struct oci_archive_out *out, const struct oci_archive_region *region)
{
	pthread_mutex_lock(&out->lock);
	free_slot(out, region->slot);
	pthread_mutex_unlock(&out->lock);
}

/* The same content may have been finished meanwhile: room at the end of the
 * file is not used up for it again. */
static bool drop_spare(struct oci_archive_out *out, size_t slot, const struct oci_digest *digest)
{
	bool spare;

	pthread_mutex_lock(&out->lock);
	spare = slot == out->count - 1 && find_done(out, digest);
	if (spare)
		free_slot(out, slot);
	pthread_mutex_unlock(&out->lock);
	return spare;
}

int oci_archive_out_place(struct oci_archive_out *out, const struct oci_archive_region *region,
	const struct oci_digest *digest, struct oci_error *err)
{
	uint64_t header = region->offset - blob_header_bytes(digest->alg);
	char path[MEMBER_PATH_MAX];

	if (drop_spare(out, region->slot, digest))
		return 0;
	if (write_member(out->fd, header, member_path(digest, path), NULL, region->size_bytes, err) < 0)
		return -1;
	pthread_mutex_lock(&out->lock);
	out->slots[region->slot].digest = *digest;
	out->slots[region->slot].state = SLOT_DONE;
	pthread_mutex_unlock(&out->lock);
	return 0;
}

int oci_archive_out_tag(struct oci_archive_out *out, const struct oci_descriptor *d, const char *tag,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index;
	int status;

	oci_buf_init(&index, OCI_INDEX_MAX);
	pthread_mutex_lock(&out->lock);
	status = find_done(out, &d->digest) ? oci_index_set(&out->index, d, tag, &index, err)
					    : oci_blob_fail_missing(&d->digest, err);
	if (status == 0) {
		struct oci_buf old = out->index;

		out->index = index;
		index = old;
	}
	pthread_mutex_unlock(&out->lock);
	return status;
}

int oci_archive_out_index(struct oci_archive_out *out, struct oci_buf *ret, struct oci_error *err)
{
	int status;

	oci_buf_init(ret, OCI_INDEX_MAX);
	pthread_mutex_lock(&out->lock);
	status = oci_buf_append(ret, out->index.data, out->index.len, err);
	pthread_mutex_unlock(&out->lock);
	return status;
}

int oci_archive_out_finish(struct oci_archive_out *out, struct oci_error *err)
{
	int status = 0;

	pthread_mutex_lock(&out->lock);
	if (out->temp[0])
		status = complete(out, err);
	pthread_mutex_unlock(&out->lock);
	return status;
}

void oci_archive_out_close(struct oci_archive_out *out)
{
	if (out->temp[0])
		unlinkat(out->dir, out->temp, 0);
	oci_cleanup_close(&out->fd);
	oci_buf_clear(&out->index);
	pthread_mutex_destroy(&out->lock);
	free(out->slots);
}
