#include "http/head.h"

#include <ctype.h>
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

/* "HTTP/1.1 206 Partial Content" */
static bool parse_status(struct oci_http_head *head)
{
	const char *digits = head->text + strlen("HTTP/1.1 ");
	uint64_t status;
	char text[4] = "";

	if (strlen(head->text) < strlen(STATUS_LINE) || !oci_str_starts(head->text, "HTTP/1.1 ") ||
		(digits[3] != ' ' && digits[3] != '\0'))
		return false;
	memcpy(text, digits, 3);
	if (!oci_str_u64(text, &status) || status < 100 || status > 599 || status == 101)
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

/* Space behind a value is none of it (RFC 9112 5.1). */
static void cut_space(const char *line, char *end)
{
	while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
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
		cut_space(line, next - 1);
		next++;
		if (strchr(line, '\r') || (line != head->text && !is_field(line)))
			return false;
	}
	end[0] = end[1] = '\0';
	return true;
}

/* RFC 9112 6.3, for answers to anything but HEAD. */
static bool parse_framing(struct oci_http_head *head)
{
	const char *length = oci_http_head_get(head, "Content-Length", 0);
	const char *coding = oci_http_head_get(head, "Transfer-Encoding", 0);

	head->body_bytes = 0;
	head->framing = coding ? OCI_BODY_CHUNKED : length ? OCI_BODY_SIZED : OCI_BODY_OPEN;
	if (coding && (length || strcasecmp(coding, "chunked") != 0 || oci_http_head_get(head, "Transfer-Encoding", 1)))
		return false;
	if (length && (oci_http_head_get(head, "Content-Length", 1) || !oci_str_u64(length, &head->body_bytes)))
		return false;
	if (head->status == 204 || head->status == 304) {
		head->framing = OCI_BODY_SIZED;
		head->body_bytes = 0;
	}
	return true;
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
	if (!split(head) || !parse_status(head))
		return OCI_HEAD_ODD;
	if (head->status < 200)
		return OCI_HEAD_INTERIM;
	if (!parse_framing(head))
		return OCI_HEAD_ODD;
	connection = oci_http_head_get(head, "Connection", 0);
	head->keeps = head->framing == OCI_BODY_SIZED && (!connection || strcasecmp(connection, "keep-alive") == 0);
	return OCI_HEAD_WHOLE;
}

void oci_http_head_drop(struct oci_http_head *head)
{
	head->len -= head->end;
	memmove(head->text, head->text + head->end, head->len);
	head->end = 0;
	head->status = 0;
}

/* Behind the zero bytes that end this one. */
static const char *next_line(const char *line, const char *end)
{
	line += strlen(line);
	while (line < end && !*line)
		line++;
	return line;
}

const char *oci_http_head_get(const struct oci_http_head *head, const char *name, size_t index)
{
	size_t len = strlen(name);
	const char *end = head->text + head->end;

	for (const char *line = next_line(head->text, end); line < end; line = next_line(line, end)) {
		if (strncasecmp(line, name, len) != 0 || line[len] != ':' || index-- > 0)
			continue;
		return line + len + 1 + strspn(line + len + 1, " \t");
	}
	return NULL;
}

/* The size of the chunk that `line` begins; false: none. Extensions are passed over. */
static bool parse_chunk_line(const char *line, const char *end, uint64_t *ret)
{
	size_t digits = 0;

	for (*ret = 0; line + digits < end && isxdigit((unsigned char)line[digits]); digits++) {
		int c = tolower((unsigned char)line[digits]);

		*ret = *ret * 16 + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return digits > 0 && digits <= 8 && (line + digits == end || !isalnum((unsigned char)line[digits]));
}

/* The data of the chunk at `from`, and how much that is; NULL: it is not all there, or none. */
static const char *find_chunk(const char *from, const char *end, uint64_t *size)
{
	const char *eol = memmem(from, (size_t)(end - from), "\r\n", 2);

	return eol && parse_chunk_line(from, eol, size) ? eol + 2 : NULL;
}

size_t oci_http_unchunk(char *data, size_t len, bool *whole)
{
	const char *from = data, *end = data + len;
	size_t done = 0;
	uint64_t size;

	*whole = false;
	while ((from = find_chunk(from, end, &size))) {
		*whole = size == 0;
		if (*whole || size > (uint64_t)(end - from))
			break;
		memmove(data + done, from, size);
		done += size;
		from += size;
		if (end - from < 2 || memcmp(from, "\r\n", 2) != 0)
			break;
		from += 2;
	}
	return done;
}

bool oci_http_chunks_end(const char *data, size_t len)
{
	const char *from = data, *end = data + len, *body;
	uint64_t size;

	while ((body = find_chunk(from, end, &size)) && size > 0) {
		if (size + 2 > (uint64_t)(end - body))
			return false;
		from = body + size + 2;
	}
	/* behind the last one: trailers, each a line, and an empty line */
	return body && ((end - body >= 2 && memcmp(body, "\r\n", 2) == 0) ||
		memmem(body, (size_t)(end - body), "\r\n\r\n", 4));
}
