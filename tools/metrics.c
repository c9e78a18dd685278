#include "metrics.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "common.h"

#define NONE SIZE_MAX

static void end_phase(struct metrics *m)
{
	if (m->now != NONE)
		m->phases[m->now].duration_ms += m->clock_ms() - m->phase_begin_ms;
	m->now = NONE;
}

/* A phase that comes again, as for each of many models, is one. */
static void begin_phase(struct metrics *m, const char *name)
{
	size_t i = 0;

	end_phase(m);
	while (i < m->count && strncmp(m->phases[i].name, name, METRICS_NAME_MAX - 1) != 0)
		i++;
	if (i == METRICS_PHASES_MAX)
		i--;
	if (i == m->count) {
		snprintf(m->phases[i].name, METRICS_NAME_MAX, "%s", name);
		m->count++;
	}
	m->now = i;
	m->phase_begin_ms = m->clock_ms();
}

static void take(struct metrics *m, const struct oci_event *event)
{
	struct metrics_phase *phase = m->now == NONE ? NULL : &m->phases[m->now];

	switch (event->kind) {
	case OCI_EVENT_PHASE:
		begin_phase(m, event->name ? event->name : "work");
		break;
	case OCI_EVENT_BYTES:
		if (phase)
			phase->bytes += event->bytes;
		break;
	case OCI_EVENT_DONE:
		if (phase)
			phase->files++;
		break;
	case OCI_EVENT_WARN:
		m->warnings++;
		break;
	default:
		break;
	}
}

static void on_event(void *ctx, const struct oci_event *event)
{
	struct metrics *m = ctx;

	pthread_mutex_lock(&m->lock);
	take(m, event);
	pthread_mutex_unlock(&m->lock);
	m->next->on_event(m->next->ctx, event);
}

void metrics_init(struct metrics *m, const struct oci_observer *next)
{
	*m = (struct metrics){
		.observer = {.on_event = on_event, .ctx = m},
		.next = next,
		.clock_ms = oci_clock_ms,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.now = NONE,
	};
	m->begin_ms = m->clock_ms();
}

void metrics_clear(struct metrics *m)
{
	pthread_mutex_destroy(&m->lock);
}

static int put_head(struct oci_buf *out, const char *name, const char *help, struct oci_error *err)
{
	return oci_buf_printf(out, err, "# HELP modelcar_%s %s\n# TYPE modelcar_%s gauge\n", name, help, name);
}

static int put_figure(struct oci_buf *out, const char *name, const char *help, const char *command, double value,
	struct oci_error *err)
{
	if (put_head(out, name, help, err) < 0)
		return -1;
	return oci_buf_printf(out, err, "modelcar_%s{command=\"%s\"} %.16g\n", name, command, value);
}

static int put_phases(const struct metrics *m, struct oci_buf *out, const char *command, struct oci_error *err)
{
	static const struct {
		const char *name, *help;
	} figures[] = {{"phase_bytes", "Bytes that the phase moved."}, {"phase_files", "Objects that the phase finished."},
		{"phase_duration_seconds", "How long the phase took."}};

	for (size_t f = 0; f < sizeof figures / sizeof *figures && m->count > 0; f++) {
		if (put_head(out, figures[f].name, figures[f].help, err) < 0)
			return -1;
		for (size_t i = 0; i < m->count; i++) {
			const struct metrics_phase *p = &m->phases[i];
			double value = f == 0 ? (double)p->bytes : f == 1 ? (double)p->files : (double)p->duration_ms / 1000;

			if (oci_buf_printf(out, err, "modelcar_%s{command=\"%s\",phase=\"%s\"} %.16g\n", figures[f].name, command,
				    p->name, value) < 0)
				return -1;
		}
	}
	return 0;
}

static int format(const struct metrics *m, struct oci_buf *out, const char *command, int code, struct oci_error *err)
{
	if (put_figure(out, "exit_code", "Exit status of the last run, 0 for success.", command, code, err) < 0 ||
		put_figure(out, "end_time_seconds", "When the last run ended, in seconds since 1970.", command,
			(double)time(NULL), err) < 0 ||
		put_figure(out, "duration_seconds", "How long the last run took.", command,
			(double)(m->clock_ms() - m->begin_ms) / 1000, err) < 0 ||
		put_figure(out, "warnings", "Warnings of the last run.", command, (double)m->warnings, err) < 0)
		return -1;
	return put_phases(m, out, command, err);
}

void metrics_write(struct metrics *m, const char *path, const char *command, int code)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	struct oci_error err = {0};

	oci_buf_init(&text, 64 * OCI_KIB);
	end_phase(m);
	if (format(m, &text, command, code, &err) < 0 || common_write_file(path, &text, &err) < 0)
		oci_event_warn(m->next, "the figures of this run are not in '%s': %s", path, err.text);
}
