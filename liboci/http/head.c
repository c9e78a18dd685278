#include "http/head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

#define STATUS_LINE "HTTP/1.1 200"

int oci_http_head_init(struct oci_http_head *head, struct oci_error *err)
{
	*head = (struct oci_http_head){.text = malloc(OCI_HTTP_HEAD_MAX)};
	return head->text ? 0 : oci_fail_nomem(err);
}

void oci_http_head_clear(struct oci_http_head *head)
{
	free(head->text);
	*head = (struct oci_http_head){0};
}

/* "HTTP/1.1 206 Partial Content": a final status that has a body. */
static bool parse_status(struct oci_http_head *head)
{
	const char *digits = head->text + strlen("HTTP/1.1 ");
	uint64_t status;
	char text[4] = "";

	if (strlen(head->text) < strlen(STATUS_LINE) || !oci_str_starts(head->text, "HTTP/1.1 ") ||
		(digits[3] != ' ' && digits[3] != '\0'))
		return false;
	memcpy(text, digits, 3);
	if (!oci_str_u64(text, &status) || status < 200 || status > 599 || status == 204 || status == 304)
		return false;
	head->status = (int)status;
	return true;
}

/* A token, a colon, a value. */
static bool is_field(const char *line)
{
	size_t name = strcspn(line, ": \t");

	return name > 0 && line[name] == ':';
}

/* The line ends become zero bytes: no bare ones, none empty, no zero bytes before. */
static bool split(struct oci_http_head *head)
{
	char *end = head->text + head->end - 2;

	if (memchr(head->text, '\0', head->end))
		return false;
	for (char *line = head->text, *next; line < end; line = next) {
		next = memchr(line, '\n', (size_t)(end - line));
		if (!next || next == line || next[-1] != '\r')
			return false;
		next[-1] = *next = '\0';
		next++;
		if (strchr(line, '\r') || (line != head->text && !is_field(line)))
			return false;
	}
	*end = '\0';
	return true;
}

static bool parse_length(struct oci_http_head *head)
{
	const char *length = oci_http_head_get(head, "Content-Length", 0);

	return length && !oci_http_head_get(head, "Content-Length", 1) && !oci_http_head_get(head, "Transfer-Encoding", 0) &&
		oci_str_u64(length, &head->body_bytes);
}

enum oci_http_head_state oci_http_head_parse(struct oci_http_head *head)
{
	const char *blank = memmem(head->text, head->len, "\r\n\r\n", 4);
	const char *connection;

	if (!blank && head->len < OCI_HTTP_HEAD_MAX)
		return OCI_HEAD_PART;
	if (!blank)
		return OCI_HEAD_ODD;
	head->end = (size_t)(blank - head->text) + 4;
	if (!split(head) || !parse_status(head) || !parse_length(head))
		return OCI_HEAD_ODD;
	connection = oci_http_head_get(head, "Connection", 0);
	head->keeps = !connection || strcasecmp(connection, "keep-alive") == 0;
	return OCI_HEAD_WHOLE;
}

const char *oci_http_head_get(const struct oci_http_head *head, const char *name, size_t index)
{
	size_t len = strlen(name);
	const char *line = head->text + strlen(head->text) + 2;

	for (; line < head->text + head->end && *line; line += strlen(line) + 2) {
		if (strncasecmp(line, name, len) != 0 || line[len] != ':' || index-- > 0)
			continue;
		return line + len + 1 + strspn(line + len + 1, " \t");
	}
	return NULL;
}
