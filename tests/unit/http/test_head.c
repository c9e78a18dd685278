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
				   "Warning: a\r\nWARNING:  b: c\r\nEmpty: \t\r\nSpaced: c d \t \r\nLast: e\r\n\r\nbody";
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
		assert_string_equal(oci_http_head_get(&head, "Spaced", 0), "c d");
		assert_string_equal(oci_http_head_get(&head, "Last", 0), "e");
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
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
		"HTTP/1.1 099 No\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 600 No\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 20 OK\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 -20 OK\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
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

static void interim_answers_are_dropped(void **state)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
				   "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok";
	struct oci_http_head head;

	assert_int_equal(feed(&head, text, sizeof text - 1, sizeof text), OCI_HEAD_INTERIM);
	assert_int_equal(head.status, 100);
	oci_http_head_drop(&head);
	assert_int_equal(oci_http_head_parse(&head), OCI_HEAD_INTERIM);
	oci_http_head_drop(&head);
	assert_int_equal(oci_http_head_parse(&head), OCI_HEAD_WHOLE);
	assert_int_equal(head.status, 202);
	assert_null(oci_http_head_get(&head, "Link", 0));
	assert_memory_equal(head.text + head.end, "ok", head.len - head.end);
	oci_http_head_clear(&head);
}

static void the_framing_of_a_body_is_told(void **state)
{
	static const struct {
		const char *text;
		enum oci_http_framing framing;
		uint64_t bytes;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", OCI_BODY_SIZED, 7},
		{"HTTP/1.1 204 No Content\r\n\r\n", OCI_BODY_SIZED, 0},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", OCI_BODY_SIZED, 0},
		{"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", OCI_BODY_SIZED, 0},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", OCI_BODY_CHUNKED, 0},
		{"HTTP/1.1 200 OK\r\n\r\n", OCI_BODY_OPEN, 0},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct oci_http_head head;

		assert_int_equal(feed(&head, cases[i].text, strlen(cases[i].text), 5), OCI_HEAD_WHOLE);
		assert_int_equal(head.framing, cases[i].framing);
		assert_true(head.body_bytes == cases[i].bytes);
		assert_int_equal(head.keeps, cases[i].framing == OCI_BODY_SIZED);
		oci_http_head_clear(&head);
	}
}

static void chunks_become_what_they_hold(void **state)
{
	static const struct {
		const char *text, *body;
		bool whole;
	} cases[] = {
		{"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n", "hello world", true},
		{"0b\r\nhello\r\n wor\r\n0\r\nTrailer: x\r\n\r\n", "hello\r\n wor", true},
		{"A\r\n0123456789\r\n", "0123456789", false},
		{"0\r\n", "", true},
		{"5\r\nhello\r\n6\r\n wor", "hello", false},
		{"5\r\nhello6\r\n world\r\n0\r\n\r\n", "hello", false},
		{"5\r\nhello\r\nx\r\n", "hello", false},
		{"5\r\nhello\r\n\r\n", "hello", false},
		{"fffffffff\r\nhello\r\n", "", false},
		{"-5\r\nhello\r\n", "", false},
		{"5x\r\nhello\r\n", "", false},
		{"5", "", false},
		{"", "", false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[100];
		bool whole;
		size_t len = strlen(cases[i].text);

		memcpy(text, cases[i].text, len);
		assert_int_equal(oci_http_unchunk(text, len, &whole), strlen(cases[i].body));
		assert_memory_equal(text, cases[i].body, strlen(cases[i].body));
		assert_int_equal(whole, cases[i].whole);
	}
}

static void a_body_behind_the_head_is_no_header(void **state)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 32000\r\n\r\n\r\nX: y\r\n";
	const size_t len = sizeof text - 1;
	struct oci_http_head head;

	assert_int_equal(oci_http_head_init(&head, NULL), 0);
	memset(head.text, 'a', OCI_HTTP_HEAD_MAX);
	memcpy(head.text, text, len);
	head.len = OCI_HTTP_HEAD_MAX;
	assert_int_equal(oci_http_head_parse(&head), OCI_HEAD_WHOLE);
	assert_null(oci_http_head_get(&head, "X", 0));
	assert_null(oci_http_head_get(&head, "Transfer-Encoding", 0));
	oci_http_head_clear(&head);
}

static void the_end_of_chunks_is_seen_as_it_comes(void **state)
{
	static const char *const whole[] = {
		"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n",
		"7\r\n0\r\n\r\n??\r\n00\r\nTrailer: x\r\nOther: 0\r\n\r\n",
		"0;last\r\n\r\n",
		"0\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
		size_t len = strlen(whole[i]);

		for (size_t part = 0; part < len; part++)
			assert_false(oci_http_chunks_end(whole[i], part));
		assert_true(oci_http_chunks_end(whole[i], len));
	}
	assert_false(oci_http_chunks_end("ffffffff\r\nhello\r\n0\r\n\r\n", 21));
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
		cmocka_unit_test(interim_answers_are_dropped),
		cmocka_unit_test(the_framing_of_a_body_is_told),
		cmocka_unit_test(chunks_become_what_they_hold),
		cmocka_unit_test(a_body_behind_the_head_is_no_header),
		cmocka_unit_test(the_end_of_chunks_is_seen_as_it_comes),
		cmocka_unit_test(a_head_without_end_is_odd_where_its_room_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
