#include "store/bundle_set.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "store/archive_walk.h"
#include "stream/tar.h"

/* A file that was given, before it is known whether it is of any use. */
struct candidate {
	const char *path;
	int fd;
	uint64_t size_bytes;
	bool is_part;
	struct oci_bundle_part_id id;
};

static void candidate_clear(struct candidate *c)
{
	oci_cleanup_close(&c->fd);
}

static int open_file(const char *path, struct candidate *c, struct oci_error *err)
{
	struct stat st;

	*c = (struct candidate){.path = path, .fd = oci_bundle_file_open(path, err)};
	if (c->fd < 0)
		return -1;
	if (fstat(c->fd, &st) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "stat '%s'", path);
	c->size_bytes = (uint64_t)st.st_size;
	return 0;
}

/* The members that stand before the map, and the map: NULL ends a list. */
static const char *const part_members[] = {OCI_BUNDLE_PART_FILE, OCI_BUNDLE_MAP_FILE, NULL};
static const char *const whole_members[] = {"oci-layout", "index.json", OCI_BUNDLE_MAP_FILE, NULL};

/* The files at the beginning have these names; *ret is the last of them that was looked at. */
static bool begins_with(int fd, const char *const *names, struct oci_archive_member *ret)
{
	struct oci_archive_walk walk;

	if (oci_archive_walk_init(&walk, fd, NULL) < 0)
		return false;
	for (; *names; names++)
		if (oci_archive_walk_next(&walk, ret, NULL) <= 0 || ret->type != OCI_ARCHIVE_FILE ||
			strcmp(ret->path, *names) != 0)
			return false;
	return true;
}

static int read_range(int fd, uint64_t offset, uint64_t length, struct oci_buf *out, struct oci_error *err)
{
	ssize_t n;

	if (length > out->max)
		return oci_fail(err, OCI_E_FORMAT, "its map is too large");
	oci_buf_reset(out);
	if (oci_buf_append_zeros(out, length, err) < 0)
		return -1;
	n = oci_fs_pread_full(fd, out->data, length, offset, err);
	if (n < 0)
		return -1;
	return (uint64_t)n == length ? 0 : oci_fail(err, OCI_E_FORMAT, "it ends too early");
}

enum kind { OTHER, WHOLE, PART };

static enum kind kind_of(int fd, struct oci_archive_member *member)
{
	static const char *const only_id[] = {OCI_BUNDLE_PART_FILE, NULL};

	if (begins_with(fd, only_id, member))
		return PART;
	return begins_with(fd, whole_members, member) ? WHOLE : OTHER;
}

int oci_bundle_set_probe(const char *path)
{
	OCI_CLEANUP(candidate_clear) struct candidate c = {.fd = -1};
	struct oci_archive_member member;

	if (open_file(path, &c, NULL) < 0)
		return -1;
	switch (kind_of(c.fd, &member)) {
	case WHOLE:
		return 0;
	case PART:
		return 1;
	default:
		return -1;
	}
}

static int read_id(struct candidate *c, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	struct oci_archive_member member;

	oci_buf_init(&text, OCI_KIB);
	if (!begins_with(c->fd, part_members, &member)) {
		const char *what = kind_of(c->fd, &member) == PART ? "its map cannot be found" : "it is no part of a bundle";

		return oci_fail(err, OCI_E_FORMAT, "%s", what);
	}
	if (read_range(c->fd, OCI_TAR_BLOCK, OCI_TAR_BLOCK, &text, err) < 0)
		return -1;
	return oci_bundle_parts_read_id(&text, &c->id, err);
}

/* The map of a file that may be damaged: only what hashes to the part's own word for it. */
static int read_map(struct candidate *c, struct oci_bundle_map *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	struct oci_archive_member member;
	struct oci_digest digest;

	oci_buf_init(&text, OCI_BUNDLE_MAP_MAX);
	if (!begins_with(c->fd, c->is_part ? part_members : whole_members, &member))
		return oci_fail(err, OCI_E_FORMAT, "its map cannot be found");
	if (read_range(c->fd, member.offset, member.size_bytes, &text, err) < 0)
		return -1;
	oci_digest_of(OCI_SHA256, text.data, text.len, &digest);
	if (c->is_part && !oci_digest_equal(&digest, &c->id.bundle))
		return oci_fail(err, OCI_E_FORMAT, "its map is damaged");
	return oci_bundle_map_parse(text.data, text.len, ret, err);
}

