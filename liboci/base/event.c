#include "base/event.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static void emit(const struct oci_observer *o, const struct oci_event *event)
{
	if (o && o->on_event)
		o->on_event(o->ctx, event);
}

__attribute__((format(printf, 3, 0)))
static void emit_line(const struct oci_observer *o, enum oci_event_kind kind, const char *format,
	va_list args)
{
	char text[1024];

	if (vsnprintf(text, sizeof text, format, args) < 0)
		return;
	emit(o, &(struct oci_event){.kind = kind, .text = text});
}

void oci_event_phase(const struct oci_observer *o, const char *name, uint64_t bytes, uint64_t objects)
{
	emit(o, &(struct oci_event){.kind = OCI_EVENT_PHASE,
			.name = name,
			.bytes = bytes,
			.objects = objects});
}

void oci_event_bytes(const struct oci_observer *o, uint64_t bytes)
{
	emit(o, &(struct oci_event){.kind = OCI_EVENT_BYTES, .bytes = bytes});
}

void oci_event_done(const struct oci_observer *o, const char *name, uint64_t bytes, const char *how)
{
	emit(o, &(struct oci_event){.kind = OCI_EVENT_DONE, .name = name, .text = how, .bytes = bytes});
}

void oci_event_note(const struct oci_observer *o, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	emit_line(o, OCI_EVENT_NOTE, format, args);
	va_end(args);
}

void oci_event_trace(const struct oci_observer *o, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	emit_line(o, OCI_EVENT_TRACE, format, args);
	va_end(args);
}

void oci_event_warn(const struct oci_observer *o, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	emit_line(o, OCI_EVENT_WARN, format, args);
	va_end(args);
}
