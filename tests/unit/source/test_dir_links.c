#include "dir_fixture.h"

static void dir_reads_a_hugging_face_cache_through_its_links(void **state)
{
	struct oci_dir dir = {0};

	make_dir("models--org--name");
	make_dir("models--org--name/blobs");
	make_dir("models--org--name/snapshots");
	make_dir("models--org--name/snapshots/abc");
	make_dir("models--org--name/snapshots/abc/1");
	make_file("models--org--name/blobs/deadbeef", "weights");
	make_link("../../blobs/deadbeef", "models--org--name/snapshots/abc/model.safetensors");
	make_link("../../../blobs/deadbeef", "models--org--name/snapshots/abc/1/w");
	scan("models--org--name/snapshots/abc", NULL, &dir);
	assert_files(&dir, "1/w model.safetensors");
	assert_string_equal(dir.boundary_path, "snapshots/abc");
	assert_content(&dir, "model.safetensors", "weights");
	assert_content(&dir, "1/w", "weights");
	oci_dir_clear(&dir);

	make_file("secret", "s");
	make_link("../../../secret", "models--org--name/snapshots/abc/evil");
	assert_refused("models--org--name/snapshots/abc", OCI_E_SOURCE, "leads out");
}

static void dir_takes_a_cache_named_from_inside_and_through_a_link(void **state)
{
	struct oci_dir dir = {0};

	make_dir("models--n");
	make_dir("models--n/blobs");
	make_dir("models--n/snapshots");
	make_dir("models--n/snapshots/r");
	make_dir("models--n/snapshots/r/sub");
	make_file("models--n/blobs/b", "x");
	make_link("../../../blobs/b", "models--n/snapshots/r/sub/f");
	make_link("models--n/snapshots/r", "latest");
	scan("latest", NULL, &dir);
	assert_files(&dir, "sub/f");
	oci_dir_clear(&dir);
	scan("models--n/snapshots/r/sub", NULL, &dir);
	assert_files(&dir, "f");
	assert_string_equal(dir.boundary_path, "snapshots/r/sub");
	oci_dir_clear(&dir);
}

static void dir_follows_links_that_stay_inside(void **state)
{
	struct oci_dir dir = {0};

	make_dir("m/real");
	make_dir("m/real/deep");
	make_file("m/real/f", "f");
	make_file("m/real/deep/g", "g");
	make_link("real/f", "m/link");
	make_link("link", "m/link2");
	make_link("real", "m/dir");
	make_link("dir/deep/../f", "m/through");
	scan("m", NULL, &dir);
	assert_files(&dir, "dir/deep/g dir/f link link2 real/deep/g real/f through");
	assert_content(&dir, "dir/deep/g", "g");
	assert_content(&dir, "through", "f");
	assert_string_equal(dir.boundary_path, "");
	assert_int_equal(dir.boundary_fd, dir.fd);
	oci_dir_clear(&dir);
}

static void dir_follows_an_absolute_link_into_itself(void **state)
{
	struct oci_dir dir = {0};
	char *real, target[PATH_MAX];

	make_dir("m/real");
	make_file("m/real/f", "f");
	real = realpath("m", NULL);
	assert_non_null(real);
	snprintf(target, sizeof target, "%s/real/f", real);
	make_link(target, "m/link");
	scan("m", NULL, &dir);
	assert_files(&dir, "link real/f");
	assert_content(&dir, "link", "f");
	oci_dir_clear(&dir);
	/* A sibling whose name begins alike is outside. */
	unlink("m/link");
	make_dir("m2");
	make_file("m2/f", "x");
	snprintf(target, sizeof target, "%s2/f", real);
	make_link(target, "m/link");
	assert_refused("m", OCI_E_SOURCE, "leaves the model directory");
	free(real);
}

static void dir_refuses_links_that_leave_or_lead_nowhere(void **state)
{
	static const char *const targets[][2] = {{"../outside", "leads out"},
		{"a/../../outside", "leads out"}, {"/etc/passwd", "absolute"}, {"gone", "leads nowhere"},
		{"l", "links"}};

	make_file("outside", "x");
	make_dir("m/a");
	make_file("m/a/f", "x");
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		make_link(targets[i][0], "m/l");
		assert_refused("m", OCI_E_SOURCE, targets[i][1]);
		assert_refused("m", OCI_E_SOURCE, "'l'");
		unlink("m/l");
	}
}

static void dir_refuses_a_cycle_of_links(void **state)
{
	make_dir("m/a");
	make_dir("m/b");
	make_file("m/a/f", "x");
	make_link("..", "m/a/up");
	assert_refused("m", OCI_E_SOURCE, "lies in");
	unlink("m/a/up");
	make_link("../b", "m/a/to_b");
	make_link("../a", "m/b/to_a");
	assert_refused("m", OCI_E_SOURCE, "lies in");
}

/* Ten directories that each link twice to the next would be 1024 walks. */
static void dir_bounds_links_that_multiply(void **state)
{
	struct oci_dir dir = {0};
	struct oci_dir_options options = {.max_files = 100};
	struct oci_error err = {0};
	char path[32], target[32];

	for (int i = 0; i < 10; i++) {
		snprintf(path, sizeof path, "m/%d", i);
		make_dir(path);
		snprintf(target, sizeof target, "../%d", i + 1);
		for (char side = 'a'; side <= 'b' && i < 9; side++) {
			snprintf(path, sizeof path, "m/%d/%c", i, side);
			make_link(target, path);
		}
	}
	make_file("m/9/f", "x");
	assert_refused("m", OCI_E_SOURCE, "nested");
	unlink("m/0/a");
	unlink("m/0/b");
	assert_int_equal(oci_dir_scan("m", &options, &dir, &err), -1);
	assert_int_equal(err.code, OCI_E_SOURCE);
	assert_non_null(strstr(err.text, "more than 100"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(dir_reads_a_hugging_face_cache_through_its_links),
		TEST(dir_takes_a_cache_named_from_inside_and_through_a_link),
		TEST(dir_follows_links_that_stay_inside),
		TEST(dir_follows_an_absolute_link_into_itself),
		TEST(dir_refuses_links_that_leave_or_lead_nowhere),
		TEST(dir_refuses_a_cycle_of_links),
		TEST(dir_bounds_links_that_multiply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
