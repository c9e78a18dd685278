#include "ui.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/json.h"

#define LINE_MAX_BYTES ((size_t)256)
#define SHOWN_MAX_BYTES ((size_t)2048) /* of a note, escaped */
#define BAR_WIDTH 20
#define RATE_WINDOW_MS 5000.0 /* what is older hardly counts */

static const uint64_t interval_ms[] = {
	[UI_QUIET] = UINT64_MAX,
	[UI_PLAIN] = 10000,
	[UI_TERMINAL] = 100,
	[UI_JSON] = 1000,
};

struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
};

static void line_add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line_add(struct line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(line->text + line->len, sizeof line->text - line->len, format, args);
	va_end(args);
	if (n > 0)
		line->len += (size_t)n;
	if (line->len >= sizeof line->text)
		line->len = sizeof line->text - 1;
}

static void line_add_amount(struct line *line, const struct ui_phase *p)
{
	char done[OCI_STR_SIZE_MAX], total[OCI_STR_SIZE_MAX];

	oci_str_size(p->done_bytes, done);
	if (p->total_bytes > 0)
		line_add(line, ", %s of %s", done, oci_str_size(p->total_bytes, total));
	else if (p->done_bytes > 0)
		line_add(line, ", %s", done);
}

static void line_add_rate(struct line *line, double bytes_per_second)
{
	char rate[OCI_STR_SIZE_MAX];

	if (bytes_per_second >= 1)
		line_add(line, ", %s/s", oci_str_size((uint64_t)bytes_per_second, rate));
}

static void line_add_files(struct line *line, const struct ui_phase *p)
{
	if (p->total_files > 0)
		line_add(line, ", %" PRIu64 " of %" PRIu64 " files", p->done_files, p->total_files);
}

static void line_add_eta(struct line *line, const struct ui_phase *p)
{
	if (p->bytes_per_second < 1 || p->done_bytes >= p->total_bytes)
		return;
	uint64_t s = (uint64_t)((double)(p->total_bytes - p->done_bytes) / p->bytes_per_second) + 1;
	if (s >= 3600)
		line_add(line, ", ETA %" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60, s % 60);
	else
		line_add(line, ", ETA %" PRIu64 ":%02" PRIu64, s / 60, s % 60);
}

static double share_done(const struct ui_phase *p)
{
	double share = p->total_bytes > 0 ? (double)p->done_bytes / (double)p->total_bytes : 0;
	return share > 1 ? 1 : share;
}

static void line_add_bar(struct line *line, const struct ui_phase *p)
{
	char bar[BAR_WIDTH + 1];
	int filled = (int)(share_done(p) * BAR_WIDTH);

	for (int i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[BAR_WIDTH] = '\0';
	line_add(line, " [%s] %3d %%", bar, (int)(share_done(p) * 100));
}

static size_t terminal_columns(FILE *out)
{
	struct winsize size = {0};

	if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

static void clear_line(struct ui *ui)
{
	if (ui->line_shown)
		fputs("\r\033[K", ui->out);
	ui->line_shown = false;
}

static void draw_terminal(struct ui *ui)
{
	struct line line = {.len = 0};
	size_t columns = terminal_columns(ui->out);

	line_add(&line, "%s", ui->phase.name);
	if (ui->phase.total_bytes > 0)
		line_add_bar(&line, &ui->phase);
	line_add_amount(&line, &ui->phase);
	line_add_rate(&line, ui->phase.bytes_per_second);
	line_add_eta(&line, &ui->phase);
	line_add_files(&line, &ui->phase);
	/* The last column stays free: some terminals wrap when it is written. */
	if (line.len >= columns)
		line.text[columns - 1] = '\0';
	fprintf(ui->out, "\r%s\033[K", line.text);
	ui->line_shown = true;
}

static void draw_plain(struct ui *ui)
{
	struct line line = {.len = 0};

	line_add(&line, "%s", ui->phase.name);
	if (ui->phase.total_bytes > 0)
		line_add(&line, ": %d %%", (int)(share_done(&ui->phase) * 100));
	line_add_amount(&line, &ui->phase);
	line_add_rate(&line, ui->phase.bytes_per_second);
	line_add_eta(&line, &ui->phase);
	line_add_files(&line, &ui->phase);
	fprintf(ui->out, "%s\n", line.text);
}

static void draw_json(struct ui *ui)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	const struct ui_phase *p = &ui->phase;
	struct oci_json_writer w;

	oci_buf_init(&buf, OCI_KIB);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "phase", p->name);
	oci_json_put_u64(&w, "totalBytes", p->total_bytes);
	oci_json_put_u64(&w, "completedBytes", p->done_bytes);
	oci_json_put_u64(&w, "totalFiles", p->total_files);
	oci_json_put_u64(&w, "completedFiles", p->done_files);
	oci_json_put_u64(&w, "bytesPerSecond", (uint64_t)p->bytes_per_second);
	oci_json_close(&w);
	if (oci_json_end(&w, NULL) == 0)
		fprintf(ui->out, "%s\n", oci_buf_text(&buf));
}

/* An average that forgets: the longer since the last look, the more the new counts. */
static void sample_rate(struct ui_phase *p, uint64_t now)
{
	double passed = (double)(now - p->sampled_ms);

	if (passed <= 0)
		return;
	double fresh = (double)(p->done_bytes - p->sampled_bytes) * 1000 / passed;
	bool first = p->sampled_ms == p->begin_ms;
	double weight = first ? 1 : passed / (passed + RATE_WINDOW_MS);
	p->bytes_per_second += weight * (fresh - p->bytes_per_second);
	p->sampled_bytes = p->done_bytes;
	p->sampled_ms = now;
}