/* How a part is called in messages: by number, where that is known, and by file. */
static const char *label(const struct oci_bundle_set *set, size_t number, const char *path,
	char out[OCI_STR_ESCAPE_MAX + 64])
{
	char shown[OCI_STR_ESCAPE_MAX];

	oci_str_escape(path, shown);
	if (number)
		snprintf(out, OCI_STR_ESCAPE_MAX + 64, "part %zu of %zu ('%s')", number, set->parts.count, shown);
	else
		snprintf(out, OCI_STR_ESCAPE_MAX + 64, "'%s'", shown);
	return out;
}

static int add_damage(struct oci_bundle_set *set, size_t number, const char *path, const char *what,
	struct oci_error *err)
{
	char who[OCI_STR_ESCAPE_MAX + 64];
	oci_autofree char *line = oci_str_printf("%s: %s", label(set, number, path, who), what);

	return line ? oci_strings_add(&set->damaged, line, err) : oci_fail_nomem(err);
}

void oci_bundle_set_drop(struct oci_bundle_set *set, size_t number)
{
	free(oci_steal(&set->files[number - 1].path));
	set->here[number - 1] = false;
}

/* What lies at `offset` of the file is exactly this. */
static int must_hold(int fd, uint64_t offset, const struct oci_buf *want, const char *what, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf have;

	oci_buf_init(&have, want->len + 1);
	if (read_range(fd, offset, want->len, &have, err) < 0)
		return -1;
	if (want->len == 0 || memcmp(have.data, want->data, want->len) == 0)
		return 0;
	return oci_fail(err, OCI_E_FORMAT, "its %s is damaged", what);
}

/* Size, head and sum of a part, and the list that it may carry. */
static int check_frame(const struct oci_bundle_set *set, const struct candidate *c, struct oci_digest *sum,
	struct oci_digest *list, struct oci_error *err)
{
	const struct oci_bundle_parts *parts = &set->parts;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf piece;
	uint64_t size = oci_bundle_parts_file_bytes(parts, c->id.number);
	uint64_t sum_bytes = oci_bundle_parts_sum_bytes(parts), list_bytes;

	oci_buf_init(&piece, 2 * OCI_BUNDLE_MAP_MAX);
	if (c->size_bytes != size)
		return oci_fail(err, OCI_E_FORMAT, "it has %" PRIu64 " bytes instead of %" PRIu64, c->size_bytes, size);
	if (oci_bundle_parts_head(parts, c->id.number, &piece, err) < 0 ||
		must_hold(c->fd, 0, &piece, "head", err) < 0)
		return -1;
	if (read_range(c->fd, size - sum_bytes, sum_bytes, &piece, err) < 0 ||
		oci_bundle_parts_read_sum(parts, &piece, sum, err) < 0)
		return -1;
	list_bytes = oci_bundle_parts_list_bytes(parts, c->id.number);
	if (list_bytes == 0)
		return 0;
	if (read_range(c->fd, size - sum_bytes - list_bytes, list_bytes, &piece, err) < 0)
		return -1;
	return oci_bundle_parts_read_list(parts, c->id.number, &piece, list, err);
}

static int start(struct oci_bundle_set *set, struct candidate *c, struct oci_error *err)
{
	oci_bundle_map_clear(&set->map);
	if (read_map(c, &set->map, err) < 0 ||
		oci_bundle_parts_plan(&set->map, c->is_part ? c->id.part_bytes : 0, &set->parts, err) < 0)
		return -1;
	if (c->is_part && c->id.number > set->parts.count)
		return oci_fail(err, OCI_E_FORMAT, "it says that it is part %zu of %zu", c->id.number, set->parts.count);
	set->files = calloc(set->parts.count, sizeof *set->files);
	set->here = calloc(set->parts.count, sizeof *set->here);
	if (!set->files || !set->here)
		return oci_fail_nomem(err);
	return 0;
}

/* Is it the same bundle? A head that contradicts itself is damaged, not somebody else's. */
static int check_same(const struct oci_bundle_set *set, struct candidate *c, bool *other, struct oci_error *err)
{
	OCI_CLEANUP(oci_bundle_map_clear) struct oci_bundle_map map;

	*other = false;
	oci_bundle_map_init(&map);
	if (oci_digest_equal(&c->id.bundle, &set->map.id) && c->id.part_bytes == set->parts.part_bytes &&
		c->id.number <= set->parts.count)
		return 0;
	if (read_map(c, &map, err) < 0)
		return -1;
	*other = true;
	return 0;
}

/* Sums that the index or the last part repeat, of part 1 and on. */
struct list {
	const char *path; /* of who says so; NULL: nobody */
	size_t number;
	struct oci_digest *sums;
};

