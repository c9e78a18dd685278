#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "ui.h"

static uint64_t now_ms;

static uint64_t test_clock(void)
{
	return now_ms;
}

struct screen {
	struct ui ui;
	char *text;
	size_t len;
	FILE *out;
};

static void screen_open(struct screen *s, enum ui_mode mode)
{
	now_ms = 1000;
	s->text = NULL;
	s->out = open_memstream(&s->text, &s->len);
	assert_non_null(s->out);
	ui_init(&s->ui, s->out, mode);
	s->ui.clock_ms = test_clock;
}

static void screen_finish(struct screen *s)
{
	ui_finish(&s->ui);
	fclose(s->out);
}

static size_t count(const char *text, const char *part)
{
	size_t n = 0;
	for (; (text = strstr(text, part)); text += strlen(part))
		n++;
	return n;
}

/* 10 MiB a second for `seconds`, told in steps of 50 ms. */
static void transfer(struct screen *s, unsigned seconds)
{
	oci_event_phase(&s->ui.observer, "send", 10 * OCI_MIB * seconds, 2);
	for (unsigned i = 0; i < seconds * 20; i++) {
		now_ms += 50;
		oci_event_bytes(&s->ui.observer, OCI_MIB / 2);
	}
	oci_event_done(&s->ui.observer, "a", 5, "sent");
	oci_event_done(&s->ui.observer, "b", 5, "exists");
}

static void a_log_gets_a_line_every_ten_seconds_and_a_summary(void **state)
{
	struct screen s;
	screen_open(&s, UI_PLAIN);
	transfer(&s, 35);
	screen_finish(&s);
	assert_int_equal(strncmp(s.text, "send: 350.00 MiB in 2 files\n", 28), 0);
	assert_int_equal(count(s.text, "\n"), 1 + 3 + 1);
	assert_int_equal(count(s.text, ", 10.00 MiB/s, ETA 0:"), 3);
	assert_non_null(strstr(s.text, "send: 350.00 MiB in 35.0 s, 10.00 MiB/s, 2 of 2 files\n"));
	assert_null(strchr(s.text, '\r'));
	free(s.text);
}

static void a_terminal_is_redrawn_ten_times_a_second_and_left_clean(void **state)
{
	struct screen s;
	screen_open(&s, UI_TERMINAL);
	transfer(&s, 2);
	screen_finish(&s);
	size_t drawn = count(s.text, "\rsend");
	assert_in_range(drawn, 15, 21);
	assert_non_null(strstr(s.text,
		"[##########..........]  50 %, 10.00 MiB of 20.00 MiB, 10.00 MiB/s, ETA 0:"));
	assert_null(strchr(s.text, '\n'));
	assert_string_equal(s.text + strlen(s.text) - 4, "\r\033[K");
	free(s.text);
}

static void terminal_lines_fit_the_screen(void **state)
{
	struct screen s;
	screen_open(&s, UI_TERMINAL);
	oci_event_phase(&s.ui.observer, "a-phase-with-a-very-long-name-indeed", 1000 * OCI_GIB, 1000000);
	now_ms += 500;
	oci_event_bytes(&s.ui.observer, OCI_GIB);
	screen_finish(&s);
	for (const char *line = s.text; *line; line += strcspn(line, "\r")) {
		line++;
		assert_true(strcspn(line, "\033\r") < 80);
	}
	free(s.text);
}

static void a_warning_does_not_stand_in_the_progress_line(void **state)
{
	struct screen s;
	screen_open(&s, UI_TERMINAL);
	oci_event_phase(&s.ui.observer, "send", 100, 1);
	oci_event_warn(&s.ui.observer, "odd thing");
	screen_finish(&s);
	assert_non_null(strstr(s.text, "\r\033[Kwarning: odd thing\n\rsend"));
	free(s.text);
}

static void quiet_shows_warnings_alone(void **state)
{
	struct screen s;
	screen_open(&s, UI_QUIET);
	transfer(&s, 30);
	oci_event_note(&s.ui.observer, "by the way");
	oci_event_warn(&s.ui.observer, "look at %s", "this");
	screen_finish(&s);
	assert_string_equal(s.text, "warning: look at this\n");
	free(s.text);
}

static void json_lines_carry_the_counts(void **state)
{
	struct screen s;
	screen_open(&s, UI_JSON);
	transfer(&s, 3);
	oci_event_note(&s.ui.observer, "a \"note\"");
	screen_finish(&s);
	assert_int_equal(strncmp(s.text,
		"{\"phase\":\"send\",\"totalBytes\":31457280,\"completedBytes\":0,\"totalFiles\":2,"
		"\"completedFiles\":0,\"bytesPerSecond\":0}\n", 110), 0);
	assert_non_null(strstr(s.text, "{\"note\":\"a \\\"note\\\"\"}\n"));
	assert_non_null(strstr(s.text, "\"completedBytes\":31457280,\"totalFiles\":2,\"completedFiles\":2,"));
	assert_int_equal(count(s.text, "\n"), 1 + 3 + 1 + 1);
	free(s.text);
}

static void a_phase_without_bytes_is_one_line(void **state)
{
	struct screen s;
	screen_open(&s, UI_PLAIN);
	oci_event_phase(&s.ui.observer, "ask", 0, 7);
	oci_event_done(&s.ui.observer, "x", 0, "exists");
	screen_finish(&s);
	assert_string_equal(s.text, "ask: 7 files\n");
	free(s.text);
}

static void events_before_a_phase_do_no_harm(void **state)
{
	struct screen s;
	screen_open(&s, UI_TERMINAL);
	oci_event_bytes(&s.ui.observer, 100);
	oci_event_done(&s.ui.observer, "x", 0, "sent");
	screen_finish(&s);
	assert_int_equal(s.len, 0);
	free(s.text);
}

static void *speak(void *ctx)
{
	for (int i = 0; i < 1000; i++)
		oci_event_bytes(ctx, 1);
	return NULL;
}

static void threads_may_speak_at_once(void **state)
{
	struct screen s;
	pthread_t threads[4];
	screen_open(&s, UI_TERMINAL);
	oci_event_phase(&s.ui.observer, "send", 4000, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, speak, (void *)&s.ui.observer), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(s.ui.phase.done_bytes, 4000);
	screen_finish(&s);
	free(s.text);
}

static void quiet_comes_before_json_and_no_terminal_is_a_log(void **state)
{
	FILE *null = fopen("/dev/null", "w");
	assert_int_equal(ui_mode_for(null, UI_PROGRESS_AUTO, true, true), UI_QUIET);
	assert_int_equal(ui_mode_for(null, UI_PROGRESS_AUTO, true, false), UI_JSON);
	assert_int_equal(ui_mode_for(null, UI_PROGRESS_AUTO, false, false), UI_PLAIN);
	fclose(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_log_gets_a_line_every_ten_seconds_and_a_summary),
		cmocka_unit_test(a_terminal_is_redrawn_ten_times_a_second_and_left_clean),
		cmocka_unit_test(terminal_lines_fit_the_screen),
		cmocka_unit_test(a_warning_does_not_stand_in_the_progress_line),
		cmocka_unit_test(quiet_shows_warnings_alone),
		cmocka_unit_test(json_lines_carry_the_counts),
		cmocka_unit_test(a_phase_without_bytes_is_one_line),
		cmocka_unit_test(events_before_a_phase_do_no_harm),
		cmocka_unit_test(threads_may_speak_at_once),
		cmocka_unit_test(quiet_comes_before_json_and_no_terminal_is_a_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
