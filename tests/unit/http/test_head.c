#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "http/head.h"

/* Comes in pieces of `step` bytes; how it ends. */
static enum oci_http_head_state feed(struct oci_http_head *head, const char *text, size_t len, size_t step)
{
	enum oci_http_head_state state = OCI_HEAD_PART;

	assert_int_equal(oci_http_head_init(head, NULL), 0);
	for (size_t at = 0; at < len && state == OCI_HEAD_PART; at += step) {
		size_t piece = len - at < step ? len - at : step;

		memcpy(head->text + head->len, text + at, piece);
		head->len += piece;
		state = oci_http_head_parse(head);
	}
	return state;
}

static void is_odd(const char *text, size_t len)
{
	struct oci_http_head head;

	if (feed(&head, text, len, len) != OCI_HEAD_ODD)
		fail_msg("not odd: %.*s", (int)len, text);
	oci_http_head_clear(&head);
}

static void a_head_is_whole_in_pieces_of_any_size(void **state)
{
	static const char text[] = "HTTP/1.1 206 Partial Content\r\ncontent-length: 12345678901\r\nContent-Range:bytes 0-1/2\r\n"
				   "Warning: a\r\nWARNING:  b: c\r\nEmpty:\r\n\r\nbody";
	const size_t end = sizeof text - 1 - strlen("body");

	for (size_t step = 1; step < sizeof text; step++) {
		struct oci_http_head head;

		assert_int_equal(feed(&head, text, sizeof text - 1, step), OCI_HEAD_WHOLE);
		assert_int_equal(head.status, 206);
		assert_true(head.body_bytes == 12345678901);
		assert_int_equal(head.end, end);
		assert_memory_equal(head.text + head.end, "body", head.len - head.end);
		assert_true(head.keeps);
		assert_string_equal(oci_http_head_get(&head, "Content-Range", 0), "bytes 0-1/2");
		assert_string_equal(oci_http_head_get(&head, "Warning", 0), "a");
		assert_string_equal(oci_http_head_get(&head, "Warning", 1), "b: c");
		assert_null(oci_http_head_get(&head, "Warning", 2));
		assert_string_equal(oci_http_head_get(&head, "Empty", 0), "");
		assert_null(oci_http_head_get(&head, "Content", 0));
		assert_null(oci_http_head_get(&head, "body", 0));
		oci_http_head_clear(&head);
	}
}

static void connections_that_end_are_told(void **state)
{
	static const char *const values[] = {"close", "Keep-Alive, close", "upgrade"};

	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		char text[200];
		struct oci_http_head head;

		snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nConnection: %s\r\nContent-Length: 0\r\n\r\n", values[i]);
		assert_int_equal(feed(&head, text, strlen(text), 7), OCI_HEAD_WHOLE);
		assert_false(head.keeps);
		oci_http_head_clear(&head);
	}
}

static void what_is_not_understood_is_odd(void **state)
{
	static const char *const lines[] = {
		"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
		"HTTP/2 200\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 600 No\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 20 OK\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 -20 OK\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: no name\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 1\r\n\r\n",
		"\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
		"\r\n\r\n",
		"SSH-2.0-OpenSSH\r\n\r\n",
	};
	static const char zero[] = "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 1\r\n\r\n";

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		is_odd(lines[i], strlen(lines[i]));
	is_odd(zero, sizeof zero - 1);
}

static void a_head_without_end_is_odd_where_its_room_ends(void **state)
{
	struct oci_http_head head;

	assert_int_equal(oci_http_head_init(&head, NULL), 0);
	memset(head.text, 'a', OCI_HTTP_HEAD_MAX);
	head.len = OCI_HTTP_HEAD_MAX - 1;
	assert_int_equal(oci_http_head_parse(&head), OCI_HEAD_PART);
	head.len++;
	assert_int_equal(oci_http_head_parse(&head), OCI_HEAD_ODD);
	oci_http_head_clear(&head);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_is_whole_in_pieces_of_any_size),
		cmocka_unit_test(connections_that_end_are_told),
		cmocka_unit_test(what_is_not_understood_is_odd),
		cmocka_unit_test(a_head_without_end_is_odd_where_its_room_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
