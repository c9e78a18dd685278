/* What a layout promises beyond the conformance suite (tests/store/). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/workers.h"
#include "core/mediatype.h"
#include "store/index.h"
#include "store/layout.h"
#include "store/ops.h"

struct place {
	char path[64]; /* of a fresh directory */
	int dir;
	struct oci_error err;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof *p);

	if (!p)
		return -1;
	snprintf(p->path, sizeof p->path, "/tmp/oci-layout-XXXXXX");
	if (!mkdtemp(p->path))
		return -1;
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = p;
	return p->dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	close(p->dir);
	oci_fs_remove_tree(AT_FDCWD, p->path, NULL);
	free(p);
	return 0;
}

static struct oci_store *open_layout(struct place *p, enum oci_store_mode mode)
{
	struct oci_store *store = oci_store_layout(p->path, mode, false, &p->err);

	if (!store)
		fail_msg("%s", p->err.text);
	return store;
}

static void assert_refused(struct place *p, enum oci_store_mode mode, enum oci_errc code)
{
	struct oci_error err = {0};

	assert_null(oci_store_layout(p->path, mode, false, &err));
	if (err.code != code)
		fail_msg("expected error %d, got %d: %s", code, err.code, err.text);
}

static void put_file(struct place *p, const char *name, const char *text)
{
	if (oci_fs_write_file(p->dir, name, text, strlen(text), 0644, false, &p->err) < 0)
		fail_msg("%s", p->err.text);
}

static void assert_file(struct place *p, const char *name, const char *text)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, OCI_MIB);
	if (oci_fs_read_file(p->dir, name, &buf, &p->err) < 0)
		fail_msg("%s", p->err.text);
	assert_string_equal(oci_buf_text(&buf), text);
}

#define AUTO_DESCRIPTOR OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor
#define AUTO_STORE OCI_CLEANUP(oci_store_cleanup) struct oci_store

static struct oci_descriptor put_blob(struct oci_store *store, const char *type, const char *text)
{
	struct oci_descriptor d = {0};
	struct oci_error err = {0};

	assert_int_equal(oci_descriptor_of(type, text, strlen(text), &d, NULL), 0);
	if (oci_store_write(store, &d, text, strlen(text), &err) < 0)
		fail_msg("%s", err.text);
	return d;
}

static char *blob_name(const struct oci_descriptor *d)
{
	char hex[OCI_DIGEST_TEXT_MAX];

	return oci_str_printf("blobs/sha256/%s", oci_digest_hex(&d->digest, hex));
}

static unsigned count_files(struct place *p, const char *name)
{
	oci_autofree char *path = oci_str_printf("%s/%s", p->path, name);
	DIR *dir = opendir(path);
	unsigned count = 0;

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(dir);
	return count;
}

static void an_empty_directory_becomes_a_layout(void **state)
{
	struct place *p = *state;

	oci_store_close(open_layout(p, OCI_STORE_WRITE));
	assert_file(p, "oci-layout", OCI_LAYOUT_TEXT);
	assert_file(p, "index.json", OCI_INDEX_EMPTY_TEXT);
	assert_int_equal(count_files(p, "blobs/sha256"), 0);
	assert_int_equal(count_files(p, "."), 3);
}

static void opening_again_changes_nothing(void **state)
{
	struct place *p = *state;
	const char *index = "{\"schemaVersion\":2,\"manifests\":[],\"mine\":1}";

	oci_store_close(open_layout(p, OCI_STORE_WRITE));
	put_file(p, "index.json", index);
	oci_store_close(open_layout(p, OCI_STORE_WRITE));
	assert_file(p, "index.json", index);
}

static void a_directory_with_other_files_is_occupied(void **state)
{
	struct place *p = *state;

	put_file(p, "letter.txt", "dear");
	assert_refused(p, OCI_STORE_WRITE, OCI_E_OCCUPIED);
	assert_int_equal(count_files(p, "."), 1);
}