static void draw(struct ui *ui, uint64_t now)
{
	sample_rate(&ui->phase, now);
	ui->phase.shown_ms = now;
	if (ui->mode == UI_TERMINAL)
		draw_terminal(ui);
	else if (ui->mode == UI_PLAIN)
		draw_plain(ui);
	else if (ui->mode == UI_JSON)
		draw_json(ui);
	fflush(ui->out);
}

static void draw_when_due(struct ui *ui)
{
	uint64_t now = ui->clock_ms();

	if (ui->phase.name[0] && now - ui->phase.shown_ms >= interval_ms[ui->mode])
		draw(ui, now);
}

static void summarize(struct ui *ui, uint64_t now)
{
	const struct ui_phase *p = &ui->phase;
	uint64_t ms = now - p->begin_ms;
	struct line line = {.len = 0};
	char size[OCI_STR_SIZE_MAX];

	line_add(&line, "%s: %s in %" PRIu64 ".%" PRIu64 " s", p->name, oci_str_size(p->done_bytes, size),
		ms / 1000, ms % 1000 / 100);
	line_add_rate(&line, ms > 0 ? (double)p->done_bytes * 1000 / (double)ms : 0);
	line_add_files(&line, p);
	fprintf(ui->out, "%s\n", line.text);
}

/* What was moved, and no word on success: that is not known here. */
static void end_phase(struct ui *ui)
{
	uint64_t now = ui->clock_ms();

	if (!ui->phase.name[0])
		return;
	if (ui->mode == UI_PLAIN && ui->phase.done_bytes > 0)
		summarize(ui, now);
	else if (ui->mode == UI_JSON)
		draw(ui, now);
	clear_line(ui);
	ui->phase.name[0] = '\0';
}

static void begin_phase(struct ui *ui, const struct oci_event *event)
{
	uint64_t now = ui->clock_ms();
	struct ui_phase *p = &ui->phase;
	char size[OCI_STR_SIZE_MAX];

	end_phase(ui);
	*p = (struct ui_phase){
		.total_bytes = event->bytes,
		.total_files = event->objects,
		.begin_ms = now,
		.shown_ms = now,
		.sampled_ms = now,
	};
	snprintf(p->name, sizeof p->name, "%s", event->name ? event->name : "work");
	if (ui->mode != UI_PLAIN) {
		draw(ui, now);
		return;
	}
	fputs(p->name, ui->out);
	if (p->total_bytes > 0)
		fprintf(ui->out, ": %s", oci_str_size(p->total_bytes, size));
	if (p->total_files > 0)
		fprintf(ui->out, "%s%" PRIu64 " file%s", p->total_bytes > 0 ? " in " : ": ", p->total_files,
			p->total_files == 1 ? "" : "s");
	fputc('\n', ui->out);
	fflush(ui->out);
}

static void print_line_json(struct ui *ui, const char *key, const char *text)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, 8 * OCI_KIB);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, key, text);
	oci_json_close(&w);
	if (oci_json_end(&w, NULL) == 0)
		fprintf(ui->out, "%s\n", oci_buf_text(&buf));
}

/* `key` in JSON, `label` before the text elsewhere. */
static void print_line(struct ui *ui, const char *key, const char *label, const char *text)
{
	bool redraw = ui->line_shown;
	char line[SHOWN_MAX_BYTES];

	oci_str_escape_to(text, line, sizeof line);
	clear_line(ui);
	if (ui->mode == UI_JSON)
		print_line_json(ui, key, line);
	else
		fprintf(ui->out, "%s%s\n", label, line);
	if (redraw)
		draw_terminal(ui);
	fflush(ui->out);
}

static void on_event(void *ctx, const struct oci_event *event)
{
	struct ui *ui = ctx;

	pthread_mutex_lock(&ui->lock);
	switch (event->kind) {
	case OCI_EVENT_PHASE:
		begin_phase(ui, event);
		break;
	case OCI_EVENT_BYTES:
		ui->phase.done_bytes += event->bytes;
		draw_when_due(ui);
		break;
	case OCI_EVENT_DONE:
		ui->phase.done_files++;
		draw_when_due(ui);
		break;
	case OCI_EVENT_NOTE:
		oci_str_escape_to(event->text, ui->last_note, sizeof ui->last_note);
		if (ui->mode != UI_QUIET)
			print_line(ui, "note", "", event->text);
		break;
	case OCI_EVENT_WARN:
		print_line(ui, "warning", "warning: ", event->text);
		break;
	case OCI_EVENT_TRACE:
		if (ui->trace)
			print_line(ui, "trace", "trace: ", event->text);
		break;
	}
	pthread_mutex_unlock(&ui->lock);
}

enum ui_mode ui_mode_for(FILE *out, enum ui_progress progress, bool json, bool quiet)
{
	const char *term = getenv("TERM");

	if (quiet || progress == UI_PROGRESS_NONE)
		return UI_QUIET;
	if (progress == UI_PROGRESS_PLAIN)
		return UI_PLAIN;
	if (progress == UI_PROGRESS_JSON || json)
		return UI_JSON;
	if (!isatty(fileno(out)) || !term || strcmp(term, "dumb") == 0)
		return UI_PLAIN;
	return UI_TERMINAL;
}

void ui_init(struct ui *ui, FILE *out, enum ui_mode mode)
{
	*ui = (struct ui){
		.observer = {.on_event = on_event, .ctx = ui},
		.out = out,
		.mode = mode,
		.clock_ms = oci_clock_ms,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
}

void ui_finish(struct ui *ui)
{
	end_phase(ui);
	fflush(ui->out);
	pthread_mutex_destroy(&ui->lock);
}
