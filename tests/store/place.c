#include "place.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "core/mediatype.h"
#include "store/bundle.h"
#include "store/index.h"
#include "store/layout.h"

static const char *kind;

int choose_kind(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s memory|layout|archive|bundle|registry\n", argv[0]);
		return 2;
	}
	kind = argv[1];
	if (strcmp(kind, "registry") == 0 && !getenv("STORE_REGISTRY")) {
		fprintf(stderr, "STORE_REGISTRY is not set\n");
		return 77;
	}
	return 0;
}

static bool is_memory(void)
{
	return strcmp(kind, "memory") == 0;
}

static bool is_bundle(void)
{
	return strcmp(kind, "bundle") == 0;
}

/* A bundle is read here and written by the engine: the writer is a layout, whose blobs become one. */
static void add_blobs(int layout, struct oci_bundle_map *map, const char *alg)
{
	oci_autofree char *path = oci_str_printf("blobs/%s", alg);
	int dir = oci_fs_open_dir_beneath(layout, path, NULL);
	DIR *entries = dir < 0 ? NULL : fdopendir(dir);
	struct stat st;

	for (struct dirent *entry; entries && (entry = readdir(entries));) {
		oci_autofree char *text = oci_str_printf("%s:%s", alg, entry->d_name);
		struct oci_digest digest;

		if (oci_digest_parse(text, &digest, NULL) < 0)
			continue;
		assert_int_equal(fstatat(dirfd(entries), entry->d_name, &st, 0), 0);
		assert_int_equal(oci_bundle_map_add(map, &digest, (uint64_t)st.st_size, NULL), 0);
	}
	if (entries)
		closedir(entries);
}

static void put_blob_into(int layout, const struct oci_bundle_blob *blob, int to)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf data;
	char hex[OCI_DIGEST_TEXT_MAX];
	oci_autofree char *path = oci_str_printf("blobs/%s/%s", oci_digest_alg_name(blob->digest.alg),
		oci_digest_hex(&blob->digest, hex));

	oci_buf_init(&data, blob->size_bytes + 1);
	assert_int_equal(oci_fs_read_file(layout, path, &data, NULL), 0);
	assert_int_equal(oci_fs_write_all(to, oci_buf_text(&data), data.len, NULL), 0);
}

static void bundle_layout(const struct place *p)
{
	OCI_CLEANUP(oci_bundle_map_clear) struct oci_bundle_map map;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf index;
	oci_autoclose int dir = oci_fs_open_dir(p->dir, NULL), layout = oci_fs_open_dir_beneath(dir, "layout", NULL);
	oci_autoclose int to = oci_fs_open_beneath(dir, "x", O_WRONLY | O_CREAT | O_TRUNC, 0600, NULL);

	oci_bundle_map_init(&map);
	oci_buf_init(&index, OCI_INDEX_MAX);
	add_blobs(layout, &map, "sha256");
	add_blobs(layout, &map, "sha512");
	assert_int_equal(oci_fs_read_file(layout, "index.json", &index, NULL), 0);
	assert_int_equal(oci_bundle_map_seal(&map, &index, NULL), 0);
	for (size_t i = 0; i <= map.count; i++) {
		OCI_CLEANUP(oci_buf_clear) struct oci_buf gap;

		oci_buf_init(&gap, 4 * OCI_MIB);
		assert_int_equal(oci_bundle_map_gap(&map, i, &gap, NULL), 0);
		assert_int_equal(oci_fs_write_all(to, gap.data, gap.len, NULL), 0);
		if (i < map.count)
			put_blob_into(layout, &map.blobs[i], to);
	}
}

static struct oci_store *open_bundle(const struct place *p, enum oci_store_mode mode, struct oci_error *err)
{
	oci_autofree char *layout = oci_str_printf("%s/layout", p->dir);

	if (mode == OCI_STORE_WRITE)
		return oci_store_layout(layout, mode, true, err);
	bundle_layout(p);
	return oci_store_bundle(p->ref.path, mode, err);
}

static void open_place(struct place *p, enum oci_store_mode mode)
{
	const struct oci_store_options options = {.plain_http = true, .state_dir = ""};

	p->store = is_memory() ? oci_store_memory(&p->err)
		: is_bundle() ? open_bundle(p, mode, &p->err)
			      : oci_store_open(&p->ref, mode, &options, &p->err);
	if (!p->store)
		fail_msg("open: %s", p->err.text);
}