static void reading_what_is_no_layout_says_so(void **state)
{
	struct place *p = *state;

	assert_refused(p, OCI_STORE_READ, OCI_E_FORMAT);
	put_file(p, "oci-layout", OCI_LAYOUT_TEXT);
	assert_refused(p, OCI_STORE_READ, OCI_E_FORMAT);
	put_file(p, "index.json", OCI_INDEX_EMPTY_TEXT);
	oci_store_close(open_layout(p, OCI_STORE_READ));
	put_file(p, "oci-layout", "{\"imageLayoutVersion\":\"2.0.0\"}");
	assert_refused(p, OCI_STORE_READ, OCI_E_UNSUPPORTED);
	put_file(p, "oci-layout", "version 1");
	assert_refused(p, OCI_STORE_READ, OCI_E_FORMAT);
}

static void a_missing_directory_is_not_found(void **state)
{
	oci_autofree char *path = oci_str_printf("%s/nothing", ((struct place *)*state)->path);
	struct oci_error err = {0};

	assert_null(oci_store_layout(path, OCI_STORE_READ, false, &err));
	assert_int_equal(err.code, OCI_E_NOT_FOUND);
}

static void a_file_is_no_layout(void **state)
{
	struct place *p = *state;
	oci_autofree char *path = oci_str_printf("%s/file", p->path);
	struct oci_error err = {0};

	put_file(p, "file", "x");
	assert_null(oci_store_layout(path, OCI_STORE_READ, false, &err));
	assert_int_equal(err.code, OCI_E_FORMAT);
}

static void a_read_only_directory_is_a_permission_error(void **state)
{
	struct place *p = *state;

	if (geteuid() == 0) {
		assert_int_equal(chmod(p->path, 0755), 0);
		assert_int_equal(seteuid(65534), 0);
		assert_refused(p, OCI_STORE_WRITE, OCI_E_PERM);
		assert_int_equal(seteuid(0), 0);
		return;
	}
	assert_int_equal(chmod(p->path, 0555), 0);
	assert_refused(p, OCI_STORE_WRITE, OCI_E_PERM);
	assert_int_equal(chmod(p->path, 0755), 0);
}

static void a_blob_that_is_a_link_is_refused(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = open_layout(p, OCI_STORE_WRITE);
	AUTO_DESCRIPTOR d = put_blob(store, "application/x", "weights");
	oci_autofree char *name = blob_name(&d);
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, 100);
	put_file(p, "elsewhere", "weights");
	assert_int_equal(unlinkat(p->dir, name, 0), 0);
	assert_int_equal(symlinkat("../../elsewhere", p->dir, name), 0);
	assert_int_equal(oci_store_read(store, &d, &buf, &p->err), -1);
	assert_int_equal(p->err.code, OCI_E_FORMAT);
}

static void a_blob_that_is_a_pipe_is_refused(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = open_layout(p, OCI_STORE_WRITE);
	AUTO_DESCRIPTOR d = put_blob(store, "application/x", "weights");
	oci_autofree char *name = blob_name(&d);
	bool exists = true;

	assert_int_equal(unlinkat(p->dir, name, 0), 0);
	assert_int_equal(mkfifoat(p->dir, name, 0644), 0);
	assert_int_equal(oci_store_exists(store, &d, &exists, &p->err), -1);
	assert_int_equal(p->err.code, OCI_E_FORMAT);
}

static void a_linked_blob_directory_is_refused(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = open_layout(p, OCI_STORE_WRITE);
	AUTO_DESCRIPTOR d = put_blob(store, "application/x", "weights");
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, 100);
	assert_int_equal(renameat(p->dir, "blobs", p->dir, "hidden"), 0);
	assert_int_equal(symlinkat("hidden", p->dir, "blobs"), 0);
	assert_int_equal(oci_store_read(store, &d, &buf, &p->err), -1);
	assert_int_equal(p->err.code, OCI_E_FORMAT);
	assert_null(oci_store_begin(store, &d, NULL));
}

static void a_damaged_blob_fails_to_read_and_heals(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = open_layout(p, OCI_STORE_WRITE);
	AUTO_DESCRIPTOR d = put_blob(store, "application/x", "weights");
	oci_autofree char *name = blob_name(&d);
	oci_autoclose int blobs = oci_fs_open_dir_beneath(p->dir, "blobs/sha256", NULL);
	struct oci_sink *sink;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;

	oci_buf_init(&buf, 100);
	assert_int_equal(oci_fs_write_file(blobs, strrchr(name, '/') + 1, "weighty", 7, 0644, false, NULL),
		0);
	assert_int_equal(oci_store_read(store, &d, &buf, &p->err), -1);
	assert_int_equal(p->err.code, OCI_E_DIGEST);
	sink = oci_store_begin(store, &d, NULL);
	assert_non_null(sink);
	assert_int_equal(oci_sink_write(sink, "weights", 7, NULL), 0);
	assert_int_equal(oci_sink_commit(sink, &d.digest, NULL), 0);
	oci_buf_reset(&buf);
	assert_int_equal(oci_store_read(store, &d, &buf, NULL), 0);
}

