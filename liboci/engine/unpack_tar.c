/* A foreign tar: any shape that the tar reader takes. */
#include "engine/unpack.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/ledger.h"
#include "engine/unpack_file.h"
#include "stream/tar.h"

#define OUTSIDE_SHOWN 16
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

struct unpacking {
	const struct oci_unpack_options *options;
	struct oci_unpacked *ret;
	struct oci_tar *tar;
	bool whiteouts;
	size_t entries;
	uint64_t begin; /* of the tar in the layer: that was read by a run before up to here */
};

static int note_outside(struct unpacking *u, const char *path, struct oci_error *err)
{
	oci_autofree char *top = strndup(path, strcspn(path, "/"));

	if (!top)
		return oci_fail_nomem(err);
	if (u->ret->outside.count >= OUTSIDE_SHOWN || oci_strings_has(&u->ret->outside, top))
		return 0;
	return oci_strings_add(&u->ret->outside, top, err);
}

/* `dir` ends in a slash; a path of a directory does not. */
static bool is_dir_itself(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return len > 0 && strlen(path) + 1 == len && strncmp(path, dir, len - 1) == 0;
}

/* The name below the root; NULL where it lies elsewhere. "" is the root itself. */
static const char *below_root(const struct unpacking *u, const char *path)
{
	const char *root = u->options->root, *strip = u->options->strip;
	size_t len = strlen(root);

	if (is_dir_itself(path, root))
		return "";
	if (strncmp(path, root, len) != 0)
		return NULL;
	path += len;
	if (strip && is_dir_itself(path, strip))
		return "";
	if (strip && oci_str_starts(path, strip))
		path += strlen(strip);
	return path;
}

static int take_hardlink(struct unpacking *u, const char *path, const struct oci_tar_entry *entry,
	struct oci_error *err)
{
	const char *target = entry->link;
	char shown[OCI_STR_ESCAPE_MAX];

	while (strncmp(target, "./", 2) == 0)
		target += 2;
	while (*target == '/')
		target++;
	if (!oci_fs_path_ok(target) || !below_root(u, target))
		return oci_fail(err, OCI_E_FORMAT, "hard link '%s' leads outside the model",
			oci_str_escape(entry->path, shown));
	return oci_unpacked_add_link(u->ret, path, below_root(u, target), false, err);
}

static int take_data(struct unpacking *u, struct unpack_file *file, struct oci_error *err)
{
	const void *data;
	size_t len;

	for (;;) {
		if (unpack_check(u->options, err) < 0 || oci_tar_read(u->tar, &data, &len, err) < 0)
			return -1;
		if (len == 0)
			return 0;
		if (unpack_file_write(file, data, len, err) < 0)
			return -1;
	}
}

static int take_file(struct unpacking *u, const char *path, const struct oci_tar_entry *entry,
	struct oci_error *err)
{
	OCI_CLEANUP(unpack_file_clear) struct unpack_file file = {.fd = -1,
		.path = path,
		.part.number = (uint32_t)u->entries,
		.mode = entry->mode,
		.size_bytes = entry->size_bytes,
		.begin = u->begin + oci_tar_position(u->tar)};

	if (unpack_file_begin(&file, u->options, u->ret, err) < 0 || take_data(u, &file, err) < 0)
		return -1;
	return unpack_file_end(&file, err);
}

static int take_dir(struct unpacking *u, const char *path, struct oci_error *err)
{
	if (*path == '\0' || !oci_filter_is_empty(&u->options->filter))
		return 0;
	return oci_strings_add(&u->ret->dirs, path, err);
}

/* Is it the root, or a directory that the root lies in? */
static bool holds_root(const struct unpacking *u, const char *path)
{
	size_t len = strlen(path);

	return len == 0 || (oci_str_starts(u->options->root, path) && u->options->root[len] == '/');
}

/* A whiteout's target may be the root or one of its parents: then it is the
 * whole tree below that is hidden. */
