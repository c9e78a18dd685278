#include "store/bundle_parts.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "core/json.h"
#include "stream/tar.h"

#define VERSION 1
#define SLICE_FILE "data"
#define LIST_FILE "parts.sha256"
#define SUM_FILE "sha256"
#define ID_MAX OCI_TAR_BLOCK /* of part.json: so that all heads are alike */
#define LIST_LINE 72         /* 64 digits, two spaces, five digits, a newline */
#define HEX_DIGITS 64
/* Twice the same line: a changed digit shows without hashing the part. */
#define SUM_LINE (HEX_DIGITS + 1)

static uint64_t member_bytes(const char *path, uint64_t size_bytes)
{
	return oci_tar_header_bytes(path) + size_bytes + oci_tar_padding(size_bytes);
}

static size_t listed(const struct oci_bundle_parts *parts, size_t number)
{
	if (number == 0)
		return parts->count;
	return number == parts->count ? parts->count - 1 : 0;
}

uint64_t oci_bundle_parts_list_bytes(const struct oci_bundle_parts *parts, size_t number)
{
	if (!parts->part_bytes || (number != 0 && number != parts->count))
		return 0;
	return member_bytes(LIST_FILE, listed(parts, number) * LIST_LINE);
}

uint64_t oci_bundle_parts_sum_bytes(const struct oci_bundle_parts *parts)
{
	return parts->part_bytes ? member_bytes(SUM_FILE, 2 * SUM_LINE) + OCI_TAR_END_BYTES : 0;
}

/* The room for a slice in a last part of so many. */
static uint64_t last_room(struct oci_bundle_parts *parts, size_t count)
{
	uint64_t list;

	parts->count = count;
	list = oci_bundle_parts_list_bytes(parts, count);
	return list < parts->slice_bytes ? parts->slice_bytes - list : 0;
}

int oci_bundle_parts_plan(const struct oci_bundle_map *map, uint64_t part_bytes, struct oci_bundle_parts *ret,
	struct oci_error *err)
{
	struct oci_bundle_parts parts = {.map = map, .part_bytes = part_bytes, .count = 1};
	uint64_t around, total = map->stream_bytes;
	char size[OCI_STR_SIZE_MAX];
	size_t count;

	parts.slice_bytes = total;
	if (part_bytes == 0) {
		*ret = parts;
		return 0;
	}
	parts.head_bytes = member_bytes(OCI_BUNDLE_PART_FILE, ID_MAX) + member_bytes(OCI_BUNDLE_MAP_FILE, map->text.len) +
		oci_tar_header_bytes(SLICE_FILE);
	around = parts.head_bytes + oci_bundle_parts_sum_bytes(&parts);
	parts.slice_bytes = part_bytes > around ? (part_bytes - around) / OCI_TAR_BLOCK * OCI_TAR_BLOCK : 0;
	if (parts.slice_bytes == 0 || total / parts.slice_bytes >= OCI_BUNDLE_PARTS_MAX)
		return oci_fail(err, OCI_E_USAGE, "parts of %s are too small for this bundle, choose larger ones",
			oci_str_size(part_bytes, size));
	count = (size_t)((total + parts.slice_bytes - 1) / parts.slice_bytes);
	if (total > (count - 1) * parts.slice_bytes + last_room(&parts, count))
		count++;
	if (last_room(&parts, count) == 0 || total > (count - 1) * parts.slice_bytes + last_room(&parts, count))
		return oci_fail(err, OCI_E_USAGE, "parts of %s have no room for the list of all, choose larger ones",
			oci_str_size(part_bytes, size));
	parts.count = count;
	*ret = parts;
	return 0;
}

uint64_t oci_bundle_parts_offset(const struct oci_bundle_parts *parts, size_t number)
{
	uint64_t offset = (number - 1) * parts->slice_bytes, total = parts->map->stream_bytes;

	return offset < total ? offset : total;
}

uint64_t oci_bundle_parts_length(const struct oci_bundle_parts *parts, size_t number)
{
	uint64_t left = parts->map->stream_bytes - oci_bundle_parts_offset(parts, number);

	return left < parts->slice_bytes ? left : parts->slice_bytes;
}

uint64_t oci_bundle_parts_file_bytes(const struct oci_bundle_parts *parts, size_t number)
{
	uint64_t slice = number ? oci_bundle_parts_length(parts, number) : 0;

	return parts->head_bytes + slice + oci_bundle_parts_list_bytes(parts, number) +
		oci_bundle_parts_sum_bytes(parts);
}

static int put_member(struct oci_buf *out, const char *path, const struct oci_buf *data, struct oci_error *err)
{
	if (oci_tar_add_header(out, path, OCI_TAR_FILE, data->len, err) < 0 ||
		oci_buf_append(out, oci_buf_text(data), data->len, err) < 0)
		return -1;
	return oci_buf_append_zeros(out, oci_tar_padding(data->len), err);
}

/* Spaces to the full block: every part's head has the same length. */
static int put_id(const struct oci_bundle_parts *parts, size_t number, struct oci_buf *out, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	struct oci_json_writer w;
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&text, ID_MAX);
	oci_json_begin(&w, &text);
	oci_json_object(&w, NULL);
	oci_json_put_u64(&w, "partVersion", VERSION);
	oci_json_put_u64(&w, "part", number);
	oci_json_put_u64(&w, "parts", parts->count);
	oci_json_put_u64(&w, "partSize", parts->part_bytes);
	oci_json_put_text(&w, "bundle", oci_digest_format(&parts->map->id, digest));
	oci_json_close(&w);
	if (oci_json_end(&w, err) < 0 || oci_buf_printf(&text, err, "%*s", (int)(ID_MAX - text.len), "") < 0)
		return -1;
	return put_member(out, OCI_BUNDLE_PART_FILE, &text, err);
}