static void aborted_and_refused_blobs_leave_no_file(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = open_layout(p, OCI_STORE_WRITE);
	struct oci_descriptor want = {.size_bytes = 7};
	struct oci_digest wrong;
	struct oci_sink *sink = oci_store_begin(store, &want, NULL);

	oci_digest_of(OCI_SHA256, "another", 7, &wrong);
	assert_non_null(sink);
	assert_int_equal(oci_sink_write(sink, "weights", 7, NULL), 0);
	assert_int_equal(count_files(p, "blobs/sha256"), 1);
	oci_sink_abort(sink);
	sink = oci_store_begin(store, &want, NULL);
	assert_int_equal(oci_sink_write(sink, "weights", 7, NULL), 0);
	assert_int_equal(oci_sink_commit(sink, &wrong, NULL), -1);
	assert_int_equal(count_files(p, "blobs/sha256"), 0);
}

static void a_reader_may_not_write(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = NULL;
	struct oci_descriptor want = {.size_bytes = 1};

	oci_store_close(open_layout(p, OCI_STORE_WRITE));
	store = open_layout(p, OCI_STORE_READ);
	assert_null(oci_store_begin(store, &want, &p->err));
	assert_int_equal(p->err.code, OCI_E_BUG);
}

static void a_blob_that_is_no_manifest_does_not_resolve(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = open_layout(p, OCI_STORE_WRITE);
	AUTO_DESCRIPTOR d = put_blob(store, "application/x", "weights");
	AUTO_DESCRIPTOR got = {0};
	char digest[OCI_DIGEST_TEXT_MAX];

	assert_int_equal(oci_store_resolve(store, oci_digest_format(&d.digest, digest), &got, &p->err), -1);
	assert_int_equal(p->err.code, OCI_E_FORMAT);
}

#define WRITERS 24

struct crowd {
	const char *path;
	const struct oci_descriptor *manifest;
};

/* Each item is a store of its own, as another process would have. */
static int tag_one(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	const struct crowd *crowd = worker->ctx;
	struct oci_store *store = oci_store_layout(crowd->path, OCI_STORE_WRITE, false, err);
	char tag[16];
	int status;

	if (!store)
		return -1;
	snprintf(tag, sizeof tag, "v%zu", item);
	status = oci_store_tag(store, crowd->manifest, tag, err);
	oci_store_close(store);
	return status;
}

static void no_tag_of_concurrent_writers_is_lost(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = open_layout(p, OCI_STORE_WRITE);
	AUTO_DESCRIPTOR d = put_blob(store, OCI_MT_MANIFEST, "{\"schemaVersion\":2}");
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0};
	struct crowd crowd = {.path = p->path, .manifest = &d};

	if (oci_workers_run(4, WRITERS, tag_one, &crowd, NULL, &p->err) < 0)
		fail_msg("%s", p->err.text);
	assert_int_equal(store->ops->tags(store, &tags, NULL), 0);
	assert_int_equal(tags.count, WRITERS);
	assert_int_equal(count_files(p, "."), 3);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_empty_directory_becomes_a_layout),
		T(opening_again_changes_nothing),
		T(a_directory_with_other_files_is_occupied),
		T(reading_what_is_no_layout_says_so),
		T(a_missing_directory_is_not_found),
		T(a_file_is_no_layout),
		T(a_read_only_directory_is_a_permission_error),
		T(a_blob_that_is_a_link_is_refused),
		T(a_blob_that_is_a_pipe_is_refused),
		T(a_linked_blob_directory_is_refused),
		T(a_damaged_blob_fails_to_read_and_heals),
		T(aborted_and_refused_blobs_leave_no_file),
		T(a_reader_may_not_write),
		T(a_blob_that_is_no_manifest_does_not_resolve),
		T(no_tag_of_concurrent_writers_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
