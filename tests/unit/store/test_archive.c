/* What an archive that is written promises beyond the conformance suite
 * (tests/store/). */
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
#include "core/mediatype.h"
#include "store/archive.h"
#include "stream/tar.h"

#define MANIFEST_A "{\"schemaVersion\":2,\"annotations\":{\"a\":\"\"}}"
#define MANIFEST_B "{\"schemaVersion\":2,\"annotations\":{\"b\":\"\"}}"

struct place {
	char dir[64];
	char path[80];
	struct oci_error err;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof *p);

	if (!p)
		return -1;
	snprintf(p->dir, sizeof p->dir, "/tmp/oci-archive-XXXXXX");
	if (!mkdtemp(p->dir))
		return -1;
	snprintf(p->path, sizeof p->path, "%s/m.tar", p->dir);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	oci_fs_remove_tree(AT_FDCWD, p->dir, NULL);
	free(p);
	return 0;
}

#define AUTO_STORE OCI_CLEANUP(oci_store_cleanup) struct oci_store
#define AUTO_DESCRIPTOR OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor
#define AUTO_BUF OCI_CLEANUP(oci_buf_clear) struct oci_buf

static struct oci_store *open_archive(struct place *p, enum oci_store_mode mode)
{
	struct oci_store *store = oci_store_archive(p->path, mode, &p->err);

	if (!store)
		fail_msg("%s", p->err.text);
	return store;
}

static struct oci_descriptor put(struct oci_store *store, const char *type, const char *text)
{
	struct oci_descriptor d = {0};
	struct oci_error err = {0};

	assert_int_equal(oci_descriptor_of(type, text, strlen(text), &d, NULL), 0);
	if (oci_store_write(store, &d, text, strlen(text), &err) < 0)
		fail_msg("%s", err.text);
	return d;
}

static void put_layer(struct oci_store *store, const char *text)
{
	struct oci_descriptor d = put(store, OCI_MT_LAYER_TAR, text);

	oci_descriptor_clear(&d);
}

static struct oci_sink *begin(struct oci_store *store, const char *text)
{
	struct oci_descriptor want = {.size_bytes = strlen(text)};
	struct oci_sink *sink;

	oci_digest_of(OCI_SHA256, text, strlen(text), &want.digest);
	sink = oci_store_begin(store, &want, NULL);
	assert_non_null(sink);
	assert_int_equal(oci_sink_write(sink, text, strlen(text), NULL), 0);
	return sink;
}

static void finish(struct place *p, struct oci_store *store)
{
	if (oci_store_finish(store, &p->err) < 0)
		fail_msg("%s", p->err.text);
}

static unsigned count_files(struct place *p)
{
	DIR *dir = opendir(p->dir);
	unsigned count = 0;

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(dir);
	return count;
}

static struct oci_buf read_bytes(struct place *p)
{
	oci_autoclose int dir = oci_fs_open_dir(p->dir, &p->err);
	struct oci_buf buf;

	oci_buf_init(&buf, OCI_MIB);
	if (dir < 0 || oci_fs_read_file(dir, "m.tar", &buf, &p->err) < 0)
		fail_msg("%s", p->err.text);
	return buf;
}

/* The names of the members as another tar reader sees them, one a line. */
static struct oci_buf list_members(struct place *p)
{
	OCI_CLEANUP(oci_tar_cleanup) struct oci_tar *tar = NULL;
	AUTO_BUF bytes = read_bytes(p);
	struct oci_tar_entry entry = {0};
	struct oci_buf names;
	int more;

	oci_buf_init(&names, OCI_MIB);
	tar = oci_tar_open_take(oci_reader_memory(bytes.data, bytes.len, NULL), NULL);
	assert_non_null(tar);
	while ((more = oci_tar_next(tar, &entry, &p->err)) > 0)
		assert_int_equal(oci_buf_printf(&names, NULL, "%s\n", entry.path), 0);
	if (more < 0)
		fail_msg("%s", p->err.text);
	return names;
}

