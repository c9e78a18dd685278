#include "store/bundle_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "store/index.h"
#include "stream/tar.h"

#define PIPE_BYTES (1 << 20)
#define STEP_BYTES (256 * OCI_KIB)
#define SIZE_FIELD 124 /* of a tar header: 11 octal digits */
#define SIZE_DIGITS 11

bool oci_bundle_pipe_probe(const char *path)
{
	oci_autofree char *name = NULL;
	oci_autoclose int dir = -1;
	struct stat st;

	if (strcmp(path, "-") == 0)
		return true;
	dir = oci_fs_open_parent(path, &name, NULL);
	return dir >= 0 && fstatat(dir, name, &st, 0) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode));
}

/* How a part is called: a whole bundle has but one, and goes by its name. */
static int wrap_part(const struct oci_bundle_pipe *pipe, struct oci_error *err)
{
	if (pipe->parts.part_bytes)
		oci_wrap(err, "part %zu of %zu", pipe->number, pipe->parts.count);
	return oci_wrap(err, "bundle '%s'", pipe->name);
}

/* What is wrong with the part under way, as far as it is one. */
static int fail_part(const struct oci_bundle_pipe *pipe, const char *what, struct oci_error *err)
{
	oci_fail(err, pipe->parts.part_bytes ? OCI_E_DIGEST : OCI_E_FORMAT, "%s", what);
	return wrap_part(pipe, err);
}

/* Returns how many bytes came: fewer only at the end. */
static ssize_t read_some(struct oci_bundle_pipe *pipe, void *data, size_t len, struct oci_error *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(pipe->fd, (char *)data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return oci_fail_sys(err, errno, OCI_E_IO, "read '%s'", pipe->name);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	oci_hash_update(&pipe->hash, data, done);
	return (ssize_t)done;
}

static int take(struct oci_bundle_pipe *pipe, void *data, size_t len, struct oci_error *err)
{
	ssize_t n = read_some(pipe, data, len, err);

	if (n < 0)
		return -1;
	return (size_t)n == len ? 0 : fail_part(pipe, "it ends too early", err);
}

/* `len` more bytes into a buffer. */
static int take_into(struct oci_bundle_pipe *pipe, struct oci_buf *out, uint64_t len, struct oci_error *err)
{
	size_t before = out->len;

	if (len > out->max - out->len)
		return fail_part(pipe, "its map is too large", err);
	if (oci_buf_append_zeros(out, (size_t)len, err) < 0)
		return -1;
	return len == 0 ? 0 : take(pipe, out->data + before, (size_t)len, err);
}

/* The size that a header of ours gives to a small member. */
static bool parse_size(const char *header, uint64_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < SIZE_DIGITS; i++) {
		char c = header[SIZE_FIELD + i];

		if (c < '0' || c > '7')
			return false;
		*ret = *ret * 8 + (uint64_t)(c - '0');
	}
	return true;
}

/* The header of a member of this name, just read at `at`, says its size: all of it must be ours. */
static int check_header(const struct oci_bundle_pipe *pipe, const struct oci_buf *head, size_t at, const char *name,
	uint64_t *size, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf want;

	oci_buf_init(&want, OCI_TAR_BLOCK + 1);
	if (parse_size(head->data + at, size) && oci_tar_add_header(&want, name, OCI_TAR_FILE, *size, NULL) == 0 &&
		want.len == OCI_TAR_BLOCK && memcmp(want.data, head->data + at, OCI_TAR_BLOCK) == 0)
		return 0;
	oci_fail(err, OCI_E_FORMAT, "it is no bundle; another archive has to be a file");
	return oci_wrap(err, "'%s'", pipe->name);
}

/* One member with its padding, appended to what was read; *data is where its bytes lie. */
static int take_member(struct oci_bundle_pipe *pipe, struct oci_buf *head, const char *name, size_t *data,
	uint64_t *size, struct oci_error *err)
{
	size_t at = head->len;

	if (take_into(pipe, head, OCI_TAR_BLOCK, err) < 0 || check_header(pipe, head, at, name, size, err) < 0)
		return -1;
	*data = head->len;
	return take_into(pipe, head, *size + oci_tar_padding(*size), err);
}