static int take_whiteout(struct unpacking *u, const char *path, struct oci_error *err)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *below;
	oci_autofree char *hidden = NULL;
	const char *of = name + strlen(WHITEOUT);
	bool opaque = strcmp(name, OPAQUE) == 0;

	if (!opaque && (*of == '\0' || strcmp(of, ".") == 0 || strcmp(of, "..") == 0))
		return oci_fail(err, OCI_E_FORMAT, "whiteout without a name");
	if (opaque)
		hidden = slash ? strndup(path, (size_t)(slash - path)) : strdup("");
	else
		hidden = oci_str_printf("%.*s%s", (int)(name - path), path, of);
	if (!hidden)
		return oci_fail_nomem(err);
	if (holds_root(u, hidden))
		return oci_strings_add(&u->ret->opaques, "", err);
	below = below_root(u, hidden);
	if (!below)
		return 0;
	return oci_strings_add(opaque ? &u->ret->opaques : &u->ret->whiteouts, below, err);
}

static bool is_whiteout(const char *path)
{
	const char *slash = strrchr(path, '/');

	return oci_str_starts(slash ? slash + 1 : path, WHITEOUT);
}

static int take_entry(struct unpacking *u, const struct oci_tar_entry *entry, struct oci_error *err)
{
	const char *path = below_root(u, entry->path);
	char shown[OCI_STR_ESCAPE_MAX];

	if (++u->entries > OCI_UNPACK_ENTRIES_MAX)
		return oci_fail(err, OCI_E_FORMAT, "layer has more than %d members", OCI_UNPACK_ENTRIES_MAX);
	bool whiteout = u->whiteouts && is_whiteout(entry->path);
	if (!path && !whiteout)
		return note_outside(u, entry->path, err);
	if (oci_unpack_charge(u->options, u->ret, entry->path, entry->link, err) < 0)
		return -1;
	if (whiteout)
		return take_whiteout(u, entry->path, err);
	if (entry->type == OCI_TAR_DIR)
		return take_dir(u, path, err);
	if (entry->type == OCI_TAR_OTHER)
		return oci_fail(err, OCI_E_FORMAT, "'%s' is a device or fifo", oci_str_escape(entry->path, shown));
	if (!oci_fs_path_ok(path))
		return oci_fail(err, OCI_E_FORMAT, "unsafe name '%s'", oci_str_escape(entry->path, shown));
	if (!oci_filter_takes(&u->options->filter, path))
		return 0;
	if (entry->type == OCI_TAR_SYMLINK)
		return oci_unpacked_add_link(u->ret, path, entry->link, true, err);
	if (entry->type == OCI_TAR_HARDLINK)
		return take_hardlink(u, path, entry, err);
	return take_file(u, path, entry, err);
}

/* The rest of a file that a run before has begun, and what fills its last block. *ended:
 * the layer has no more, as some writers leave even that out. */
static int finish_file(struct unpacking *u, struct oci_reader *layer, bool *ended, struct oci_error *err)
{
	OCI_CLEANUP(unpack_file_clear) struct unpack_file file = UNPACK_FILE_NONE;
	oci_autofree char *chunk = malloc(OCI_MIB);
	size_t padding;
	ssize_t n;

	if (!chunk)
		return oci_fail_nomem(err);
	if (unpack_file_resume(&file, u->options, u->ret, err) < 0 ||
		unpack_file_fill(&file, layer, file.size_bytes - file.done, chunk, err) < 0 ||
		unpack_file_end(&file, err) < 0)
		return -1;
	padding = (size_t)oci_tar_padding(file.size_bytes);
	u->entries = file.part.number;
	u->begin = file.begin + file.size_bytes + padding;
	n = oci_reader_read_full(layer, chunk, padding, err);
	*ended = n >= 0 && (size_t)n < padding;
	return n < 0 ? -1 : 0;
}

int oci_unpack_tar_take(struct oci_reader *layer, bool whiteouts, const struct oci_unpack_options *options,
	struct oci_unpacked *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = layer;
	OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = NULL;
	struct unpacking u = {.options = options, .ret = ret, .whiteouts = whiteouts};
	struct oci_tar_entry entry;
	bool ended = false;
	int rc;

	if (options->ledger && options->ledger->begun.path && finish_file(&u, reader, &ended, err) < 0)
		return -1;
	if (ended)
		return 0;
	tar = oci_tar_open_take(oci_steal(&reader), err);
	u.tar = tar;
	if (!tar)
		return -1;
	while ((rc = oci_tar_next(tar, &entry, err)) > 0)
		if (take_entry(&u, &entry, err) < 0)
			return -1;
	return rc;
}