static void a_tar_reader_sees_layout_blobs_index(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = open_archive(p, OCI_STORE_WRITE);
	AUTO_DESCRIPTOR one = put(store, OCI_MT_LAYER_TAR, "weights");
	AUTO_DESCRIPTOR two = put(store, OCI_MT_MANIFEST, MANIFEST_A);
	char first[OCI_DIGEST_TEXT_MAX], second[OCI_DIGEST_TEXT_MAX];
	oci_autofree char *want = oci_str_printf("oci-layout\nblobs/sha256/%s\nblobs/sha256/%s\nindex.json\n",
		oci_digest_hex(&one.digest, first), oci_digest_hex(&two.digest, second));
	AUTO_BUF names = {0};

	finish(p, store);
	names = list_members(p);
	assert_string_equal(oci_buf_text(&names), want);
	assert_int_equal(count_files(p), 1);
}

static unsigned count_members(struct place *p)
{
	AUTO_BUF names = list_members(p);
	unsigned count = 0;

	for (const char *at = oci_buf_text(&names); *at; at++)
		count += *at == '\n';
	return count;
}

static void content_that_is_there_is_not_stored_again(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = open_archive(p, OCI_STORE_WRITE);
	AUTO_DESCRIPTOR d = put(store, OCI_MT_LAYER_TAR, "weights");
	struct oci_descriptor late = {.size_bytes = 7};
	struct oci_sink *again = begin(store, "weights"), *sink;

	put_layer(store, "others");
	assert_int_equal(oci_sink_commit(again, &d.digest, NULL), 0);
	sink = oci_store_begin(store, &late, NULL);
	assert_non_null(sink);
	assert_int_equal(oci_sink_write(sink, "weights", 7, NULL), 0);
	assert_int_equal(oci_sink_commit(sink, &d.digest, NULL), 0);
	finish(p, store);
	assert_int_equal(count_members(p), 4);
}

static void an_aborted_blob_leaves_no_bytes(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = open_archive(p, OCI_STORE_WRITE);
	AUTO_BUF bytes = {0};
	char text[9000] = "";

	memset(text, 'x', sizeof text - 1);
	oci_sink_abort(begin(store, text));
	finish(p, store);
	bytes = read_bytes(p);
	assert_int_equal(bytes.len, 2 * 512 + 2 * 512 + OCI_TAR_END_BYTES);
	for (size_t i = bytes.len - OCI_TAR_END_BYTES; i < bytes.len; i++)
		assert_int_equal(bytes.data[i], 0);
}

static struct oci_buf write_once(struct place *p)
{
	AUTO_STORE *store = open_archive(p, OCI_STORE_WRITE);
	AUTO_DESCRIPTOR manifest = {0};

	put_layer(store, "weights");
	manifest = put(store, OCI_MT_MANIFEST, MANIFEST_A);
	assert_int_equal(oci_store_tag(store, &manifest, "v1", NULL), 0);
	finish(p, store);
	return read_bytes(p);
}

static void the_same_steps_give_the_same_bytes(void **state)
{
	AUTO_BUF one = write_once(*state);
	AUTO_BUF two = write_once(*state);

	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
}

static void nothing_is_left_without_finish(void **state)
{
	struct place *p = *state;
	struct oci_store *store = open_archive(p, OCI_STORE_WRITE);

	put_layer(store, "weights");
	assert_int_equal(count_files(p), 1);
	oci_store_close(store);
	assert_int_equal(count_files(p), 0);
}

