/* metrics.h - figures of a run, for Prometheus' textfile collector
 *
 *     metrics_init(&metrics, &ui.observer);
 *     ... metrics.observer goes to the library, and what it hears on to ui's ...
 *     metrics_write(&metrics, "/var/lib/node_exporter/modelcar.prom", "pull", code);
 *     metrics_clear(&metrics);
 *
 * The file holds, each with the label command, and replaced by one rename:
 *
 *     modelcar_exit_code, modelcar_end_time_seconds, modelcar_duration_seconds,
 *     modelcar_warnings, and for each phase (label phase) modelcar_phase_bytes,
 *     modelcar_phase_files and modelcar_phase_duration_seconds.
 *
 * Events may come from several threads.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/event.h"

#define METRICS_PHASES_MAX 16 /* of one run; others count into the last */
#define METRICS_NAME_MAX 32

struct metrics_phase {
	char name[METRICS_NAME_MAX];
	uint64_t bytes, files, duration_ms;
};

struct metrics {
	struct oci_observer observer;
	const struct oci_observer *next;
	uint64_t (*clock_ms)(void); /* oci_clock_ms, unless a test says otherwise */
	pthread_mutex_t lock;
	struct metrics_phase phases[METRICS_PHASES_MAX];
	size_t count;
	size_t now;         /* the phase that runs; SIZE_MAX: none */
	uint64_t begin_ms, phase_begin_ms;
	uint64_t warnings;
};

void metrics_init(struct metrics *m, const struct oci_observer *next);
/* Best effort: a run does not fail for its figures. What goes wrong is a warning. */
void metrics_write(struct metrics *m, const char *path, const char *command, int code);
void metrics_clear(struct metrics *m);