int oci_bundle_parts_head(const struct oci_bundle_parts *parts, size_t number, struct oci_buf *out,
	struct oci_error *err)
{
	if (!parts->part_bytes)
		return 0;
	if (put_id(parts, number, out, err) < 0 || put_member(out, OCI_BUNDLE_MAP_FILE, &parts->map->text, err) < 0)
		return -1;
	return oci_tar_add_header(out, SLICE_FILE, OCI_TAR_FILE, number ? oci_bundle_parts_length(parts, number) : 0, err);
}

int oci_bundle_parts_list(const struct oci_bundle_parts *parts, size_t number, const struct oci_digest *sums,
	struct oci_buf *out, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	char hex[OCI_DIGEST_TEXT_MAX];

	if (oci_bundle_parts_list_bytes(parts, number) == 0)
		return 0;
	oci_buf_init(&text, (size_t)OCI_BUNDLE_PARTS_MAX * LIST_LINE);
	for (size_t i = 0; i < listed(parts, number); i++)
		if (oci_buf_printf(&text, err, "%s  %05zu\n", oci_digest_hex(&sums[i], hex), i + 1) < 0)
			return -1;
	return put_member(out, LIST_FILE, &text, err);
}

int oci_bundle_parts_sum(const struct oci_bundle_parts *parts, const struct oci_digest *sum, struct oci_buf *out,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	char hex[OCI_DIGEST_TEXT_MAX];

	if (!parts->part_bytes)
		return 0;
	oci_buf_init(&text, OCI_KIB);
	oci_digest_hex(sum, hex);
	if (oci_buf_printf(&text, err, "%s\n%s\n", hex, hex) < 0 || put_member(out, SUM_FILE, &text, err) < 0)
		return -1;
	return oci_buf_append_zeros(out, OCI_TAR_END_BYTES, err);
}

static bool take_hex(const struct oci_buf *piece, size_t at, struct oci_digest *ret)
{
	char hex[HEX_DIGITS + 1] = "";

	if (at + HEX_DIGITS > piece->len)
		return false;
	memcpy(hex, piece->data + at, HEX_DIGITS);
	*ret = (struct oci_digest){.alg = OCI_SHA256};
	return oci_str_unhex(hex, ret->bytes, HEX_DIGITS / 2);
}

static int must_equal(const struct oci_buf *piece, const struct oci_buf *again, const char *what, struct oci_error *err)
{
	if (piece->len == again->len && memcmp(piece->data, again->data, piece->len) == 0)
		return 0;
	return oci_fail(err, OCI_E_FORMAT, "its %s is damaged", what);
}

int oci_bundle_parts_read_list(const struct oci_bundle_parts *parts, size_t number, const struct oci_buf *piece,
	struct oci_digest *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf again;
	size_t header = oci_tar_header_bytes(LIST_FILE);

	oci_buf_init(&again, piece->len + 1);
	for (size_t i = 0; i < listed(parts, number); i++)
		if (!take_hex(piece, header + i * LIST_LINE, &ret[i]))
			return oci_fail(err, OCI_E_FORMAT, "its list of sums is damaged");
	if (oci_bundle_parts_list(parts, number, ret, &again, err) < 0)
		return -1;
	return must_equal(piece, &again, "list of sums", err);
}

int oci_bundle_parts_read_sum(const struct oci_bundle_parts *parts, const struct oci_buf *piece,
	struct oci_digest *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf again;

	oci_buf_init(&again, piece->len + 1);
	if (!take_hex(piece, oci_tar_header_bytes(SUM_FILE), ret))
		return oci_fail(err, OCI_E_FORMAT, "its sum is damaged");
	if (oci_bundle_parts_sum(parts, ret, &again, err) < 0)
		return -1;
	return must_equal(piece, &again, "sum", err);
}

int oci_bundle_parts_read_id(const struct oci_buf *text, struct oci_bundle_part_id *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
	uint64_t version, number;
	const char *bundle;

	doc = oci_json_parse(oci_buf_text(text), text->len, &OCI_JSON_SMALL, err);
	if (!doc)
		return oci_wrap(err, "'" OCI_BUNDLE_PART_FILE "'");
	bundle = oci_json_text(doc, "bundle");
	if (!oci_json_u64(doc, "partVersion", &version) || !oci_json_u64(doc, "part", &number) ||
		!oci_json_u64(doc, "partSize", &ret->part_bytes) || !bundle)
		return oci_fail(err, OCI_E_FORMAT, "'" OCI_BUNDLE_PART_FILE "' lacks a member");
	if (version != VERSION)
		return oci_fail(err, OCI_E_UNSUPPORTED, "part of version %" PRIu64 ", %d is understood", version, VERSION);
	if (number > OCI_BUNDLE_PARTS_MAX || ret->part_bytes == 0 || ret->part_bytes > INT64_MAX)
		return oci_fail(err, OCI_E_FORMAT, "'" OCI_BUNDLE_PART_FILE "' has numbers that no part has");
	ret->number = (size_t)number;
	return oci_digest_parse(bundle, &ret->bundle, err);
}

char *oci_bundle_parts_name(const struct oci_bundle_parts *parts, const char *file, size_t number)
{
	if (!parts->part_bytes)
		return oci_str_printf("%s", file);
	if (number == 0)
		return oci_str_printf("%s.idx", file);
	return oci_str_printf("%s.part%03zu", file, number);
}