static int check_sum(struct oci_bundle_pipe *pipe, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf piece;
	struct oci_error why = {0};
	struct oci_hash so_far = pipe->hash;
	struct oci_digest have, want;

	oci_buf_init(&piece, 8 * OCI_KIB);
	oci_hash_final(&so_far, &have);
	if (take_into(pipe, &piece, oci_bundle_parts_sum_bytes(&pipe->parts), err) < 0)
		return -1;
	if (oci_bundle_parts_read_sum(&pipe->parts, &piece, &want, &why) < 0)
		return fail_part(pipe, why.text, err);
	if (!oci_digest_equal(&have, &want))
		return fail_part(pipe, "it does not hash to its own sum", err);
	if (pipe->number)
		pipe->sums[pipe->number - 1] = have;
	return 0;
}

/* The list of the last part and the index: every part that came has that sum. */
static int check_list(struct oci_bundle_pipe *pipe, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf piece;
	oci_autofree struct oci_digest *listed = calloc(pipe->parts.count, sizeof *listed);
	uint64_t length = oci_bundle_parts_list_bytes(&pipe->parts, pipe->number);
	struct oci_error why = {0};

	oci_buf_init(&piece, OCI_BUNDLE_MAP_MAX);
	if (!listed)
		return oci_fail_nomem(err);
	if (length == 0)
		return 0;
	if (take_into(pipe, &piece, length, err) < 0)
		return -1;
	if (oci_bundle_parts_read_list(&pipe->parts, pipe->number, &piece, listed, &why) < 0)
		return fail_part(pipe, why.text, err);
	for (size_t i = 0; i < pipe->parts.count; i++)
		if (pipe->sums[i].alg && listed[i].alg && !oci_digest_equal(&pipe->sums[i], &listed[i]))
			return fail_part(pipe, "its list has other sums than the parts", err);
	return 0;
}

/* Behind the slice. */
static int finish_part(struct oci_bundle_pipe *pipe, struct oci_error *err)
{
	if (!pipe->parts.part_bytes)
		return 0;
	return check_list(pipe, err) < 0 || check_sum(pipe, err) < 0 ? -1 : 0;
}

static int fail_order(const struct oci_bundle_pipe *pipe, size_t wanted, size_t came, struct oci_error *err)
{
	if (came)
		oci_fail(err, OCI_E_MORE, "part %zu of %zu came where part %zu was expected; give all parts in their order",
			came, pipe->parts.count, wanted);
	else
		oci_fail(err, OCI_E_MORE, "part %zu of %zu is missing: nothing came after part %zu", wanted,
			pipe->parts.count, wanted - 1);
	return oci_wrap(err, "bundle '%s'", pipe->name);
}

/* Which part does a head that was read belong to? */
static int identify(const struct oci_bundle_pipe *pipe, const struct oci_buf *head, size_t *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text, want;
	struct oci_bundle_part_id id;

	oci_buf_init(&text, OCI_TAR_BLOCK);
	oci_buf_init(&want, 2 * OCI_BUNDLE_MAP_MAX);
	if (oci_buf_append(&text, head->data + OCI_TAR_BLOCK, OCI_TAR_BLOCK, err) < 0)
		return -1;
	if (oci_bundle_parts_read_id(&text, &id, NULL) < 0)
		return fail_part(pipe, "its head is damaged", err);
	if (!oci_digest_equal(&id.bundle, &pipe->map.id) || id.part_bytes != pipe->parts.part_bytes)
		return oci_fail(err, OCI_E_FORMAT, "bundle '%s': a part of another bundle came after part %zu", pipe->name,
			pipe->number - 1);
	if (id.number > pipe->parts.count || oci_bundle_parts_head(&pipe->parts, id.number, &want, NULL) < 0 ||
		want.len != head->len || memcmp(want.data, head->data, want.len) != 0)
		return fail_part(pipe, "its head is damaged", err);
	*ret = id.number;
	return 0;
}

/* Read the head of what comes; 1: of a part, 0: nothing came. */
static int next_head(struct oci_bundle_pipe *pipe, size_t *number, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf head;
	ssize_t n;

	oci_buf_init(&head, 2 * OCI_BUNDLE_MAP_MAX);
	oci_hash_init(&pipe->hash, OCI_SHA256);
	if (oci_buf_append_zeros(&head, pipe->parts.head_bytes, err) < 0)
		return -1;
	n = read_some(pipe, head.data, head.len, err);
	if (n <= 0)
		return (int)n;
	if ((size_t)n < head.len)
		return fail_part(pipe, "it ends too early", err);
	return identify(pipe, &head, number, err) < 0 ? -1 : 1;
}

/* An index has no slice. */
static int skip_index(struct oci_bundle_pipe *pipe, struct oci_error *err)
{
	size_t number = pipe->number;
	int status;

	pipe->number = 0;
	status = finish_part(pipe, err);
	pipe->number = number;
	return status;
}

