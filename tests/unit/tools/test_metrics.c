#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../base/temp_dir.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "metrics.h"

static uint64_t now_ms;
static unsigned heard;

static uint64_t test_clock(void)
{
	return now_ms;
}

static void hear(void *ctx, const struct oci_event *event)
{
	heard++;
}

static const struct oci_observer ears = {.on_event = hear};

static void begin(struct metrics *m)
{
	now_ms = 1000;
	heard = 0;
	metrics_init(m, &ears);
	m->clock_ms = test_clock;
	m->begin_ms = now_ms;
}

static void write_and_read(void **state, struct metrics *m, char text[4096])
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf out;
	oci_autofree char *path = oci_str_printf("%s/run.prom", ((struct temp_dir *)*state)->path);

	oci_buf_init(&out, 4095);
	metrics_write(m, path, "pull", 30);
	assert_int_equal(oci_fs_read_file(temp_dir_fd(state), "run.prom", &out, NULL), 0);
	snprintf(text, 4096, "%s", oci_buf_text(&out));
}

static void a_phase_that_comes_twice_is_one(void **state)
{
	struct metrics m;
	char text[4096];

	begin(&m);
	for (int i = 0; i < 2; i++) {
		oci_event_phase(&m.observer, "pull", 100, 1);
		now_ms += 1500;
		oci_event_bytes(&m.observer, 50);
		oci_event_done(&m.observer, "a", 50, "sent");
	}
	oci_event_warn(&m.observer, "look out");
	write_and_read(state, &m, text);
	metrics_clear(&m);
	assert_int_equal(heard, 7);
	assert_non_null(strstr(text, "modelcar_exit_code{command=\"pull\"} 30\n"));
	assert_non_null(strstr(text, "modelcar_duration_seconds{command=\"pull\"} 3\n"));
	assert_non_null(strstr(text, "modelcar_warnings{command=\"pull\"} 1\n"));
	assert_non_null(strstr(text, "modelcar_phase_bytes{command=\"pull\",phase=\"pull\"} 100\n"));
	assert_non_null(strstr(text, "modelcar_phase_files{command=\"pull\",phase=\"pull\"} 2\n"));
	assert_non_null(strstr(text, "modelcar_phase_duration_seconds{command=\"pull\",phase=\"pull\"} 3\n"));
}

static void without_phases_there_are_no_figures_of_them(void **state)
{
	struct metrics m;
	char text[4096];

	begin(&m);
	oci_event_bytes(&m.observer, 50);
	write_and_read(state, &m, text);
	metrics_clear(&m);
	assert_null(strstr(text, "phase"));
}

static void more_phases_than_there_is_room_for_lose_no_bytes(void **state)
{
	struct metrics m;
	uint64_t bytes = 0;

	begin(&m);
	for (int i = 0; i < 2 * METRICS_PHASES_MAX; i++) {
		char name[16];

		snprintf(name, sizeof name, "phase %d", i);
		oci_event_phase(&m.observer, name, 1, 1);
		oci_event_bytes(&m.observer, 1);
	}
	for (size_t i = 0; i < m.count; i++)
		bytes += m.phases[i].bytes;
	assert_int_equal(m.count, METRICS_PHASES_MAX);
	assert_int_equal(bytes, 2 * METRICS_PHASES_MAX);
	metrics_clear(&m);
}

static void figures_that_cannot_be_written_are_a_warning(void **state)
{
	struct metrics m;

	begin(&m);
	metrics_write(&m, "/proc/self/nothing/run.prom", "pull", 0);
	metrics_clear(&m);
	assert_int_equal(heard, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_dir_setup, temp_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_phase_that_comes_twice_is_one),
		TEST(without_phases_there_are_no_figures_of_them),
		TEST(more_phases_than_there_is_room_for_lose_no_bytes),
		TEST(figures_that_cannot_be_written_are_a_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
