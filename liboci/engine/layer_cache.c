#include "engine/layer_cache.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/temp.h"
#include "store/upload_state.h"

#define MAGIC "modelcar layer 1\n"
#define MAGIC_BYTES (sizeof MAGIC - 1)
#define SHA256_BYTES OCI_CHAIN_BYTES
#define ENTRY_MAX (80 * OCI_MIB)
#define CHAINS_MAX (64 * OCI_MIB)
#define LIFE_S (90 * 24 * 3600)
#define RECENT_NS INT64_C(2000000000)

char *oci_layer_cache_default_dir(void)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (cache && *cache == '/')
		return oci_str_printf("%s/modelcar/layers", cache);
	return home && *home == '/' ? oci_str_printf("%s/.cache/modelcar/layers", home) : NULL;
}

void oci_layer_cache_open(struct oci_layer_cache *cache, const char *dir)
{
	cache->dir = dir && *dir ? oci_upload_state_open_dir(dir) : -1;
	if (cache->dir < 0)
		return;
	oci_fs_remove_old(cache->dir, "", LIFE_S);
	oci_temp_sweep(cache->dir, OCI_FS_TEMP_PREFIX);
}

void oci_layer_cache_close(struct oci_layer_cache *cache)
{
	oci_cleanup_close(&cache->dir);
}

