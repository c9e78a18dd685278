#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/event.h"

struct seen {
	unsigned count;
	struct oci_event event;
	char name[32];
	char text[2048];
};

static void keep(void *ctx, const struct oci_event *event)
{
	struct seen *seen = ctx;

	seen->count++;
	seen->event = *event;
	strncpy(seen->name, event->name ? event->name : "-", sizeof seen->name - 1);
	strncpy(seen->text, event->text ? event->text : "-", sizeof seen->text - 1);
}

static void a_phase_has_name_bytes_and_objects(void **state)
{
	struct seen seen = {0};
	struct oci_observer o = {keep, &seen};

	oci_event_phase(&o, "hash", 12, 3);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.event.kind, OCI_EVENT_PHASE);
	assert_string_equal(seen.name, "hash");
	assert_int_equal(seen.event.bytes, 12);
	assert_int_equal(seen.event.objects, 3);
	assert_string_equal(seen.text, "-");
}

static void bytes_are_only_bytes(void **state)
{
	struct seen seen = {0};
	struct oci_observer o = {keep, &seen};

	oci_event_bytes(&o, 1ULL << 40);
	assert_int_equal(seen.event.kind, OCI_EVENT_BYTES);
	assert_int_equal(seen.event.bytes, 1ULL << 40);
	assert_string_equal(seen.name, "-");
}

static void done_says_how(void **state)
{
	struct seen seen = {0};
	struct oci_observer o = {keep, &seen};

	oci_event_done(&o, "a.bin", 5, "exists");
	assert_int_equal(seen.event.kind, OCI_EVENT_DONE);
	assert_string_equal(seen.name, "a.bin");
	assert_int_equal(seen.event.bytes, 5);
	assert_string_equal(seen.text, "exists");
}

static void notes_and_warnings_are_formatted(void **state)
{
	struct seen seen = {0};
	struct oci_observer o = {keep, &seen};

	oci_event_note(&o, "%d of %s", 1, "two");
	assert_int_equal(seen.event.kind, OCI_EVENT_NOTE);
	assert_string_equal(seen.text, "1 of two");
	oci_event_warn(&o, "slow %s", "disk");
	assert_int_equal(seen.event.kind, OCI_EVENT_WARN);
	assert_string_equal(seen.text, "slow disk");
	oci_event_trace(&o, "GET %s", "this");
	assert_int_equal(seen.event.kind, OCI_EVENT_TRACE);
	assert_string_equal(seen.text, "GET this");
	assert_int_equal(seen.count, 3);
}

static void a_long_line_is_cut(void **state)
{
	struct seen seen = {0};
	struct oci_observer o = {keep, &seen};

	oci_event_note(&o, "%2000d", 1);
	assert_int_equal(strlen(seen.text), 1023);
}

static void no_observer_is_silence(void **state)
{
	const struct oci_observer deaf = {0};

	oci_event_phase(NULL, "x", 0, 0);
	oci_event_bytes(NULL, 0);
	oci_event_done(NULL, "x", 0, "x");
	oci_event_note(NULL, "x");
	oci_event_warn(NULL, "x");
	oci_event_phase(&deaf, "x", 0, 0);
	oci_event_note(&deaf, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_phase_has_name_bytes_and_objects),
		cmocka_unit_test(bytes_are_only_bytes),
		cmocka_unit_test(done_says_how),
		cmocka_unit_test(notes_and_warnings_are_formatted),
		cmocka_unit_test(a_long_line_is_cut),
		cmocka_unit_test(no_observer_is_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
