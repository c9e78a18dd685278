#include "engine/record.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "core/json.h"

#define RECORD_VERSION 1

static void put_file(struct oci_json_writer *w, const struct oci_listing_file *file)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_json_object(w, NULL);
	oci_json_put_text(w, "path", file->path);
	oci_json_put_text(w, "link", file->link);
	if (!file->link) {
		oci_json_put_u64(w, "size", file->size_bytes);
		oci_json_put_u64(w, "mtime", (uint64_t)file->mtime_ns);
		oci_json_put_u64(w, "mode", file->mode);
	}
	if (file->digest.alg)
		oci_json_put_text(w, "digest", oci_digest_format(&file->digest, digest));
	if (file->layer != OCI_LISTING_NO_LAYER)
		oci_json_put_u64(w, "layer", file->layer);
	oci_json_close(w);
}

static void put_layers(struct oci_json_writer *w, const struct oci_listing *listing)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_json_array(w, "layers");
	for (size_t i = 0; i < listing->layer_count; i++) {
		oci_json_object(w, NULL);
		oci_json_put_text(w, "digest", oci_digest_format(&listing->layers[i].digest, digest));
		oci_json_put_u64(w, "size", listing->layers[i].size_bytes);
		oci_json_close(w);
	}
	oci_json_close(w);
}

static int format(const struct oci_record *record, struct oci_buf *out, struct oci_error *err)
{
	struct oci_json_writer w;
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_json_begin(&w, out);
	oci_json_object(&w, NULL);
	oci_json_put_u64(&w, "recordVersion", RECORD_VERSION);
	oci_json_put_text(&w, "reference", record->reference);
	oci_json_put_text(&w, "digest", oci_digest_format(&record->root, digest));
	oci_json_put_text(&w, "manifest", oci_digest_format(&record->manifest, digest));
	oci_json_put_bool(&w, "partial", record->partial);
	if (record->part)
		oci_json_put_text(&w, "part", record->part);
	oci_json_put_text(&w, "fsync", "full");
	put_layers(&w, &record->listing);
	oci_json_array(&w, "files");
	for (size_t i = 0; i < record->listing.count; i++)
		put_file(&w, &record->listing.files[i]);
	oci_json_close(&w);
	oci_json_close(&w);
	return oci_json_end(&w, err);
}

int oci_record_write(int dir, const char *name, const struct oci_record *record, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	if (record->listing.count > OCI_LISTING_FILES_MAX)
		return oci_fail(err, OCI_E_UNSUPPORTED, "%zu files are more than the %d that a record holds",
			record->listing.count, OCI_LISTING_FILES_MAX);
	oci_buf_init(&buf, OCI_JSON_INDEX.bytes);
	if (format(record, &buf, err) < 0)
		return oci_wrap(err, "record");
	return oci_fs_write_file(dir, name, buf.data, buf.len, 0664, true, err);
}

static int parse_layer(const struct oci_json *value, struct oci_listing *listing, struct oci_error *err)
{
	const char *text = oci_json_text(value, "digest");
	struct oci_digest digest;
	uint64_t size;

	if (!text || !oci_json_u64(value, "size", &size) || oci_digest_parse(text, &digest, err) < 0)
		return oci_fail(err, OCI_E_FORMAT, "layer %zu is incomplete", listing->layer_count);
	return oci_listing_add_layer(listing, &digest, size, err);
}

static int parse_file(const struct oci_json *value, struct oci_listing *listing, struct oci_error *err)
{
	const char *path = oci_json_text(value, "path"), *link = oci_json_text(value, "link");
	const char *digest = oci_json_text(value, "digest");
	struct oci_listing_file *file;
	uint64_t size = 0, mtime = 0, mode = 0664, layer;
	char shown[OCI_STR_ESCAPE_MAX];

	if (!path || !oci_fs_path_ok(path) || !oci_str_clean_utf8(path))
		return oci_fail(err, OCI_E_FORMAT, "unsafe path '%s'", oci_str_escape(path ? path : "", shown));
	if (!link && !oci_json_u64(value, "size", &size))
		return oci_fail(err, OCI_E_FORMAT, "file '%s' has no size", path);
	oci_json_u64(value, "mtime", &mtime);
	oci_json_u64(value, "mode", &mode);
	file = oci_listing_add(listing, path, err);
	if (!file || oci_str_set(&file->link, link, err) < 0)
		return -1;
	file->size_bytes = size;
	file->mtime_ns = (int64_t)mtime;
	file->mode = (uint32_t)mode & 0777;
	if (digest && oci_digest_parse(digest, &file->digest, err) < 0)
		return -1;
	if (oci_json_u64(value, "layer", &layer)) {
		if (layer >= listing->layer_count)
			return oci_fail(err, OCI_E_FORMAT, "file '%s' names layer %llu of %zu", path,
				(unsigned long long)layer, listing->layer_count);
		file->layer = (size_t)layer;
	}
	if (!link && !digest && file->layer == OCI_LISTING_NO_LAYER)
		return oci_fail(err, OCI_E_FORMAT, "file '%s' has neither digest nor layer", path);
	return 0;
}

