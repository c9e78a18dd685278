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
#include "core/mediatype.h"
#include "store/registry.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ENTRY(hex, type)                                                                       \
	"{\"mediaType\":\"" OCI_MT_MANIFEST "\",\"digest\":\"sha256:" hex HEX_END "\",\"size\":2," \
	"\"artifactType\":\"" type "\"}"
#define HEX_END "123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define INDEX(entries) "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MT_INDEX "\",\"manifests\":[" entries "]}"

struct page {
	const char *path;   /* what the request line holds */
	const char *status;
	const char *link;   /* a header line, or "" */
	const char *body;
};

/* Answers each request with the first page whose path it holds, else 404. */
struct server {
	int fd;
	pthread_t thread;
	const struct page *pages;
	struct oci_store *store;
	char seen[4096]; /* request lines */
};

static void answer(struct server *s, int fd, const char *request)
{
	const struct page *p = s->pages;
	char text[4096];

	while (p->path && !strstr(request, p->path))
		p++;
	const char *body = p->path ? p->body : "";
	int len = snprintf(text, sizeof text, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
		p->path ? p->status : "404 X", p->path ? p->link : "", strlen(body), body);
	send(fd, text, (size_t)len, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
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
		request[strcspn(request, "\r")] = '\0';
		size_t used = strlen(s->seen);
		snprintf(s->seen + used, sizeof s->seen - used, "%s\n", request);
		answer(s, fd, request);
		while (recv(fd, request, sizeof request, 0) > 0)
			;
	}
	return NULL;
}

static int start(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct oci_store_options options = {0};
	socklen_t len = sizeof at;
	struct server *s = calloc(1, sizeof *s);
	char host[32];

	if (!s)
		return -1;
	*state = s;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(s->fd, 16) < 0 ||
	    getsockname(s->fd, (struct sockaddr *)&at, &len) < 0)
		return -1;
	snprintf(host, sizeof host, "127.0.0.1:%u", ntohs(at.sin_port));
	s->store = oci_store_registry(host, "a/b", OCI_STORE_READ, &options, NULL);
	return s->store ? pthread_create(&s->thread, NULL, serve, s) : -1;
}

static int stop(void **state)
{
	struct server *s = *state;

	oci_store_close(s->store);
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	free(s);
	return 0;
}

static int list(struct server *s, const char *type, struct oci_manifest *ret, struct oci_error *err)
{
	struct oci_digest subject;

	assert_int_equal(oci_digest_parse("sha256:" HEX, &subject, NULL), 0);
	return oci_store_referrers(s->store, &subject, type, ret, err);
}

static void referrers_come_from_all_pages(void **state)
{
	static const struct page pages[] = {
		{"page=2", "200 OK", "", INDEX(ENTRY("2", "b"))},
		{"/v2/a/b/referrers/sha256:" HEX, "200 OK",
			"Link: </v2/a/b/referrers/sha256:" HEX "?page=2>; rel=\"next\"\r\n", INDEX(ENTRY("1", "a"))},
		{0},
	};
	struct server *s = *state;
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest all = {0};

	s->pages = pages;
	assert_int_equal(list(s, NULL, &all, NULL), 0);
	assert_int_equal(all.manifest_count, 2);
	assert_string_equal(all.manifests[1].artifact_type, "b");
}

static void referrers_of_a_type_are_asked_for_and_filtered_here_too(void **state)
{
	static const struct page pages[] = {
		{"/referrers/", "200 OK", "", INDEX(ENTRY("1", "a/x") "," ENTRY("2", "b") "," ENTRY("3", "a/x"))},
		{0},
	};
	struct server *s = *state;
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest some = {0};

	s->pages = pages;
	assert_int_equal(list(s, "a/x", &some, NULL), 0);
	assert_int_equal(some.manifest_count, 2);
	assert_non_null(strstr(s->seen, "?artifactType=a%2Fx "));
}

static void referrers_that_the_registry_does_not_list_are_looked_for_under_a_tag(void **state)
{
	static const struct page pages[] = {
		{"/manifests/sha256-" HEX, "200 OK", "", INDEX(ENTRY("1", "a"))},
		{0},
	};
	struct server *s = *state;
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest found = {0};

	s->pages = pages;
	assert_int_equal(list(s, NULL, &found, NULL), 0);
	assert_int_equal(found.manifest_count, 1);
}

static void referrers_that_nobody_knows_are_none(void **state)
{
	static const struct page pages[] = {{0}};
	struct server *s = *state;
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest found = {0};

	s->pages = pages;
	assert_int_equal(list(s, NULL, &found, NULL), 0);
	assert_int_equal(found.manifest_count, 0);
}

static void referrers_that_are_refused_are_not_none(void **state)
{
	static const struct page pages[] = {{"/referrers/", "403 X", "", ""}, {0}};
	struct server *s = *state;
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest found = {0};
	struct oci_error err = {0};

	s->pages = pages;
	assert_int_equal(list(s, NULL, &found, &err), -1);
	assert_int_equal(err.code, OCI_E_AUTH);
}

static void referrers_pages_that_never_end_or_lead_away_are_refused(void **state)
{
	static const char *const links[] = {
		"Link: </v2/a/b/referrers/sha256:" HEX ">; rel=\"next\"\r\n",
		"Link: <http://127.0.0.2:1/v2/>; rel=\"next\"\r\n"};
	struct server *s = *state;

	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		OCI_CLEANUP(oci_manifest_clear) struct oci_manifest found = {0};
		struct oci_error err = {0};
		struct page pages[] = {{"/referrers/", "200 OK", links[i], INDEX("")}, {0}};
		s->pages = pages;
		assert_int_equal(list(s, NULL, &found, &err), -1);
		assert_int_equal(err.code, OCI_E_FORMAT);
	}
}

#define SERVED(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(referrers_come_from_all_pages),
		SERVED(referrers_of_a_type_are_asked_for_and_filtered_here_too),
		SERVED(referrers_that_the_registry_does_not_list_are_looked_for_under_a_tag),
		SERVED(referrers_that_nobody_knows_are_none),
		SERVED(referrers_that_are_refused_are_not_none),
		SERVED(referrers_pages_that_never_end_or_lead_away_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