/* Up to the slice of the part that has to come now. */
static int start_part(struct oci_bundle_pipe *pipe, size_t wanted, struct oci_error *err)
{
	size_t came = 0;
	int more;

	pipe->number = wanted;
	while ((more = next_head(pipe, &came, err)) > 0 && came == 0)
		if (skip_index(pipe, err) < 0)
			return -1;
	if (more < 0)
		return -1;
	return more && came == wanted ? 0 : fail_order(pipe, wanted, more ? came : 0, err);
}

static int open_part(struct oci_bundle_pipe *pipe, struct oci_buf *head, struct oci_error *err)
{
	struct oci_bundle_part_id id;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	struct oci_digest digest;
	size_t at, came;
	uint64_t size;

	oci_buf_init(&text, OCI_TAR_BLOCK);
	if (oci_buf_append(&text, head->data + OCI_TAR_BLOCK, OCI_TAR_BLOCK, err) < 0 ||
		oci_bundle_parts_read_id(&text, &id, err) < 0 ||
		take_member(pipe, head, OCI_BUNDLE_MAP_FILE, &at, &size, err) < 0)
		return oci_wrap(err, "'%s'", pipe->name);
	oci_digest_of(OCI_SHA256, head->data + at, size, &digest);
	if (!oci_digest_equal(&digest, &id.bundle))
		return oci_fail(err, OCI_E_DIGEST, "bundle '%s': part %zu: its map is damaged", pipe->name, id.number);
	if (oci_bundle_map_parse(head->data + at, size, &pipe->map, err) < 0 ||
		oci_bundle_parts_plan(&pipe->map, id.part_bytes, &pipe->parts, err) < 0 ||
		take_into(pipe, head, pipe->parts.head_bytes - head->len, err) < 0)
		return oci_wrap(err, "'%s'", pipe->name);
	pipe->sums = calloc(pipe->parts.count, sizeof *pipe->sums);
	if (!pipe->sums)
		return oci_fail_nomem(err);
	pipe->number = 1;
	if (identify(pipe, head, &came, err) < 0)
		return -1;
	if (came == 0)
		return skip_index(pipe, err) < 0 ? -1 : start_part(pipe, 1, err);
	return came == 1 ? 0 : fail_order(pipe, 1, came, err);
}

/* The first member is read; index and map follow. */
static int open_whole(struct oci_bundle_pipe *pipe, struct oci_buf *head, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf want;
	size_t at;
	uint64_t size;

	oci_buf_init(&want, 3 * OCI_BUNDLE_MAP_MAX);
	if (take_member(pipe, head, "index.json", &at, &size, err) < 0 ||
		take_member(pipe, head, OCI_BUNDLE_MAP_FILE, &at, &size, err) < 0)
		return -1;
	if (oci_bundle_map_parse(head->data + at, size, &pipe->map, err) < 0 ||
		oci_bundle_parts_plan(&pipe->map, 0, &pipe->parts, err) < 0 ||
		oci_bundle_map_gap(&pipe->map, 0, &want, err) < 0)
		return oci_wrap(err, "'%s'", pipe->name);
	pipe->number = 1;
	pipe->offset = head->len;
	if (want.len < head->len || memcmp(want.data, head->data, head->len) != 0)
		return fail_part(pipe, "its head is damaged", err);
	return 0;
}

static int open_stream(struct oci_bundle_pipe *pipe, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf head;
	bool part;
	uint64_t size;

	oci_buf_init(&head, 3 * OCI_BUNDLE_MAP_MAX);
	if (take_into(pipe, &head, OCI_TAR_BLOCK, err) < 0)
		return -1;
	part = memcmp(head.data, OCI_BUNDLE_PART_FILE, sizeof OCI_BUNDLE_PART_FILE) == 0;
	if (check_header(pipe, &head, 0, part ? OCI_BUNDLE_PART_FILE : "oci-layout", &size, err) < 0)
		return -1;
	if (size > OCI_TAR_BLOCK)
		return fail_part(pipe, "its head is damaged", err);
	if (take_into(pipe, &head, OCI_TAR_BLOCK, err) < 0)
		return -1;
	return part ? open_part(pipe, &head, err) : open_whole(pipe, &head, err);
}

static int open_input(const char *path, struct oci_error *err)
{
	oci_autofree char *name = NULL;
	oci_autoclose int dir = -1;
	int fd;

	if (strcmp(path, "-") == 0)
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	else if ((dir = oci_fs_open_parent(path, &name, err)) < 0)
		return -1;
	else
		fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? oci_fs_fail(err, errno, "open", path) : fd;
}