static void the_old_archive_answers_until_finish(void **state)
{
	struct place *p = *state;
	AUTO_BUF old = write_once(p);
	AUTO_STORE *store = open_archive(p, OCI_STORE_WRITE);
	AUTO_DESCRIPTOR got = {0};
	AUTO_DESCRIPTOR new = {0};
	AUTO_BUF body;
	bool exists = true;

	assert_true(old.len > 0);
	oci_buf_init(&body, OCI_MIB);
	assert_int_equal(oci_store_resolve(store, "v1", &got, NULL), 0);
	assert_int_equal(oci_store_read(store, &got, &body, NULL), 0);
	assert_string_equal(oci_buf_text(&body), MANIFEST_A);
	assert_int_equal(oci_store_exists(store, &got, &exists, NULL), 0);
	assert_false(exists);
	new = put(store, OCI_MT_MANIFEST, MANIFEST_B);
	assert_int_equal(oci_store_tag(store, &new, "v2", NULL), 0);
	finish(p, store);
	oci_store_close(oci_steal(&store));
	store = open_archive(p, OCI_STORE_READ);
	assert_int_equal(oci_store_resolve(store, "v2", &got, NULL), 0);
	assert_int_equal(oci_store_resolve(store, "v1", &got, &p->err), -1);
	assert_int_equal(p->err.code, OCI_E_NOT_FOUND);
}

static void a_file_that_is_no_archive_is_not_replaced(void **state)
{
	struct place *p = *state;
	oci_autoclose int dir = oci_fs_open_dir(p->dir, NULL);

	assert_int_equal(oci_fs_write_file(dir, "m.tar", "my diary", 8, 0644, false, NULL), 0);
	assert_null(oci_store_archive(p->path, OCI_STORE_WRITE, &p->err));
	assert_int_equal(p->err.code, OCI_E_FORMAT);
	assert_int_equal(count_files(p), 1);
}

static void an_empty_file_is_replaced(void **state)
{
	struct place *p = *state;
	oci_autoclose int dir = oci_fs_open_dir(p->dir, NULL);
	AUTO_STORE *store = NULL;

	assert_int_equal(oci_fs_write_file(dir, "m.tar", "", 0, 0644, false, NULL), 0);
	store = open_archive(p, OCI_STORE_WRITE);
	finish(p, store);
	oci_store_close(oci_steal(&store));
	oci_store_close(open_archive(p, OCI_STORE_READ));
}

static void a_blob_given_up_between_others_fails_the_archive(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = open_archive(p, OCI_STORE_WRITE);
	struct oci_sink *sink = begin(store, "given up");

	put_layer(store, "weights");
	oci_sink_abort(sink);
	assert_int_equal(oci_store_finish(store, &p->err), -1);
	assert_int_equal(p->err.code, OCI_E_PARTIAL);
	oci_store_close(oci_steal(&store));
	assert_int_equal(count_files(p), 0);
}

static void an_unfinished_blob_fails_the_archive(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = open_archive(p, OCI_STORE_WRITE);
	struct oci_sink *sink = begin(store, "unfinished");

	assert_int_equal(oci_store_finish(store, &p->err), -1);
	assert_int_equal(p->err.code, OCI_E_BUG);
	oci_sink_abort(sink);
	finish(p, store);
}

static void nothing_is_written_after_finish(void **state)
{
	struct place *p = *state;
	AUTO_STORE *store = open_archive(p, OCI_STORE_WRITE);
	struct oci_descriptor want = {.size_bytes = 1};

	finish(p, store);
	finish(p, store);
	assert_null(oci_store_begin(store, &want, &p->err));
	assert_int_equal(p->err.code, OCI_E_BUG);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_tar_reader_sees_layout_blobs_index),
		T(content_that_is_there_is_not_stored_again),
		T(an_aborted_blob_leaves_no_bytes),
		T(the_same_steps_give_the_same_bytes),
		T(nothing_is_left_without_finish),
		T(the_old_archive_answers_until_finish),
		T(a_file_that_is_no_archive_is_not_replaced),
		T(an_empty_file_is_replaced),
		T(a_blob_given_up_between_others_fails_the_archive),
		T(an_unfinished_blob_fails_the_archive),
		T(nothing_is_written_after_finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
