#include "stream/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"

#define INPUT_BYTES (256 * OCI_KIB)
#define MODE_BITS 07777

struct oci_tar {
	struct oci_reader *inner;
	struct oci_error inner_err;  /* its failure must not drown in libarchive's */
	bool inner_began;            /* gave a byte */
	bool inner_ended;            /* or failed: not read again */
	struct archive *archive;
	locale_t locale;
	struct oci_tar_entry entry;
	uint64_t read_bytes;         /* of the current member's data */
	uint64_t input_bytes;        /* that the inner reader gave */
	bool padded;                 /* zeros were added up to a whole block */
	unsigned char input[INPUT_BYTES];
};

/* Some writers end with the last byte of the last file. Zeros up to a whole
 * block let libarchive read it; what is cut in a header or in data is told from that. */
static la_ssize_t pad(struct oci_tar *tar)
{
	size_t missing = (size_t)oci_tar_padding(tar->input_bytes);

	memset(tar->input, 0, missing);
	tar->padded = missing > 0;
	return (la_ssize_t)missing;
}

static la_ssize_t feed(struct archive *archive, void *ctx, const void **data)
{
	struct oci_tar *tar = ctx;
	ssize_t n;

	if (tar->inner_ended)
		return 0;
	*data = tar->input;
	n = oci_reader_read(tar->inner, tar->input, sizeof tar->input, &tar->inner_err);
	if (n < 0)
		archive_set_error(archive, EIO, "its input failed");
	if (n > 0) {
		tar->inner_began = true;
		tar->input_bytes += (uint64_t)n;
		return n;
	}
	tar->inner_ended = true;
	return n < 0 ? n : pad(tar);
}

/* libarchive gave up: because of its input, of memory, or of what it read. */
static int fail_archive(const struct oci_tar *tar, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];

	if (tar->inner_err.code != OCI_OK) {
		if (err != NULL && err->code == OCI_OK)
			*err = tar->inner_err;
		return -1;
	}
	if (archive_errno(tar->archive) == ENOMEM)
		return oci_fail_nomem(err);
	const char *why = archive_error_string(tar->archive);
	return oci_fail(err, OCI_E_FORMAT, "tar is damaged: %s",
		why != NULL ? oci_str_escape(why, shown) : "a header is cut off");
}

static int fail_member(const char *name, const char *what, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];

	return oci_fail(err, OCI_E_FORMAT, "tar member '%s' %s", oci_str_escape(name, shown), what);
}

/* The next member's header, as libarchive sees it. 1, 0 at the end, -1. */
static int next_header(struct oci_tar *tar, struct archive_entry **ret, struct oci_error *err)
{
	/* libarchive converts names to the locale's charset and composes them
	 * (NFC) on the way. What does not fit, any byte that is not ASCII when
	 * the locale is C, stays as it is in the tar, with this warning. */
	locale_t callers = uselocale(tar->locale);
	int result = archive_read_next_header(tar->archive, ret);
	uselocale(callers);

	if (result == ARCHIVE_EOF && tar->inner_err.code == OCI_OK)
		return 0;
	if (result == ARCHIVE_WARN && archive_errno(tar->archive) == EILSEQ)
		return 1;
	/* Other warnings: something was ignored, so other readers may see another tar. */
	return result == ARCHIVE_OK ? 1 : fail_archive(tar, err);
}

/* A member's name without "./" and '/' around it, in a new string; "" is the
 * root. */
static int take_path(const char *name, char **ret, struct oci_error *err)
{
	const char *start = name;

	if (!oci_str_clean_utf8(name))
		return fail_member(name, "has a name that is not clean UTF-8", err);
	while (start[0] == '/' || oci_str_starts(start, "./"))
		start += start[0] == '/' ? 1 : 2;
	if (strcmp(start, ".") == 0)
		start++;
	if (oci_str_set(ret, start, err) < 0)
		return -1;
	for (size_t len = strlen(*ret); len > 0 && (*ret)[len - 1] == '/'; len--)
		(*ret)[len - 1] = '\0';
	if ((*ret)[0] != '\0' && !oci_fs_path_ok(*ret))
		return fail_member(name, "has a name that is not a plain path below the root", err);
	return 0;
}

static enum oci_tar_type type_of(struct archive_entry *from)
{
	if (archive_entry_hardlink(from) != NULL)
		return OCI_TAR_HARDLINK;
	switch (archive_entry_filetype(from)) {
	case AE_IFREG:
		return OCI_TAR_FILE;
	case AE_IFDIR:
		return OCI_TAR_DIR;
	case AE_IFLNK:
		return OCI_TAR_SYMLINK;
	default:
		return OCI_TAR_OTHER;
	}
}

static int take_size(struct oci_tar_entry *entry, const char *name, struct archive_entry *from,
	struct oci_error *err)
{
	entry->size_bytes = 0;
	if (entry->type != OCI_TAR_FILE)
		return 0;
	if (archive_entry_sparse_count(from) > 0)
		return fail_member(name, "is sparse", err);
	if (!archive_entry_size_is_set(from) || archive_entry_size(from) < 0)
		return fail_member(name, "has no size", err);
	entry->size_bytes = archive_entry_size(from);
	return 0;
}