void reopen(struct place *p)
{
	if (oci_store_finish(p->store, &p->err) < 0)
		fail_msg("finish: %s", p->err.text);
	if (is_memory())
		return;
	oci_store_close(p->store);
	open_place(p, OCI_STORE_READ);
}

int setup(void **state)
{
	static unsigned number;
	struct place *p = calloc(1, sizeof *p);
	const char *registry = getenv("STORE_REGISTRY");
	oci_autofree char *text = NULL;
	char dir[] = "/tmp/oci-store-XXXXXX";

	assert_non_null(p);
	if (strcmp(kind, "registry") == 0) {
		text = oci_str_printf("%s/%u", registry, number++);
	} else if (!is_memory()) {
		assert_non_null(mkdtemp(dir));
		p->dir = strdup(dir);
		text = oci_str_printf("%s:%s/x", strcmp(kind, "layout") == 0 ? "oci"
			: is_bundle() ? "bundle" : "oci-archive", dir);
	}
	if (text && oci_reference_parse(text, &p->ref, &p->err) < 0)
		fail_msg("%s: %s", text, p->err.text);
	open_place(p, OCI_STORE_WRITE);
	*state = p;
	return 0;
}

int teardown(void **state)
{
	struct place *p = *state;

	oci_store_close(p->store);
	oci_reference_clear(&p->ref);
	if (p->dir)
		oci_fs_remove_tree(AT_FDCWD, p->dir, NULL);
	free(p->dir);
	free(p);
	return 0;
}

char *make_bytes(size_t len, unsigned seed)
{
	char *bytes = malloc(len + 1);
	uint64_t x = seed * 2654435761u + 1;

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		bytes[i] = (char)(x >> 56);
	}
	return bytes;
}

struct oci_descriptor describe(const char *type, const void *data, size_t len)
{
	struct oci_descriptor d = {0};

	assert_int_equal(oci_descriptor_of(type, data, len, &d, NULL), 0);
	return d;
}

void put(struct place *p, const struct oci_descriptor *d, const void *data)
{
	if (oci_store_write(p->store, d, data, d->size_bytes, &p->err) < 0)
		fail_msg("write: %s", p->err.text);
}

bool exists(struct place *p, const struct oci_descriptor *d)
{
	bool ret = false;

	if (oci_store_exists(p->store, d, &ret, &p->err) < 0)
		fail_msg("exists: %s", p->err.text);
	return ret;
}

void assert_content(struct place *p, const struct oci_descriptor *d, const void *data)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, d->size_bytes + 1);
	if (oci_store_read(p->store, d, &buf, &p->err) < 0)
		fail_msg("read: %s", p->err.text);
	assert_int_equal(buf.len, d->size_bytes);
	assert_memory_equal(oci_buf_text(&buf), data, d->size_bytes);
}

struct oci_descriptor put_manifest(struct place *p, const char *note)
{
	AUTO_DESCRIPTOR config = describe(OCI_MT_CONFIG, "{}", 2);
	char digest[OCI_DIGEST_TEXT_MAX];
	oci_autofree char *text = oci_str_printf("{\"schemaVersion\":2,\"mediaType\":\"" OCI_MT_MANIFEST
		"\",\"config\":{\"mediaType\":\"" OCI_MT_CONFIG "\",\"digest\":\"%s\",\"size\":2},"
		"\"layers\":[],\"annotations\":{\"note\":\"%s\"}}",
		oci_digest_format(&config.digest, digest), note);
	struct oci_descriptor d = describe(OCI_MT_MANIFEST, text, strlen(text));

	put(p, &config, "{}");
	put(p, &d, text);
	return d;
}

void tag(struct place *p, const struct oci_descriptor *d, const char *name)
{
	if (oci_store_tag(p->store, d, name, &p->err) < 0)
		fail_msg("tag: %s", p->err.text);
}

void assert_resolves(struct place *p, const char *name, const struct oci_descriptor *want)
{
	AUTO_DESCRIPTOR got = {0};

	if (oci_store_resolve(p->store, name, &got, &p->err) < 0)
		fail_msg("resolve: %s", p->err.text);
	assert_true(oci_digest_equal(&got.digest, &want->digest));
	assert_int_equal(got.size_bytes, want->size_bytes);
	assert_string_equal(got.media_type, want->media_type);
}

void assert_fails(struct place *p, enum oci_errc code)
{
	if (p->err.code != code)
		fail_msg("expected error %d, got %d: %s", code, p->err.code, p->err.text);
	assert_true(p->err.text[0] != '\0');
	memset(&p->err, 0, sizeof p->err);
}
