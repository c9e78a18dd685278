#include "store/bundle.h"

#include <dirent.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "store/archive.h"
#include "store/archive_parts.h"
#include "store/blob.h"
#include "store/index.h"
#include "store/ops.h"

struct bundle {
	struct oci_store base;
	const struct oci_bundle_set *set;
	const struct oci_bundle_fill *fill; /* NULL: none */
	struct oci_bundle_set own; /* when the store opened the files itself */
};

static const struct oci_bundle_set *set_of(struct oci_store *s)
{
	return ((struct bundle *)s)->set;
}

static const struct oci_bundle_blob *find_here(struct oci_store *s, const struct oci_digest *digest)
{
	bool needed = false;
	const struct oci_bundle_blob *blob = oci_bundle_map_find(&set_of(s)->map, digest, &needed);

	return needed ? NULL : blob;
}

static int bundle_exists(struct oci_store *s, const struct oci_descriptor *d, bool *ret, struct oci_error *err)
{
	const struct oci_bundle_blob *blob = find_here(s, &d->digest);

	*ret = blob && blob->size_bytes == d->size_bytes;
	return 0;
}

static int fail_missing(struct oci_store *s, const struct oci_digest *digest, struct oci_error *err)
{
	char text[OCI_DIGEST_TEXT_MAX];
	bool needed = false;

	if (oci_bundle_map_find(&set_of(s)->map, digest, &needed))
		return oci_fail(err, OCI_E_NOT_FOUND,
			"blob '%s' is not in this bundle: it was made for a place that has it",
			oci_digest_format(digest, text));
	return oci_blob_fail_missing(digest, err);
}

static struct oci_reader *bundle_open(struct oci_store *s, const struct oci_descriptor *d, uint64_t offset,
	uint64_t length, struct oci_error *err)
{
	const struct oci_bundle_blob *blob = find_here(s, &d->digest);
	const struct oci_bundle_fill *fill = ((struct bundle *)s)->fill;

	if (!blob) {
		fail_missing(s, &d->digest, err);
		return NULL;
	}
	if (oci_blob_check_size(d, blob->size_bytes, err) < 0 || oci_blob_check_range(d, offset, length, err) < 0)
		return NULL;
	if (fill)
		return fill->open(fill->ctx, blob, offset, length, err);
	return oci_bundle_set_read(set_of(s), blob->offset + offset, length, err);
}

static struct oci_sink *bundle_begin(struct oci_store *s, const struct oci_descriptor *want, struct oci_error *err)
{
	oci_fail(err, OCI_E_BUG, "write into a bundle that is open for reading");
	return NULL;
}

static int size_of(struct oci_store *s, const struct oci_digest *digest, uint64_t *ret, struct oci_error *err)
{
	const struct oci_bundle_blob *blob = find_here(s, digest);

	if (!blob)
		return fail_missing(s, digest, err);
	*ret = blob->size_bytes;
	return 0;
}

static int bundle_resolve(struct oci_store *s, const char *name, struct oci_descriptor *ret, struct oci_error *err)
{
	return oci_index_resolve(s, &set_of(s)->map.index, name, size_of, ret, err);
}

static int bundle_tag(struct oci_store *s, const struct oci_descriptor *d, const char *tag, struct oci_error *err)
{
	return oci_fail(err, OCI_E_BUG, "tag in a bundle that is open for reading");
}

static int bundle_tags(struct oci_store *s, struct oci_strings *ret, struct oci_error *err)
{
	return oci_index_tags(&set_of(s)->map.index, ret, err);
}

static int bundle_finish(struct oci_store *s, struct oci_error *err)
{
	return 0;
}

static void bundle_close(struct oci_store *s)
{
	oci_bundle_set_clear(&((struct bundle *)s)->own);
	free(s);
}

static const struct oci_store_ops bundle_ops = {
	.kind = "bundle",
	.exists = bundle_exists,
	.open = bundle_open,
	.begin = bundle_begin,
	.resolve = bundle_resolve,
	.tag = bundle_tag,
	.tags = bundle_tags,
	.finish = bundle_finish,
	.close = bundle_close,
};

static struct bundle *make(struct oci_error *err)
{
	struct bundle *b = calloc(1, sizeof *b);

	if (!b) {
		oci_fail_nomem(err);
		return NULL;
	}
	b->base.ops = &bundle_ops;
	return b;
}

struct oci_store *oci_store_bundle_set(const struct oci_bundle_set *set, const struct oci_bundle_fill *fill,
	struct oci_error *err)
{
	struct bundle *b = make(err);

