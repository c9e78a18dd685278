#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "http/client.h"
#include "http/reader.h"

#define BLOB_BYTES 300000

/* A server of one blob that misbehaves as told; one request a connection. */
struct server {
	int fd;
	uint16_t port;
	pthread_t thread;
	unsigned char blob[BLOB_BYTES];

	size_t cut_after;      /* body bytes of each answer, 0: all */
	bool no_ranges;        /* 200 whatever is asked */
	bool wrong_range;      /* Content-Range off by one */
	int first_status;      /* of the first answer, 0: none special */
	unsigned requests;     /* seen */
	unsigned with_range;
};

static void send_all(int fd, const void *data, size_t len)
{
	const char *bytes = data;
	while (len > 0) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

static void answer(struct server *s, int fd, const char *request)
{
	size_t first = 0, last = BLOB_BYTES - 1;
	const char *range = strstr(request, "Range: bytes=");
	char head[256], partial[96] = "";

	s->requests++;
	s->with_range += range != NULL;
	if (s->first_status && s->requests == 1) {
		snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
			s->first_status);
		send_all(fd, head, strlen(head));
		return;
	}
	if (range && !s->no_ranges && sscanf(range, "Range: bytes=%zu-%zu", &first, &last) == 2)
		snprintf(partial, sizeof partial, "Content-Range: bytes %zu-%zu/%d\r\n", first + s->wrong_range, last,
			BLOB_BYTES);
	size_t len = last - first + 1;
	snprintf(head, sizeof head, "HTTP/1.1 %s X\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n",
		*partial ? "206" : "200", len, partial);
	send_all(fd, head, strlen(head));
	send_all(fd, s->blob + first, s->cut_after && s->cut_after < len ? s->cut_after : len);
}

static void *serve(void *ctx)
{
	struct server *s = ctx;

	for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0; close(fd)) {
		char request[4096] = "";
		size_t len = 0;
		ssize_t n;
		while (!strstr(request, "\r\n\r\n") && len < sizeof request - 1 &&
			(n = recv(fd, request + len, sizeof request - 1 - len, 0)) > 0)
			len += (size_t)n;
		answer(s, fd, request);
		/* what is unsent is sent before the end, whatever the peer still says */
		shutdown(fd, SHUT_WR);
		while (recv(fd, request, sizeof request, 0) > 0)
			;
	}
	return NULL;
}

static int start(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	struct server *s = calloc(1, sizeof *s);

	if (!s)
		return -1;
	for (size_t i = 0; i < BLOB_BYTES; i++)
		s->blob[i] = (unsigned char)(i * 2654435761U >> 16);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(s->fd, 16) < 0 ||
	    getsockname(s->fd, (struct sockaddr *)&at, &len) < 0)
		return -1;
	s->port = ntohs(at.sin_port);
	*state = s;
	return pthread_create(&s->thread, NULL, serve, s);
}

static int stop(void **state)
{
	struct server *s = *state;

	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	free(s);
	return 0;
}

/* Read a range in odd pieces into `out`; the count or -1. */
static ssize_t read_range(struct server *s, uint64_t offset, uint64_t length, unsigned char *out,
	struct oci_error *err)
{
	oci_autofree char *host = oci_str_printf("127.0.0.1:%u", s->port);
	oci_autofree char *url = oci_str_printf("http://%s/v2/a/blobs/b?x=SECRET", host);
	struct oci_http_options options = {.host = host, .credentials_for = host};
	struct oci_http_blob blob = {.url = url, .size_bytes = BLOB_BYTES};

	struct oci_http *http = oci_http_new(&options, err);
	assert_non_null(http);
	struct oci_reader *reader = oci_http_reader_open(http, &blob, offset, length, err);
	assert_non_null(reader);
	size_t got = 0;
	ssize_t n;
	while ((n = oci_reader_read(reader, out + got, got % 7777 + 1000, err)) > 0)
		got += (size_t)n;
	oci_reader_close(reader);
	oci_http_free(http);
	return n < 0 ? -1 : (ssize_t)got;
}

