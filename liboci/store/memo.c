#include "store/memo.h"

#include <stdlib.h>
#include <string.h>

void oci_memo_init(struct oci_memo *memo)
{
	*memo = (struct oci_memo){0};
	pthread_mutex_init(&memo->lock, NULL);
}

static void forget(struct oci_memo_entry *entry)
{
	free(entry->data);
	*entry = (struct oci_memo_entry){0};
}

void oci_memo_clear(struct oci_memo *memo)
{
	for (size_t i = 0; i < OCI_MEMO_COUNT; i++)
		forget(&memo->entries[i]);
	pthread_mutex_destroy(&memo->lock);
}

static struct oci_memo_entry *find(struct oci_memo *memo, const struct oci_digest *digest)
{
	for (size_t i = 0; i < OCI_MEMO_COUNT; i++)
		if (memo->entries[i].data && oci_digest_equal(&memo->entries[i].digest, digest))
			return &memo->entries[i];
	return NULL;
}

static size_t total(const struct oci_memo *memo)
{
	size_t sum = 0;
	for (size_t i = 0; i < OCI_MEMO_COUNT; i++)
		sum += memo->entries[i].len;
	return sum;
}

static void insert(struct oci_memo *memo, const struct oci_digest *digest, const void *data, size_t len)
{
	struct oci_memo_entry *entry;

	do {
		entry = &memo->entries[memo->next++ % OCI_MEMO_COUNT];
		forget(entry);
	} while (total(memo) + len > OCI_MEMO_BYTES);
	entry->data = malloc(len);
	if (!entry->data)
		return;
	memcpy(entry->data, data, len);
	entry->len = len;
	entry->digest = *digest;
}

void oci_memo_put(struct oci_memo *memo, const struct oci_digest *digest, const void *data, size_t len)
{
	if (len == 0 || len > OCI_MEMO_BYTES)
		return;
	pthread_mutex_lock(&memo->lock);
	if (!find(memo, digest))
		insert(memo, digest, data, len);
	pthread_mutex_unlock(&memo->lock);
}

int oci_memo_get(struct oci_memo *memo, const struct oci_digest *digest, struct oci_buf *out,
	struct oci_error *err)
{
	int rc = 0;

	pthread_mutex_lock(&memo->lock);
	struct oci_memo_entry *entry = find(memo, digest);
	if (entry)
		rc = oci_buf_append(out, entry->data, entry->len, err) < 0 ? -1 : 1;
	pthread_mutex_unlock(&memo->lock);
	return rc;
}
