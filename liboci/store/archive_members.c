#include "store/archive_members.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "core/grow.h"

#define NAMES_MAX (16 * OCI_MIB)
#define LINKS_MAX 8

static const char *path_of(const struct oci_archive_members *members, const struct oci_archive_file *file)
{
	return members->names.data + file->path;
}

/* Keep `text` with its end; *ret is where it begins. */
static int add_name(struct oci_archive_members *members, const char *text, size_t *ret, struct oci_error *err)
{
	size_t at = members->names.len;

	if (oci_buf_append(&members->names, text, strlen(text) + 1, err) < 0)
		return oci_wrap(err, "names of the members");
	*ret = at;
	return 0;
}

static int add_member(struct oci_archive_members *members, const struct oci_archive_member *m,
	struct oci_error *err)
{
	struct oci_archive_file file = {.type = m->type, .offset = m->offset, .size_bytes = m->size_bytes};
	struct oci_archive_file *files;

	if (m->type == OCI_ARCHIVE_DIR)
		return 0;
	if (members->count == OCI_ARCHIVE_MEMBERS_KEPT_MAX)
		return oci_fail(err, OCI_E_FORMAT, "holds more than %d files", OCI_ARCHIVE_MEMBERS_KEPT_MAX);
	if (add_name(members, m->path, &file.path, err) < 0)
		return -1;
	if (m->type != OCI_ARCHIVE_FILE && add_name(members, m->target, &file.target, err) < 0)
		return -1;
	files = oci_grow(members->files, members->count, sizeof *files);
	if (!files)
		return oci_fail_nomem(err);
	members->files = files;
	members->files[members->count++] = file;
	return 0;
}

static int by_path(const void *a, const void *b, void *names)
{
	const struct oci_archive_file *x = a, *y = b;

	return strcmp((const char *)names + x->path, (const char *)names + y->path);
}

int oci_archive_members_read(struct oci_archive_input *input, struct oci_archive_members *ret,
	struct oci_error *err)
{
	oci_autofree struct oci_archive_member *member = calloc(1, sizeof *member);
	struct oci_archive_walk walk;
	int more;

	*ret = (struct oci_archive_members){.input = input};
	oci_buf_init(&ret->names, NAMES_MAX);
	if (!member)
		return oci_fail_nomem(err);
	oci_archive_walk_over(&walk, input);
	while ((more = oci_archive_walk_next(&walk, member, err)) > 0)
		if (add_member(ret, member, err) < 0)
			return -1;
	if (ret->count > 0)
		qsort_r(ret->files, ret->count, sizeof *ret->files, by_path, ret->names.data);
	return more;
}

/* The first of the members with this very path, or NULL. */
static struct oci_archive_file *look_up(const struct oci_archive_members *members, const char *path)
{
	size_t low = 0, high = members->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(path_of(members, &members->files[middle]), path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == members->count || strcmp(path_of(members, &members->files[low]), path) != 0)
		return NULL;
	return &members->files[low];
}

bool oci_archive_members_has(const struct oci_archive_members *members, const char *path)
{
	return look_up(members, path) != NULL;
}

/* The length of the parent of a path of `len` bytes. */
static size_t parent_length(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len > 0 ? len - 1 : 0;
}

/* Go on from the directory `path` along `relative`; false when that leads out
 * of the archive or is too long. */
static bool go(char path[OCI_ARCHIVE_PATH_MAX], const char *relative)
{
	size_t len = strlen(path), part;

	if (*relative == '/')
		return false;
	for (; *relative; relative += part + (relative[part] == '/')) {
		part = strcspn(relative, "/");
		if (part == 2 && relative[0] == '.' && relative[1] == '.') {
			if (len == 0)
				return false;
			len = parent_length(path, len);
		} else if (part > 1 || (part == 1 && relative[0] != '.')) {
			if (len + 1 + part >= OCI_ARCHIVE_PATH_MAX)
				return false;
			if (len > 0)
				path[len++] = '/';
			memcpy(path + len, relative, part);
			len += part;
		}
	}
	path[len] = '\0';
	return true;
}

/* From a link's path to that of its target. */
static bool follow(const struct oci_archive_members *members, const struct oci_archive_file *link,
	char path[OCI_ARCHIVE_PATH_MAX])
{
	size_t base = link->type == OCI_ARCHIVE_SYMLINK ? parent_length(path, strlen(path)) : 0;

	path[base] = '\0';
	return go(path, members->names.data + link->target);
}

struct oci_archive_file *oci_archive_members_find(const struct oci_archive_members *members, const char *path,
	struct oci_error *err)
{
	char at[OCI_ARCHIVE_PATH_MAX] = "", shown[OCI_STR_ESCAPE_MAX];
	const char *why = "is not in the archive";
	bool inside = go(at, path);

	for (unsigned links = 0; inside; links++) {
		struct oci_archive_file *file = look_up(members, at);
		size_t next = file ? (size_t)(file - members->files) + 1 : 0;

		if (!file)
			break;
		why = "stands for several members";
		if (next < members->count && strcmp(path_of(members, &members->files[next]), at) == 0)
			break;
		if (file->type == OCI_ARCHIVE_FILE)
			return file;
		why = "is a link that leads to no file of the archive";
		if (links == LINKS_MAX)
			break;
		inside = follow(members, file, at);
	}
	oci_fail(err, OCI_E_FORMAT, "'%s' %s", oci_str_escape(path, shown), why);
	return NULL;
}

int oci_archive_members_load(const struct oci_archive_members *members, const struct oci_archive_file *file,
	struct oci_buf *out, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	size_t at = out->len;
	ssize_t n;

	oci_str_escape(path_of(members, file), shown);
	if (file->size_bytes > out->max - out->len)
		return oci_fail(err, OCI_E_FORMAT, "'%s' is too large", shown);
	if (oci_buf_append_zeros(out, file->size_bytes, err) < 0)
		return -1;
	n = oci_archive_input_read(members->input, out->data + at, file->size_bytes, file->offset, err);
	if (n >= 0 && (uint64_t)n < file->size_bytes)
		return oci_fail(err, OCI_E_SOURCE, "'%s' became shorter while it was read", shown);
	return n < 0 ? -1 : 0;
}

void oci_archive_members_clear(struct oci_archive_members *members)
{
	free(members->files);
	oci_buf_clear(&members->names);
	*members = (struct oci_archive_members){0};
}