static void assert_reads(struct server *s, uint64_t offset, uint64_t length)
{
	oci_autofree unsigned char *out = calloc(1, BLOB_BYTES + 16384);
	struct oci_error err = {0};

	assert_non_null(out);
	ssize_t got = read_range(s, offset, length, out, &err);
	if (got < 0)
		fail_msg("%s", err.text);
	assert_int_equal(got, length);
	assert_memory_equal(out, s->blob + offset, length);
}

static void assert_fails(struct server *s, uint64_t offset, uint64_t length, enum oci_errc code)
{
	oci_autofree unsigned char *out = calloc(1, BLOB_BYTES + 16384);
	struct oci_error err = {0};

	assert_non_null(out);
	assert_int_equal(read_range(s, offset, length, out, &err), -1);
	assert_int_equal(err.code, code);
	assert_null(strstr(err.text, "SECRET"));
}

static void reader_reads_the_whole_without_a_range(void **state)
{
	struct server *s = *state;
	assert_reads(s, 0, BLOB_BYTES);
	assert_int_equal(s->requests, 1);
	assert_int_equal(s->with_range, 0);
}

static void reader_reads_a_range(void **state)
{
	struct server *s = *state;
	assert_reads(s, 1234, 56789);
	assert_int_equal(s->with_range, 1);
}

static void reader_of_nothing_asks_nothing(void **state)
{
	struct server *s = *state;
	assert_reads(s, 77, 0);
	assert_int_equal(s->requests, 0);
}

static void reader_goes_on_after_every_cut(void **state)
{
	struct server *s = *state;
	s->cut_after = 40001;
	assert_reads(s, 0, BLOB_BYTES);
	assert_int_equal(s->requests, 8);
	assert_int_equal(s->with_range, 7);
}

static void reader_goes_on_in_a_range(void **state)
{
	struct server *s = *state;
	s->cut_after = 30000;
	assert_reads(s, 100, 100000);
	assert_int_equal(s->requests, 4);
}

static void reader_asks_again_after_a_server_error(void **state)
{
	struct server *s = *state;
	s->first_status = 503;
	assert_reads(s, 0, BLOB_BYTES);
	assert_int_equal(s->requests, 2);
}

static void reader_asks_again_for_a_range_that_was_refused(void **state)
{
	struct server *s = *state;
	s->first_status = 416;
	assert_reads(s, 5, 1000);
	assert_int_equal(s->requests, 2);
}

static void reader_does_not_ask_again_for_what_is_not_there(void **state)
{
	struct server *s = *state;
	s->first_status = 404;
	assert_fails(s, 0, BLOB_BYTES, OCI_E_NOT_FOUND);
	assert_int_equal(s->requests, 1);
}

static void reader_never_takes_a_whole_for_a_range(void **state)
{
	struct server *s = *state;
	s->no_ranges = true;
	assert_fails(s, 5, 1000, OCI_E_UNSUPPORTED);
}

static void reader_never_takes_another_range(void **state)
{
	struct server *s = *state;
	s->wrong_range = true;
	assert_fails(s, 5, 1000, OCI_E_NETWORK);
	assert_int_equal(s->requests, 5);
}

#define reader_test(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		reader_test(reader_reads_the_whole_without_a_range),
		reader_test(reader_reads_a_range),
		reader_test(reader_of_nothing_asks_nothing),
		reader_test(reader_goes_on_after_every_cut),
		reader_test(reader_goes_on_in_a_range),
		reader_test(reader_asks_again_after_a_server_error),
		reader_test(reader_asks_again_for_a_range_that_was_refused),
		reader_test(reader_does_not_ask_again_for_what_is_not_there),
		reader_test(reader_never_takes_a_whole_for_a_range),
		reader_test(reader_never_takes_another_range),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
