#include "engine/journal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/boot.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define HEAD_BYTES 512
#define COUNT_MAX (1u << 28) /* 1 PiB of blocks */

/* Equal heads: the same manifest and number of blocks. The boot stands last. */
static void format_head(const struct oci_digest *manifest, uint64_t count, const char *boot, char head[HEAD_BYTES])
{
	char digest[OCI_DIGEST_TEXT_MAX], text[HEAD_BYTES];
	int len = snprintf(text, sizeof text, "{\"journalVersion\":1,\"manifest\":\"%s\",\"blocks\":%llu,\"boot\":\"%s\"}",
		oci_digest_format(manifest, digest), (unsigned long long)count, boot);

	memset(head, ' ', HEAD_BYTES);
	memcpy(head, text, (size_t)len);
	head[HEAD_BYTES - 1] = '\n';
}

static size_t length_to_boot(const char head[HEAD_BYTES])
{
	const char *boot = memmem(head, HEAD_BYTES, ",\"boot\":", 8);

	return boot ? (size_t)(boot - head) : HEAD_BYTES;
}

/* Marks as a run before has left them; none where the file is not of this pull. */
static int read_marks(struct oci_journal *j, const char want[HEAD_BYTES], bool *same_boot, struct oci_error *err)
{
	oci_autofree char *text = malloc(HEAD_BYTES + j->count);
	ssize_t got;

	if (!text)
		return oci_fail_nomem(err);
	*same_boot = false;
	got = oci_fs_pread_full(j->fd, text, HEAD_BYTES + j->count, 0, err);
	if (got < 0)
		return -1;
	if (got < HEAD_BYTES || memcmp(text, want, length_to_boot(want)) != 0)
		return 0;
	*same_boot = memcmp(text, want, HEAD_BYTES) == 0;
	for (uint64_t n = 0; n < (uint64_t)got - HEAD_BYTES; n++)
		if (text[HEAD_BYTES + n] == '1')
			j->marks[n] = *same_boot ? OCI_MARK_DONE : OCI_MARK_CLAIMED;
		else if (text[HEAD_BYTES + n] == '?')
			j->marks[n] = OCI_MARK_CLAIMED;
	return 0;
}

/* The marks first, the head last: a head of this boot never stands before marks of another. */
static int begin(struct oci_journal *j, const char head[HEAD_BYTES], struct oci_error *err)
{
	oci_autofree char *marks = malloc(j->count + 1);

	if (!marks)
		return oci_fail_nomem(err);
	for (uint64_t n = 0; n < j->count; n++)
		marks[n] = j->marks[n] == OCI_MARK_CLAIMED ? '?' : '0';
	if (ftruncate(j->fd, 0) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "journal");
	if (oci_fs_pwrite_all(j->fd, marks, j->count, HEAD_BYTES, err) < 0 ||
		oci_fs_pwrite_all(j->fd, head, HEAD_BYTES, 0, err) < 0)
		return oci_wrap(err, "journal");
	return 0;
}

int oci_journal_open(int dir, const char *name, const struct oci_digest *manifest, uint64_t count,
	struct oci_journal *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_journal_close) struct oci_journal j = {.fd = -1, .count = count};
	char boot[OCI_BOOT_ID_MAX], head[HEAD_BYTES];
	bool same_boot = false;

	if (count > COUNT_MAX)
		return oci_fail(err, OCI_E_UNSUPPORTED, "more than %u blocks", COUNT_MAX);
	j.marks = calloc(count + 1, 1);
	if (!j.marks)
		return oci_fail_nomem(err);
	format_head(manifest, count, oci_boot_id(boot), head);
	j.fd = oci_fs_open_beneath(dir, name, O_RDWR | O_CREAT, 0600, err);
	if (j.fd < 0 || read_marks(&j, head, &same_boot, err) < 0)
		return -1;
	if (!same_boot && begin(&j, head, err) < 0)
		return -1;
	*ret = j;
	j = (struct oci_journal){.fd = -1};
	return 0;
}

enum oci_journal_mark oci_journal_get(const struct oci_journal *journal, uint64_t n)
{
	return atomic_load_explicit(&journal->marks[n], memory_order_relaxed);
}

static int put(struct oci_journal *journal, uint64_t n, char text, enum oci_journal_mark mark, struct oci_error *err)
{
	if (oci_fs_pwrite_all(journal->fd, &text, 1, HEAD_BYTES + n, err) < 0)
		return oci_wrap(err, "journal");
	atomic_store_explicit(&journal->marks[n], (unsigned char)mark, memory_order_relaxed);
	return 0;
}

int oci_journal_set(struct oci_journal *journal, uint64_t n, struct oci_error *err)
{
	return put(journal, n, '1', OCI_MARK_DONE, err);
}

int oci_journal_unset(struct oci_journal *journal, uint64_t n, struct oci_error *err)
{
	return put(journal, n, '0', OCI_MARK_NONE, err);
}

void oci_journal_claim(struct oci_journal *journal, uint64_t n)
{
	atomic_store_explicit(&journal->marks[n], OCI_MARK_CLAIMED, memory_order_relaxed);
}

void oci_journal_close(struct oci_journal *journal)
{
	oci_cleanup_close(&journal->fd);
	free((void *)journal->marks);
	*journal = (struct oci_journal){.fd = -1};
}