static int keep(struct oci_bundle_set *set, struct candidate *c, const struct oci_digest *sum, struct oci_error *err)
{
	struct oci_bundle_file *file = &set->files[c->id.number - 1];

	if (file->path) { /* the same part twice: the one that is whole */
		char who[OCI_STR_ESCAPE_MAX + 64];

		if (oci_bundle_set_check(set, c->id.number, NULL) == 0)
			return 0;
		if (add_damage(set, c->id.number, label(set, 0, file->path, who), "it was given twice", err) < 0)
			return -1;
		oci_bundle_set_drop(set, c->id.number);
	}
	file->sum = *sum;
	set->here[c->id.number - 1] = true;
	return oci_str_set(&file->path, c->path, err);
}

static int take_part(struct oci_bundle_set *set, struct candidate *c, struct list *list, struct oci_error *err)
{
	struct oci_error why = {0};
	struct oci_digest sum;
	bool other;

	if (check_same(set, c, &other, &why) < 0)
		return add_damage(set, 0, c->path, why.text, err);
	if (other)
		return oci_fail(err, OCI_E_FORMAT, "'%s' belongs to another bundle", c->path);
	if (check_frame(set, c, &sum, list->sums, &why) < 0)
		return add_damage(set, c->id.number, c->path, why.text, err);
	if (c->id.number == 0 || (c->id.number == set->parts.count && !list->path)) {
		list->path = c->path;
		list->number = c->id.number;
	}
	return c->id.number ? keep(set, c, &sum, err) : 0;
}

/* A sum that is not the listed one: the part is damaged, or else the list. */
static int compare_list(struct oci_bundle_set *set, const struct list *list, struct oci_error *err)
{
	size_t count = list->number == 0 ? set->parts.count : set->parts.count - 1;

	for (size_t i = 0; list->path && i < count; i++) {
		struct oci_bundle_file *file = &set->files[i];
		bool part_is_good;

		if (!file->path || oci_digest_equal(&file->sum, &list->sums[i]))
			continue;
		part_is_good = oci_bundle_set_check(set, i + 1, NULL) == 0;
		if (add_damage(set, part_is_good ? list->number : i + 1, part_is_good ? list->path : file->path,
			    "its sum is not the one that is listed", err) < 0)
			return -1;
		if (!part_is_good)
			oci_bundle_set_drop(set, i + 1);
	}
	return 0;
}

/* One piece of what lies between two blobs, within one part. */
static int check_piece(struct oci_bundle_set *set, struct oci_bundle_cursor *cursor, uint64_t offset, const char *data,
	size_t len, struct oci_error *err)
{
	size_t number = oci_bundle_set_part_of(set, offset);
	struct oci_bundle_file *file = &set->files[number - 1];
	const struct oci_buf want = {.data = (char *)data, .len = len};
	uint64_t at = set->parts.head_bytes + offset - oci_bundle_parts_offset(&set->parts, number);
	struct oci_error why = {0};

	if (!file->path)
		return 0;
	if (oci_bundle_cursor_open(cursor, set, number, err) < 0)
		return -1;
	if (must_hold(cursor->fd, at, &want, "content between two blobs", &why) == 0)
		return 0;
	if (!set->parts.part_bytes)
		return oci_fail(err, OCI_E_FORMAT, "%s", why.text);
	if (add_damage(set, number, file->path, why.text, err) < 0)
		return -1;
	oci_bundle_set_drop(set, number);
	return 0;
}

static uint64_t part_end(const struct oci_bundle_set *set, uint64_t offset)
{
	size_t number = oci_bundle_set_part_of(set, offset);

	return oci_bundle_parts_offset(&set->parts, number) + oci_bundle_parts_length(&set->parts, number);
}

static int check_gaps(struct oci_bundle_set *set, struct oci_error *err)
{
	OCI_CLEANUP(oci_bundle_cursor_clear) struct oci_bundle_cursor cursor = {.fd = -1};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf gap;

	oci_buf_init(&gap, 3 * OCI_BUNDLE_MAP_MAX);
	for (size_t i = 0; i <= set->map.count; i++) {
		uint64_t offset = oci_bundle_map_gap_offset(&set->map, i);

		oci_buf_reset(&gap);
		if (oci_bundle_map_gap(&set->map, i, &gap, err) < 0)
			return -1;
		for (size_t at = 0, len; at < gap.len; at += len) {
			uint64_t room = part_end(set, offset + at) - (offset + at);

			len = room < gap.len - at ? (size_t)room : gap.len - at;
			if (check_piece(set, &cursor, offset + at, gap.data + at, len, err) < 0)
				return -1;
		}
	}
	return 0;
}

