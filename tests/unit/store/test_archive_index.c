/* The archives that tests/assets/archive/make.py writes: ok-* open and hold
 * what they should, bad-* and unsupported-* are refused for the right reason. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>

#include "archives.h"
#include "base/cleanup.h"
#include "core/mediatype.h"
#include "store/archive.h"
#include "store/archive_index.h"

static void check_good(const char *path, const char *name)
{
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor manifest = {0};
	OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor weights = {0};
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = NULL;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_error err = {0};

	oci_buf_init(&buf, 4096);
	assert_int_equal(oci_descriptor_of(OCI_MT_LAYER_TAR, "weights", 7, &weights, NULL), 0);
	store = oci_store_archive(path, OCI_STORE_READ, &err);
	if (!store || oci_store_resolve(store, "v1", &manifest, &err) < 0 ||
		oci_store_read(store, &manifest, &buf, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	oci_buf_reset(&buf);
	if (oci_store_read(store, &weights, &buf, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	assert_string_equal(oci_buf_text(&buf), "weights");
}

static void check_refused(const char *path, const char *name, enum oci_errc code)
{
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = NULL;
	struct oci_error err = {0};

	store = oci_store_archive(path, OCI_STORE_READ, &err);
	if (store)
		fail_msg("%s is accepted", name);
	if (err.code != code)
		fail_msg("%s: expected error %d, got %d: %s", name, code, err.code, err.text);
}

static void check_bad(const char *path, const char *name)
{
	check_refused(path, name, OCI_E_FORMAT);
}

static void check_unsupported(const char *path, const char *name)
{
	check_refused(path, name, OCI_E_UNSUPPORTED);
}

static void check_absent(const char *path, const char *name)
{
	check_refused(path, name, OCI_E_NOT_FOUND);
}

static void every_archive_that_lacks_a_part_is_named_so(void **state)
{
	for_each_archive(*state, "absent-", check_absent);
}

static void what_was_cut_is_found_by_its_own_name(void **state)
{
	static const char *const names[] = {"zarf-cut.tar.zst", "haul-cut.tar"};

	for (size_t i = 0; i < 2; i++) {
		oci_autofree char *path = oci_str_printf("%s/ok-%s", (char *)*state, names[i]);

		check_good(path, names[i]);
	}
}

static void every_ok_archive_opens(void **state)
{
	for_each_archive(*state, "ok-", check_good);
}

static void every_bad_archive_is_refused(void **state)
{
	for_each_archive(*state, "bad-", check_bad);
}

static void every_unsupported_archive_is_named_so(void **state)
{
	for_each_archive(*state, "unsupported-", check_unsupported);
}

static void input_free(struct oci_archive_input **input)
{
	oci_archive_input_free(*input);
}

/* Whatever one byte becomes: refused, or every blob lies where it may. */
static void check_every_flip(const char *path)
{
	static const unsigned char flips[] = {0x01, 0x80, 0xff};
	oci_autoclose int file = open(path, O_RDONLY | O_CLOEXEC);
	oci_autoclose int copy = memfd_create("archive", MFD_CLOEXEC);
	char bytes[64 * 1024];
	ssize_t len = read(file, bytes, sizeof bytes);

	assert_true(len > 4096);
	assert_int_equal(write(copy, bytes, len), len);
	for (size_t i = 0; i < 3 * (size_t)len; i++) {
		OCI_CLEANUP(input_free) struct oci_archive_input *input = oci_archive_input_take(dup(copy), NULL);
		struct oci_archive_index index = {0};
		char changed = bytes[i / 3] ^ (char)flips[i % 3];

		assert_int_equal(pwrite(copy, &changed, 1, i / 3), 1);
		if (input && oci_archive_index_read(input, &index, NULL) == 0)
			for (size_t b = 0; b < index.count; b++)
				assert_true(index.blobs[b].offset + index.blobs[b].size_bytes <=
					(index.blobs[b].in_memory ? index.documents.len : (size_t)len));
		oci_archive_index_clear(&index);
		assert_int_equal(pwrite(copy, &bytes[i / 3], 1, i / 3), 1);
	}
}

static void no_changed_byte_leads_outside(void **state)
{
	oci_autofree char *path = oci_str_printf("%s/ok-pax.tar", (char *)*state);

	check_every_flip(path);
}

static void no_changed_byte_of_a_docker_archive_leads_outside(void **state)
{
	oci_autofree char *path = oci_str_printf("%s/ok-docker-links.tar", (char *)*state);

	check_every_flip(path);
}

static void a_missing_archive_is_not_found(void **state)
{
	oci_autofree char *path = oci_str_printf("%s/nothing", (char *)*state);

	check_refused(path, "nothing", OCI_E_NOT_FOUND);
}

static void a_directory_is_no_archive(void **state)
{
	check_refused(*state, "directory", OCI_E_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_ok_archive_opens),
		cmocka_unit_test(every_bad_archive_is_refused),
		cmocka_unit_test(every_unsupported_archive_is_named_so),
		cmocka_unit_test(every_archive_that_lacks_a_part_is_named_so),
		cmocka_unit_test(what_was_cut_is_found_by_its_own_name),
		cmocka_unit_test(no_changed_byte_leads_outside),
		cmocka_unit_test(no_changed_byte_of_a_docker_archive_leads_outside),
		cmocka_unit_test(a_missing_archive_is_not_found),
		cmocka_unit_test(a_directory_is_no_archive),
	};

	return cmocka_run_group_tests(tests, make_archives, remove_archives);
}
