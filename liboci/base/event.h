/* event.h - how the library speaks: it calls one observer and never prints
 *
 * The observer is called from worker threads, several at once: it locks for
 * itself, returns soon, and must not call back into the library. All pointers
 * in an event live only during the call. A NULL observer is silence.
 */
#pragma once

#include <stdint.h>

enum oci_event_kind {
	OCI_EVENT_PHASE, /* a phase begins: name, total bytes, total objects */
	OCI_EVENT_BYTES, /* `bytes` more done in this phase */
	OCI_EVENT_DONE,  /* one object done: name, bytes, text = how ("sent", "exists") */
	OCI_EVENT_NOTE,  /* one line worth knowing: text */
	OCI_EVENT_WARN,  /* one line the user should act on: text */
	OCI_EVENT_TRACE, /* one line for who looks for a fault: text */
};

struct oci_event {
	enum oci_event_kind kind;
	const char *name;
	const char *text;
	uint64_t bytes;
	uint64_t objects;
};

struct oci_observer {
	void (*on_event)(void *ctx, const struct oci_event *event);
	void *ctx;
};

void oci_event_phase(const struct oci_observer *o, const char *name, uint64_t bytes, uint64_t objects);
void oci_event_bytes(const struct oci_observer *o, uint64_t bytes);
void oci_event_done(const struct oci_observer *o, const char *name, uint64_t bytes, const char *how);
void oci_event_note(const struct oci_observer *o, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void oci_event_trace(const struct oci_observer *o, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void oci_event_warn(const struct oci_observer *o, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