static int open_whole(struct oci_bundle_set *set, struct candidate *c, struct oci_error *err)
{
	if (start(set, c, err) < 0)
		return -1;
	if (c->size_bytes != set->map.stream_bytes)
		return oci_fail(err, OCI_E_FORMAT, "it has %" PRIu64 " bytes instead of %" PRIu64 ": %s", c->size_bytes,
			set->map.stream_bytes, c->size_bytes < set->map.stream_bytes ? "truncated" : "damaged");
	set->here[0] = true;
	if (oci_str_set(&set->files[0].path, c->path, err) < 0)
		return -1;
	return check_gaps(set, err);
}

static int open_part(const char *path, struct candidate *c, struct oci_error *err)
{
	if (open_file(path, c, err) < 0)
		return -1;
	c->is_part = true;
	return read_id(c, err);
}

/* The first file whose head is in order says what bundle it is. */
static int find_first(struct oci_bundle_set *set, const struct oci_strings *paths, struct oci_error *err)
{
	struct oci_error why = {0};
	char shown[OCI_STR_ESCAPE_MAX];

	for (size_t i = 0; i < paths->count; i++) {
		OCI_CLEANUP(candidate_clear) struct candidate c = {.fd = -1};
		struct oci_error each = {0};

		if (open_part(paths->items[i], &c, &each) == 0 && start(set, &c, &each) == 0)
			return 0;
		oci_wrap(&each, "'%s'", oci_str_escape(paths->items[i], shown));
		if (!why.code)
			why = each;
	}
	return oci_fail(err, why.code, "%s", why.text);
}

static int take_file(struct oci_bundle_set *set, const char *path, struct list *list, struct oci_error *err)
{
	OCI_CLEANUP(candidate_clear) struct candidate c = {.fd = -1};
	struct oci_error why = {0};

	if (open_part(path, &c, &why) < 0)
		return add_damage(set, 0, path, why.text, err);
	return take_part(set, &c, list, err);
}

static int take_parts(struct oci_bundle_set *set, const struct oci_strings *paths, struct oci_error *err)
{
	struct list list = {0};
	oci_autofree struct oci_digest *sums = NULL;

	if (find_first(set, paths, err) < 0)
		return -1;
	sums = calloc(set->parts.count, sizeof *sums);
	if (!sums)
		return oci_fail_nomem(err);
	list.sums = sums;
	for (size_t i = 0; i < paths->count; i++)
		if (take_file(set, paths->items[i], &list, err) < 0)
			return -1;
	if (compare_list(set, &list, err) < 0)
		return -1;
	return check_gaps(set, err);
}

static int open_if_whole(struct oci_bundle_set *set, const char *path, size_t files, bool *ret, struct oci_error *err)
{
	OCI_CLEANUP(candidate_clear) struct candidate c = {.fd = -1};
	struct oci_archive_member member;

	if (open_file(path, &c, err) < 0)
		return -1;
	*ret = kind_of(c.fd, &member) == WHOLE;
	if (!*ret)
		return 0;
	if (files > 1)
		return oci_fail(err, OCI_E_USAGE, "it is a whole bundle, load it alone");
	return open_whole(set, &c, err);
}

int oci_bundle_set_open(const struct oci_strings *paths, struct oci_bundle_set *ret, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	bool whole = false;

	*ret = (struct oci_bundle_set){0};
	oci_bundle_map_init(&ret->map);
	for (size_t i = 0; i < paths->count && !whole; i++)
		if (open_if_whole(ret, paths->items[i], paths->count, &whole, err) < 0)
			return oci_wrap(err, "bundle '%s'", oci_str_escape(paths->items[i], shown));
	return whole ? 0 : take_parts(ret, paths, err);
}

void oci_bundle_set_clear(struct oci_bundle_set *set)
{
	for (size_t i = 0; set->files && i < set->parts.count; i++)
		free(set->files[i].path);
	free(oci_steal(&set->here));
	free(oci_steal(&set->files));
	oci_strings_clear(&set->damaged);
	oci_bundle_map_clear(&set->map);
}

size_t oci_bundle_set_part_of(const struct oci_bundle_set *set, uint64_t offset)
{
	size_t number = (size_t)(offset / set->parts.slice_bytes) + 1;

	return number < set->parts.count ? number : set->parts.count;
}