	if (!b)
		return NULL;
	b->set = set;
	b->fill = fill;
	return &b->base;
}

/* "m.tar" of "m.tar.part007" and "m.tar.idx": how much of the name; 0: it is no part's. */
static size_t stem_length(const char *name)
{
	const char *dot = strrchr(name, '.');

	if (!dot || dot == name)
		return 0;
	if (strcmp(dot, ".idx") == 0)
		return (size_t)(dot - name);
	if (!oci_str_starts(dot, ".part") || dot[5] == '\0' || dot[5 + strspn(dot + 5, "0123456789")] != '\0')
		return 0;
	return (size_t)(dot - name);
}

/* All parts of `stem` in the directory of `path`. */
static int add_siblings(const char *path, int dir, const char *stem, size_t len, struct oci_strings *ret,
	struct oci_error *err)
{
	size_t before = strlen(path) - strlen(strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	int own = dup(dir), status = 0;
	DIR *entries = own < 0 ? NULL : fdopendir(own);

	if (!entries) {
		if (own >= 0)
			close(own);
		return oci_fail_sys(err, errno, OCI_E_IO, "list the directory of '%s'", path);
	}
	rewinddir(entries);
	for (struct dirent *entry; status == 0 && (entry = readdir(entries));) {
		oci_autofree char *full = NULL;

		if (stem_length(entry->d_name) != len || strncmp(entry->d_name, stem, len) != 0)
			continue;
		full = oci_str_printf("%.*s%s", (int)before, path, entry->d_name);
		status = full ? oci_strings_add(ret, full, err) : oci_fail_nomem(err);
	}
	closedir(entries);
	return status;
}

int oci_bundle_set_expand(const char *path, bool siblings, struct oci_strings *ret, struct oci_error *err)
{
	oci_autofree char *name = NULL;
	oci_autoclose int dir = oci_fs_open_parent(path, &name, err);
	size_t before = ret->count, len;
	struct stat st;

	if (dir < 0)
		return -1;
	if (fstatat(dir, name, &st, 0) == 0) {
		len = siblings ? stem_length(name) : 0;
		if (len == 0 || oci_bundle_set_probe(path) != 1)
			return oci_strings_add(ret, path, err);
		return add_siblings(path, dir, name, len, ret, err);
	}
	if (errno != ENOENT)
		return oci_fs_fail(err, errno, "open", path);
	if (add_siblings(path, dir, name, strlen(name), ret, err) < 0)
		return -1;
	return ret->count > before ? 0 : oci_fs_fail(err, ENOENT, "open", path);
}

static int open_files(struct bundle *b, const struct oci_strings *files, struct oci_error *err)
{
	char missing[OCI_BUNDLE_RANGES_MAX];
	size_t count;

	b->set = &b->own;
	if (oci_bundle_set_open(files, &b->own, err) < 0)
		return -1;
	if (b->own.damaged.count > 0)
		return oci_fail(err, OCI_E_DIGEST, "%s", b->own.damaged.items[0]);
	count = oci_bundle_ranges(b->own.here, b->own.parts.count, false, missing);
	if (count > 0)
		return oci_fail(err, OCI_E_MORE, "part %s of %zu is missing, put it beside the others", missing,
			b->own.parts.count);
	return 0;
}

bool oci_bundle_is_foreign(const struct oci_strings *files)
{
	for (size_t i = 0; i < files->count; i++)
		if (oci_bundle_set_probe(files->items[i]) >= 0)
			return false;
	return files->count == 1 || oci_archive_parts_are_one(files);
}

struct oci_store *oci_store_bundle(const char *path, enum oci_store_mode mode, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings files = {0};
	char shown[OCI_STR_ESCAPE_MAX];
	struct bundle *b;

	if (mode == OCI_STORE_WRITE)
		return oci_store_archive(path, mode, err);
	if (oci_bundle_set_expand(path, true, &files, err) < 0) {
		oci_wrap(err, "bundle '%s'", oci_str_escape(path, shown));
		return NULL;
	}
	if (oci_bundle_is_foreign(&files))
		return oci_store_archive(path, mode, err);
	b = make(err);
	if (!b)
		return NULL;
	if (open_files(b, &files, err) < 0) {
		bundle_close(&b->base);
		oci_wrap(err, "bundle '%s'", oci_str_escape(path, shown));
		return NULL;
	}
	return &b->base;
}
