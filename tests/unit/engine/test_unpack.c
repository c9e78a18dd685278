#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/unpack.h"
#include "stream/tar.h"

#define TYPE_AT 156
#define CHECKSUM_AT 148
#define LINK_AT 157

static int make_dir(void **state)
{
	char path[] = "/tmp/modelcar-test.XXXXXX";

	if (!mkdtemp(path))
		return -1;
	*state = strdup(path);
	return *state ? 0 : -1;
}

static int remove_dir(void **state)
{
	oci_autofree char *path = *state, *name = NULL;
	oci_autoclose int parent = oci_fs_open_parent(path, &name, NULL);

	return oci_fs_remove_tree(parent, name, NULL);
}

static void add_file(struct oci_buf *tar, const char *path)
{
	assert_int_equal(oci_tar_add_header(tar, path, OCI_TAR_FILE, 0, NULL), 0);
}

/* The library writes no links: an empty file's header becomes one. */
static void add_link(struct oci_buf *tar, const char *path, char type, const char *target)
{
	unsigned sum = 8 * ' ';
	char *header;

	add_file(tar, path);
	header = tar->data + tar->len - OCI_TAR_BLOCK;
	header[TYPE_AT] = type;
	memcpy(header + LINK_AT, target, strlen(target));
	for (size_t i = 0; i < OCI_TAR_BLOCK; i++)
		if (i < CHECKSUM_AT || i >= CHECKSUM_AT + 8)
			sum += (unsigned char)header[i];
	snprintf(header + CHECKSUM_AT, 8, "%06o", sum);
}

static enum oci_errc unpack(const char *path, const struct oci_buf *tar, struct oci_unpacked *ret)
{
	oci_autoclose int dir = oci_fs_open_dir(path, NULL);
	const struct oci_unpack_options options = {.dir = dir, .root = "models/"};
	struct oci_error err = {0};

	assert_true(dir >= 0);
	if (oci_unpack_tar_take(oci_reader_memory(tar->data, tar->len, NULL), true, &options, ret, &err) == 0)
		return OCI_OK;
	return err.code;
}

static void links_are_listed_and_not_made(void **state)
{
	OCI_CLEANUP(oci_unpacked_clear) struct oci_unpacked got = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;
	oci_autofree char *path = oci_str_printf("%s/l", (char *)*state);
	struct stat st;

	oci_buf_init(&tar, OCI_MIB);
	add_file(&tar, "models/a");
	add_link(&tar, "models/l", '2', "a");
	add_link(&tar, "models/h", '1', "models/a");
	assert_int_equal(unpack(*state, &tar, &got), OCI_OK);
	assert_int_equal(got.files.count, 1);
	assert_int_equal(got.link_count, 2);
	assert_true(got.links[0].symbolic);
	assert_string_equal(got.links[1].target, "a");
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

struct clash {
	const char *file, *link;
	bool link_first;
	enum oci_errc code;
};

static void check_clash(void **state, const struct clash *c)
{
	OCI_CLEANUP(oci_unpacked_clear) struct oci_unpacked got = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;

	oci_buf_init(&tar, OCI_MIB);
	if (c->link_first)
		add_link(&tar, c->link, '2', "elsewhere");
	add_file(&tar, c->file);
	if (!c->link_first)
		add_link(&tar, c->link, '2', "elsewhere");
	assert_int_equal(make_dir(state), 0);
	assert_int_equal(unpack(*state, &tar, &got), c->code);
	assert_int_equal(remove_dir(state), 0);
}

/* Else the file would be gone without a word when the link is made. */
static void a_link_in_the_place_of_a_file_or_of_its_directory_is_refused(void **state)
{
	static const struct clash clashes[] = {
		{"models/a", "models/l", false, OCI_OK},
		{"models/a", "models/d/l", true, OCI_OK},
		{"models/l", "models/l", false, OCI_E_FORMAT},
		{"models/l", "models/l", true, OCI_E_FORMAT},
		{"models/d/x", "models/d", false, OCI_E_FORMAT},
		{"models/d/x", "models/d", true, OCI_E_FORMAT},
	};

	for (size_t i = 0; i < sizeof clashes / sizeof *clashes; i++)
		check_clash(state, &clashes[i]);
}

static void one_link_twice_is_refused(void **state)
{
	OCI_CLEANUP(oci_unpacked_clear) struct oci_unpacked got = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;

	oci_buf_init(&tar, OCI_MIB);
	add_link(&tar, "models/l", '2', "a");
	add_link(&tar, "models/l", '1', "models/b");
	assert_int_equal(unpack(*state, &tar, &got), OCI_E_FORMAT);
}

static void names_have_a_budget_over_all_layers(void **state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf tar;
	atomic_ullong name_bytes = 0;
	const struct oci_unpack_options options = {.dir = -1, .root = "models/", .name_bytes = &name_bytes};

	oci_buf_init(&tar, OCI_MIB);
	add_file(&tar, "models/a");
	for (int rounds = 0; rounds < 2; rounds++) {
		OCI_CLEANUP(oci_unpacked_clear) struct oci_unpacked got = {0};
		struct oci_error err = {0};
		struct oci_reader *reader = oci_reader_memory(tar.data, tar.len, NULL);

		int rc = oci_unpack_tar_take(reader, true, &options, &got, &err);
		assert_int_equal(err.code, rounds == 0 ? OCI_OK : OCI_E_UNSUPPORTED);
		assert_int_equal(rc, rounds == 0 ? 0 : -1);
		assert_true(name_bytes > strlen("models/a"));
		name_bytes = OCI_UNPACK_NAMES_MAX;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(links_are_listed_and_not_made, make_dir, remove_dir),
		cmocka_unit_test(a_link_in_the_place_of_a_file_or_of_its_directory_is_refused),
		cmocka_unit_test_setup_teardown(one_link_twice_is_refused, make_dir, remove_dir),
		cmocka_unit_test(names_have_a_budget_over_all_layers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
