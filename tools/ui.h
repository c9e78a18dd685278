/* ui.h - what a person or a log sees while a command runs
 *
 * The observer of base/event.h, on stderr:
 *
 *     struct ui ui;
 *     ui_init(&ui, stderr, ui_mode_for(stderr, progress, json, quiet));
 *     ... ui.observer goes to the library ...
 *     ui_finish(&ui);
 *
 * UI_TERMINAL redraws one line at most 10 times a second and clears it at the
 * end. UI_PLAIN is for logs: a line when a phase begins, one every 10 s while
 * it runs and one when it is over. UI_JSON writes lines of JSON, at most one
 * a second besides those at both ends of a phase:
 *     {"phase","totalBytes","completedBytes","totalFiles","completedFiles","bytesPerSecond"}
 * and {"note"} and {"warning"}. UI_QUIET shows warnings alone. Where `trace` is
 * set each mode shows a line for every request, {"trace"} in JSON.
 *
 * Events may come from several threads.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/event.h"

enum ui_mode { UI_QUIET, UI_PLAIN, UI_TERMINAL, UI_JSON };

enum ui_progress { UI_PROGRESS_AUTO, UI_PROGRESS_PLAIN, UI_PROGRESS_JSON, UI_PROGRESS_NONE };

#define UI_PHASE_MAX 32
#define UI_NOTE_MAX 512

struct ui_phase {
	char name[UI_PHASE_MAX]; /* "": none yet */
	uint64_t total_bytes, done_bytes;
	uint64_t total_files, done_files;
	uint64_t begin_ms, shown_ms;
	uint64_t sampled_bytes; /* done_bytes when the rate was last looked at, */
	uint64_t sampled_ms;    /* and when that was */
	double bytes_per_second;
};

struct ui {
	struct oci_observer observer;
	FILE *out;
	enum ui_mode mode;
	bool trace;
	uint64_t (*clock_ms)(void); /* oci_clock_ms, unless a test says otherwise */
	pthread_mutex_t lock;
	struct ui_phase phase;
	bool line_shown;            /* the terminal's line is on the screen */
	char last_note[UI_NOTE_MAX]; /* cut; "": there was none */
};

/* What is said, else JSON where the result is, else terminal or plain by what `out` is; a
 * dumb terminal is a log. */
enum ui_mode ui_mode_for(FILE *out, enum ui_progress progress, bool json, bool quiet);

void ui_init(struct ui *ui, FILE *out, enum ui_mode mode);
/* Ends the phase and leaves a clean line behind; no event may come any more. */
void ui_finish(struct ui *ui);
