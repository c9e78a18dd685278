#include "engine/bundle_inventory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"

#define TEXT_MAX (64 * OCI_MIB)
#define FILE_MODE 0644

/* RFC 4180: quoted where it must be. */
static int put_text(struct oci_buf *out, const char *text, struct oci_error *err)
{
	if (!text[strcspn(text, ",\"\r\n")])
		return oci_buf_puts(out, text, err);
	if (oci_buf_puts(out, "\"", err) < 0)
		return -1;
	for (; *text; text++)
		if (oci_buf_append(out, text, 1, err) < 0 || (*text == '"' && oci_buf_puts(out, "\"", err) < 0))
			return -1;
	return oci_buf_puts(out, "\"", err);
}

static int put_row(struct oci_buf *out, const char *kind, const char *name, uint64_t size_bytes, const char *hex,
	const char *parts, struct oci_error *err)
{
	if (oci_buf_printf(out, err, "%s,", kind) < 0 || put_text(out, name, err) < 0)
		return -1;
	return oci_buf_printf(out, err, ",%" PRIu64 ",%s,%s\r\n", size_bytes, hex, parts);
}

static int put_file(const struct oci_bundle_writer *w, size_t number, struct oci_buf *csv, struct oci_buf *sums,
	struct oci_error *err)
{
	oci_autofree char *name = oci_bundle_parts_name(w->parts, w->name, number);
	char hex[OCI_DIGEST_TEXT_MAX], part[24] = "";

	if (!name)
		return oci_fail_nomem(err);
	oci_digest_hex(&w->file_sums[number ? number - 1 : w->parts->count], hex);
	if (w->parts->part_bytes && number)
		snprintf(part, sizeof part, "%zu", number);
	if (put_row(csv, "file", name, oci_bundle_parts_file_bytes(w->parts, number), hex, part, err) < 0)
		return -1;
	return oci_buf_printf(sums, err, "%s  %s\n", hex, name);
}

static size_t part_of(const struct oci_bundle_parts *parts, uint64_t offset)
{
	size_t number = (size_t)(offset / parts->slice_bytes) + 1;

	return number < parts->count ? number : parts->count;
}

static int put_blob(const struct oci_bundle_writer *w, const struct oci_bundle_blob *blob, struct oci_buf *csv,
	struct oci_error *err)
{
	size_t first = part_of(w->parts, blob->offset);
	size_t last = part_of(w->parts, blob->offset + (blob->size_bytes ? blob->size_bytes - 1 : 0));
	char hex[OCI_DIGEST_TEXT_MAX], text[OCI_DIGEST_TEXT_MAX], parts[48] = "";

	if (w->parts->part_bytes)
		snprintf(parts, sizeof parts, last > first ? "%zu-%zu" : "%zu", first, last);
	return put_row(csv, "blob", oci_digest_format(&blob->digest, text), blob->size_bytes,
		blob->digest.alg == OCI_SHA256 ? oci_digest_hex(&blob->digest, hex) : "", parts, err);
}

static int put_image(const struct oci_bundle_image *image, struct oci_buf *csv, struct oci_error *err)
{
	oci_autofree char *name = oci_bundle_image_text(image, false);
	char hex[OCI_DIGEST_TEXT_MAX];

	if (!name)
		return oci_fail_nomem(err);
	return put_row(csv, "image", name, image->root.size_bytes, oci_digest_hex(&image->root.digest, hex), "", err);
}

static int put_needed(const struct oci_bundle_writer *w, struct oci_buf *csv, struct oci_error *err)
{
	const struct oci_bundle_map *map = w->parts->map;
	char hex[OCI_DIGEST_TEXT_MAX], text[OCI_DIGEST_TEXT_MAX];

	for (size_t i = 0; i < map->needed_count; i++)
		if (put_row(csv, "needed", oci_digest_format(&map->needed[i].digest, text), map->needed[i].size_bytes,
			    oci_digest_hex(&map->needed[i].digest, hex), "", err) < 0)
			return -1;
	return 0;
}

static int fill(const struct oci_bundle_writer *w, const struct oci_bundle_images *images, struct oci_buf *csv,
	struct oci_buf *sums, struct oci_error *err)
{
	if (oci_buf_puts(csv, "kind,name,bytes,sha256,parts\r\n", err) < 0)
		return -1;
	for (size_t number = 1; number <= w->parts->count; number++)
		if (put_file(w, number, csv, sums, err) < 0)
			return -1;
	if (w->parts->part_bytes && put_file(w, 0, csv, sums, err) < 0)
		return -1;
	for (size_t i = 0; i < images->count; i++)
		if (put_image(&images->items[i], csv, err) < 0)
			return -1;
	for (size_t i = 0; i < w->parts->map->count; i++)
		if (put_blob(w, &w->parts->map->blobs[i], csv, err) < 0)
			return -1;
	return put_needed(w, csv, err);
}

static int write_beside(const struct oci_bundle_writer *w, const char *file, const char *suffix,
	const struct oci_buf *text, struct oci_strings *files, struct oci_error *err)
{
	oci_autofree char *name = oci_str_printf("%s%s", w->name, suffix), *path = oci_str_printf("%s%s", file, suffix);

	if (!name || !path)
		return oci_fail_nomem(err);
	if (text && oci_fs_write_file(w->dir, name, text->data, text->len, FILE_MODE, true, err) < 0)
		return -1;
	return oci_strings_add(files, path, err);
}

int oci_bundle_inventory_write(const struct oci_bundle_writer *w, const struct oci_bundle_images *images,
	const char *file, struct oci_strings *files, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf csv;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf sums;

	oci_buf_init(&csv, TEXT_MAX);
	oci_buf_init(&sums, TEXT_MAX);
	if (fill(w, images, &csv, &sums, err) < 0 ||
		(w->parts->part_bytes && write_beside(w, file, ".idx", NULL, files, err) < 0) ||
		write_beside(w, file, ".csv", &csv, files, err) < 0)
		return -1;
	return write_beside(w, file, ".SHA256SUMS", &sums, files, err);
}