int oci_bundle_pipe_open(struct oci_bundle_pipe *ret, const char *path, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];

	*ret = (struct oci_bundle_pipe){.fd = -1};
	oci_bundle_map_init(&ret->map);
	oci_hash_init(&ret->hash, OCI_SHA256);
	ret->name = strdup(strcmp(path, "-") == 0 ? "standard input" : oci_str_escape(path, shown));
	if (!ret->name)
		return oci_fail_nomem(err);
	ret->fd = open_input(path, err);
	if (ret->fd < 0)
		return -1;
	fcntl(ret->fd, F_SETPIPE_SZ, PIPE_BYTES); /* where it may; fewer calls */
	return open_stream(ret, err);
}

int oci_bundle_pipe_read(struct oci_bundle_pipe *pipe, void *data, size_t len, struct oci_error *err)
{
	const struct oci_bundle_parts *parts = &pipe->parts;

	while (len > 0) {
		uint64_t end = oci_bundle_parts_offset(parts, pipe->number) + oci_bundle_parts_length(parts, pipe->number);
		size_t step = end - pipe->offset < len ? (size_t)(end - pipe->offset) : len;

		if (step == 0) {
			if (finish_part(pipe, err) < 0 || start_part(pipe, pipe->number + 1, err) < 0)
				return -1;
			continue;
		}
		if (take(pipe, data, step, err) < 0)
			return -1;
		pipe->offset += step;
		data = (char *)data + step;
		len -= step;
	}
	return 0;
}

int oci_bundle_pipe_gap(struct oci_bundle_pipe *pipe, size_t i, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf want, have;
	uint64_t skip = pipe->offset - oci_bundle_map_gap_offset(&pipe->map, i); /* of gap 0 open() has read some */

	oci_buf_init(&want, 3 * OCI_BUNDLE_MAP_MAX);
	oci_buf_init(&have, 3 * OCI_BUNDLE_MAP_MAX);
	if (oci_bundle_map_gap(&pipe->map, i, &want, err) < 0 || oci_buf_append_zeros(&have, want.len - skip, err) < 0)
		return -1;
	if (have.len == 0)
		return 0;
	if (oci_bundle_pipe_read(pipe, have.data, have.len, err) < 0)
		return -1;
	if (memcmp(have.data, want.data + skip, have.len) == 0)
		return 0;
	if (oci_bundle_pipe_blame(pipe, err) < 0)
		return -1;
	return fail_part(pipe, "its content between two blobs is damaged", err);
}

int oci_bundle_pipe_end(struct oci_bundle_pipe *pipe, struct oci_error *err)
{
	size_t came;
	char byte;
	int more;

	if (oci_bundle_pipe_gap(pipe, pipe->map.count, err) < 0)
		return -1;
	/* The last parts may hold nothing but the list. */
	for (;;) {
		if (finish_part(pipe, err) < 0)
			return -1;
		if (pipe->number == pipe->parts.count)
			break;
		if (start_part(pipe, pipe->number + 1, err) < 0)
			return -1;
	}
	if (!pipe->parts.part_bytes)
		return (more = (int)read_some(pipe, &byte, 1, err)) > 0 ? fail_part(pipe, "bytes come after its end", err) : more;
	while ((more = next_head(pipe, &came, err)) > 0 && came == 0)
		if (skip_index(pipe, err) < 0)
			return -1;
	return more > 0 ? oci_fail(err, OCI_E_FORMAT, "bundle '%s': part %zu came twice", pipe->name, came) : more;
}

int oci_bundle_pipe_blame(struct oci_bundle_pipe *pipe, struct oci_error *err)
{
	oci_autofree char *step = malloc(STEP_BYTES);
	uint64_t end = oci_bundle_parts_offset(&pipe->parts, pipe->number) +
		oci_bundle_parts_length(&pipe->parts, pipe->number);

	if (!step)
		return oci_fail_nomem(err);
	if (!pipe->parts.part_bytes)
		return 0;
	while (pipe->offset < end) {
		size_t len = end - pipe->offset < STEP_BYTES ? (size_t)(end - pipe->offset) : STEP_BYTES;

		if (take(pipe, step, len, err) < 0)
			return -1;
		pipe->offset += len;
	}
	return finish_part(pipe, err);
}

void oci_bundle_pipe_close(struct oci_bundle_pipe *pipe)
{
	oci_cleanup_close(&pipe->fd);
	oci_bundle_map_clear(&pipe->map);
	free(pipe->name);
	free(pipe->sums);
}