static int parse(const struct oci_json *doc, struct oci_record *record, struct oci_error *err)
{
	const struct oci_json *layers = oci_json_get(doc, "layers"), *files = oci_json_get(doc, "files");
	const char *root = oci_json_text(doc, "digest"), *manifest = oci_json_text(doc, "manifest");
	uint64_t version;

	if (!oci_json_u64(doc, "recordVersion", &version) || version != RECORD_VERSION)
		return oci_fail(err, OCI_E_UNSUPPORTED, "its version is not %d; it was written by another release",
			RECORD_VERSION);
	if (!root || !manifest || oci_digest_parse(root, &record->root, err) < 0 ||
		oci_digest_parse(manifest, &record->manifest, err) < 0 ||
		oci_str_set(&record->reference, oci_json_text(doc, "reference"), err) < 0 ||
		oci_str_set(&record->part, oci_json_text(doc, "part"), err) < 0)
		return oci_fail(err, OCI_E_FORMAT, "no digest");
	oci_json_bool(doc, "partial", &record->partial);
	for (size_t i = 0; i < oci_json_count(layers); i++)
		if (parse_layer(oci_json_at(layers, i), &record->listing, err) < 0)
			return -1;
	for (size_t i = 0; i < oci_json_count(files); i++)
		if (parse_file(oci_json_at(files, i), &record->listing, err) < 0)
			return -1;
	oci_listing_sort(&record->listing);
	return 0;
}

static int64_t ctime_of(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return oci_clock_stamp_ns(&st.st_ctim);
}

int oci_record_read(int dir, const char *name, struct oci_record *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
	OCI_CLEANUP(oci_record_clear) struct oci_record record = {0};

	oci_buf_init(&buf, OCI_JSON_INDEX.bytes);
	if (oci_fs_read_file(dir, name, &buf, err) < 0)
		return -1;
	doc = oci_json_parse(oci_buf_text(&buf), buf.len, &OCI_JSON_INDEX, err);
	if (!doc || parse(doc, &record, err) < 0)
		return oci_wrap(err, "record '%s'", name);
	record.put_ns = ctime_of(dir, name);
	*ret = record;
	record = (struct oci_record){0};
	return 0;
}

void oci_record_clear(struct oci_record *record)
{
	free(record->reference);
	free(record->part);
	oci_listing_clear(&record->listing);
	*record = (struct oci_record){0};
}

const char *oci_record_beside(const char *name, char ret[OCI_RECORD_BESIDE_MAX])
{
	snprintf(ret, OCI_RECORD_BESIDE_MAX, ".modelcar.%.230s.json", name);
	return ret;
}

int oci_record_find(const char *path, struct oci_record *ret, struct oci_error *err)
{
	oci_autoclose int dir = oci_fs_open_dir(path, err);
	oci_autoclose int parent = -1;
	oci_autofree char *name = NULL;
	char beside[OCI_RECORD_BESIDE_MAX];
	struct oci_error why = {0};

	if (dir < 0)
		return -1;
	if (oci_record_read(dir, OCI_RECORD_NAME, ret, &why) == 0)
		return 0;
	if (why.code == OCI_E_NOT_FOUND)
		parent = oci_fs_open_real_parent(path, &name, NULL);
	if (parent >= 0 && oci_record_read(parent, oci_record_beside(name, beside), ret, NULL) == 0)
		return 0;
	if (err)
		*err = why;
	return -1;
}

/* What is not there, or is something else. */
static int absent(const struct oci_error *why, struct oci_error *err)
{
	if (why->code == OCI_E_NOT_FOUND || why->code == OCI_E_FORMAT)
		return 0;
	if (err)
		*err = *why;
	return -1;
}

int oci_record_look(int dir, const struct oci_listing_file *file, bool *ret, struct oci_error *err)
{
	oci_autoclose int fd = -1;
	oci_autofree char *target = NULL;
	struct oci_error why = {0};
	struct stat st;

	*ret = false;
	if (file->link) {
		if (oci_fs_read_link(dir, file->path, &target, &why) < 0)
			return absent(&why, err);
		*ret = strcmp(target, file->link) == 0;
		return 0;
	}
	fd = oci_fs_open_beneath(dir, file->path, O_PATH, 0, &why);
	if (fd < 0)
		return absent(&why, err);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != file->size_bytes)
		return 0;
	/* Of a file system without times for its files the record has none. */
	*ret = file->mtime_ns == 0 || file->mtime_ns == oci_clock_stamp_ns(&st.st_mtim);
	return 0;
}

bool oci_record_holds(int dir, const struct oci_listing_file *file)
{
	bool holds;

	return oci_record_look(dir, file, &holds, NULL) == 0 && holds;
}