bool oci_layer_cache_remembers(const struct oci_layer_cache *cache)
{
	return cache->dir >= 0 && faccessat(cache->dir, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

static void hash_text(struct oci_hash *hash, const char *text)
{
	oci_hash_update(hash, text, strlen(text) + 1);
}

static void hash_number(struct oci_hash *hash, uint64_t number)
{
	oci_hash_update(hash, &number, sizeof number);
}

void oci_layer_identity(const struct oci_layer_shape *shape, const struct oci_dir_file *files,
	const size_t *numbers, struct oci_digest *ret)
{
	struct oci_hash hash;

	oci_hash_init(&hash, OCI_SHA256);
	hash_text(&hash, MAGIC);
	hash_text(&hash, shape->root);
	hash_number(&hash, shape->raw);
	for (size_t i = 0; i < shape->count; i++) {
		const struct oci_dir_file *file = &files[numbers[i]];

		hash_text(&hash, shape->files[i].path);
		hash_number(&hash, file->size_bytes);
		hash_number(&hash, file->dev);
		hash_number(&hash, file->ino);
		hash_number(&hash, (uint64_t)file->mtime_ns);
		hash_number(&hash, (uint64_t)file->ctime_ns);
	}
	oci_hash_final(&hash, ret);
}

bool oci_layer_entry_recent(const struct oci_layer_entry *entry, const struct oci_dir_file *files,
	const size_t *numbers)
{
	int64_t limit = entry->started_ns - RECENT_NS;

	for (size_t i = 0; i < entry->file_count; i++)
		if (files[numbers[i]].mtime_ns > limit || files[numbers[i]].ctime_ns > limit)
			return true;
	return false;
}

/* the file: magic, four numbers, digests, checkpoints, a digest of all that */

struct head {
	char magic[MAGIC_BYTES];
	uint64_t started_ns, size_bytes, file_count, chain_bytes; /* of this machine's order: it never leaves it */
	unsigned char digest[SHA256_BYTES];
} __attribute__((packed));

struct kept_digest {
	unsigned char known, bytes[SHA256_BYTES];
};

static const char *name_of(const struct oci_digest *identity, char out[OCI_DIGEST_TEXT_MAX])
{
	return oci_digest_hex(identity, out);
}

static struct oci_digest digest_from(const unsigned char *bytes)
{
	struct oci_digest digest = {.alg = OCI_SHA256};

	memcpy(digest.bytes, bytes, SHA256_BYTES);
	return digest;
}

/* Whole and unchanged since it was written? */
static bool is_sound(const struct oci_buf *buf, struct head *head)
{
	struct oci_digest sum;
	uint64_t left;

	if (buf->len < sizeof *head + SHA256_BYTES)
		return false;
	memcpy(head, buf->data, sizeof *head);
	left = buf->len - sizeof *head - SHA256_BYTES;
	if (memcmp(head->magic, MAGIC, MAGIC_BYTES) != 0 || head->file_count > left / sizeof(struct kept_digest))
		return false;
	left -= head->file_count * sizeof(struct kept_digest);
	if (head->chain_bytes != left || head->chain_bytes > CHAINS_MAX || left % OCI_CHAIN_BYTES)
		return false;
	oci_digest_of(OCI_SHA256, buf->data, buf->len - SHA256_BYTES, &sum);
	return memcmp(sum.bytes, buf->data + buf->len - SHA256_BYTES, SHA256_BYTES) == 0;
}

static bool parse(const struct oci_buf *buf, struct oci_layer_entry *ret)
{
	struct head head;
	const struct kept_digest *kept;

	if (!is_sound(buf, &head))
		return false;
	*ret = (struct oci_layer_entry){.started_ns = (int64_t)head.started_ns,
		.digest = digest_from(head.digest),
		.size_bytes = head.size_bytes,
		.file_count = head.file_count};
	oci_buf_init(&ret->chains, CHAINS_MAX);
	ret->files = calloc(head.file_count + 1, sizeof *ret->files);
	if (!ret->files)
		return false;
	kept = (const void *)(buf->data + sizeof head);
	for (size_t i = 0; i < head.file_count; i++)
		if (kept[i].known)
			ret->files[i] = digest_from(kept[i].bytes);
	return oci_buf_append(&ret->chains, kept + head.file_count, head.chain_bytes, NULL) == 0;
}

bool oci_layer_cache_load(const struct oci_layer_cache *cache, const struct oci_digest *identity,
	struct oci_layer_entry *ret)
{
	OCI_CLEANUP(oci_layer_entry_clear) struct oci_layer_entry entry = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	char name[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&buf, ENTRY_MAX);
	if (cache->dir < 0 || oci_fs_read_file(cache->dir, name_of(identity, name), &buf, NULL) < 0 ||
		!parse(&buf, &entry))
		return false;
	utimensat(cache->dir, name, NULL, AT_SYMLINK_NOFOLLOW); /* used: it stays */
	*ret = entry;
	entry = (struct oci_layer_entry){0};
	return true;
}

static int format(const struct oci_layer_entry *entry, struct oci_buf *out)
{
	struct head head = {.started_ns = (uint64_t)entry->started_ns,
		.size_bytes = entry->size_bytes,
		.file_count = entry->file_count,
		.chain_bytes = entry->chains.len};
	struct oci_digest sum;

	memcpy(head.magic, MAGIC, MAGIC_BYTES);
	memcpy(head.digest, entry->digest.bytes, SHA256_BYTES);
	if (oci_buf_append(out, &head, sizeof head, NULL) < 0)
		return -1;
	for (size_t i = 0; i < entry->file_count; i++) {
		struct kept_digest kept = {.known = entry->files[i].alg == OCI_SHA256};

		memcpy(kept.bytes, entry->files[i].bytes, SHA256_BYTES);
		if (oci_buf_append(out, &kept, sizeof kept, NULL) < 0)
			return -1;
	}
	if (entry->chains.len > 0 && oci_buf_append(out, entry->chains.data, entry->chains.len, NULL) < 0)
		return -1;
	oci_digest_of(OCI_SHA256, out->data, out->len, &sum);
	return oci_buf_append(out, sum.bytes, SHA256_BYTES, NULL);
}

void oci_layer_cache_save(const struct oci_layer_cache *cache, const struct oci_digest *identity,
	const struct oci_layer_entry *entry)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	char name[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&buf, ENTRY_MAX);
	if (cache->dir >= 0 && format(entry, &buf) == 0)
		oci_fs_write_file(cache->dir, name_of(identity, name), buf.data, buf.len, 0600, false, NULL);
}

void oci_layer_cache_forget(const struct oci_layer_cache *cache, const struct oci_digest *identity)
{
	char name[OCI_DIGEST_TEXT_MAX];

	if (cache->dir >= 0)
		unlinkat(cache->dir, name_of(identity, name), 0);
}

void oci_layer_entry_clear(struct oci_layer_entry *entry)
{
	free(entry->files);
	oci_buf_clear(&entry->chains);
	*entry = (struct oci_layer_entry){0};
}