static int take_link(struct oci_tar_entry *entry, const char *name, struct archive_entry *from,
	struct oci_error *err)
{
	if (entry->type == OCI_TAR_HARDLINK) {
		if (take_path(archive_entry_hardlink(from), &entry->link, err) < 0)
			return -1;
		return entry->link[0] != '\0' ? 0 : fail_member(name, "is a link to the root", err);
	}
	if (entry->type != OCI_TAR_SYMLINK)
		return oci_str_set(&entry->link, NULL, err);
	const char *target = archive_entry_symlink(from);
	if (target == NULL || target[0] == '\0' || !oci_str_clean_utf8(target))
		return fail_member(name, "is a link whose target is not clean UTF-8", err);
	return oci_str_set(&entry->link, target, err);
}

static int take_entry(struct oci_tar *tar, struct archive_entry *from, struct oci_error *err)
{
	struct oci_tar_entry *entry = &tar->entry;
	const char *name = archive_entry_pathname(from);

	if (name == NULL)
		return fail_member("", "has no name", err);
	entry->type = type_of(from);
	if (take_path(name, &entry->path, err) < 0 || take_size(entry, name, from, err) < 0 ||
		take_link(entry, name, from, err) < 0)
		return -1;
	if (entry->path[0] == '\0' && entry->type != OCI_TAR_DIR)
		return fail_member(name, "has no name", err);
	entry->mode = archive_entry_mode(from) & MODE_BITS;
	tar->read_bytes = 0;
	return 0;
}

int oci_tar_next(struct oci_tar *tar, struct oci_tar_entry *entry, struct oci_error *err)
{
	struct archive_entry *from;

	do {
		int more = tar->inner_began ? next_header(tar, &from, err) : 0;
		if (more < 0)
			return -1;
		if (more == 0)
			return tar->inner_ended ? 0 : oci_reader_drain(tar->inner, err);
		if (tar->padded)
			return oci_fail(err, OCI_E_FORMAT, "tar is damaged: a header is cut off");
		if (take_entry(tar, from, err) < 0)
			return -1;
	} while (tar->entry.path[0] == '\0');
	*entry = tar->entry;
	return 1;
}

/* Did the zeros of pad() stand for data? The last block of a file has the
 * remainder of its size; the input ended with fewer bytes. */
static bool is_cut(const struct oci_tar *tar)
{
	uint64_t rest = tar->entry.size_bytes % OCI_TAR_BLOCK;

	if (!tar->padded || tar->entry.size_bytes == 0)
		return false;
	return tar->input_bytes % OCI_TAR_BLOCK < (rest ? rest : OCI_TAR_BLOCK);
}

int oci_tar_read(struct oci_tar *tar, const void **data, size_t *len, struct oci_error *err)
{
	const struct oci_tar_entry *entry = &tar->entry;
	const void *block = NULL;
	size_t block_bytes = 0;
	la_int64_t offset = 0;
	int result = ARCHIVE_EOF;

	if (entry->type == OCI_TAR_FILE)
		result = archive_read_data_block(tar->archive, &block, &block_bytes, &offset);
	if (result == ARCHIVE_EOF) {
		if (tar->read_bytes != entry->size_bytes)
			return fail_member(entry->path, "has less data than its header says", err);
		if (is_cut(tar))
			return fail_member(entry->path, "is cut off", err);
		*len = 0;
		return 0;
	}
	if (result != ARCHIVE_OK)
		return fail_archive(tar, err);
	if (offset < 0 || (uint64_t)offset != tar->read_bytes || block_bytes == 0 ||
		block_bytes > entry->size_bytes - tar->read_bytes)
		return fail_member(entry->path, "is sparse", err);
	tar->read_bytes += block_bytes;
	*data = block;
	*len = block_bytes;
	return 0;
}

uint64_t oci_tar_position(const struct oci_tar *tar)
{
	return (uint64_t)archive_filter_bytes(tar->archive, 0);
}

static int start_archive(struct oci_tar *tar, struct oci_error *err)
{
	tar->locale = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
	tar->archive = archive_read_new();
	if (tar->locale == (locale_t)0 || tar->archive == NULL)
		return oci_fail_nomem(err);
	if (archive_read_support_filter_none(tar->archive) != ARCHIVE_OK ||
		archive_read_support_format_tar(tar->archive) != ARCHIVE_OK)
		return fail_archive(tar, err);
	if (archive_read_open(tar->archive, tar, NULL, feed, NULL) == ARCHIVE_OK)
		return 0;
	/* Nothing at all is an empty tar, which libarchive does not recognise. */
	bool nothing = tar->inner_ended && !tar->inner_began && tar->inner_err.code == OCI_OK;
	return nothing ? 0 : fail_archive(tar, err);
}

struct oci_tar *oci_tar_open_take(struct oci_reader *inner, struct oci_error *err)
{
	OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = calloc(1, sizeof *tar);

	if (tar == NULL) {
		oci_reader_close(inner);
		oci_fail_nomem(err);
		return NULL;
	}
	tar->inner = inner;
	if (start_archive(tar, err) < 0)
		return NULL;
	return oci_steal(&tar);
}

void oci_tar_close(struct oci_tar *tar)
{
	if (tar == NULL)
		return;
	archive_read_free(tar->archive);
	if (tar->locale != (locale_t)0)
		freelocale(tar->locale);
	oci_reader_close(tar->inner);
	free(tar->entry.path);
	free(tar->entry.link);
	free(tar);
}

void oci_tar_cleanup(struct oci_tar **tar)
{
	oci_tar_close(*tar);
	*tar = NULL;
}
