/* The body of a request, from where it lies; and answers that do not say how long they are. */
#include "http/direct.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/clock.h"

#define TLS_PIECE (64 * OCI_KIB)   /* goes as a whole or not at all: its progress would not be seen */
#define FILE_PIECE OCI_MIB
#define COPIED_PIECE (64 * OCI_KIB)
#define RATED_PIECE (16 * OCI_KIB) /* where the rate is limited */

static size_t piece_size(const struct oci_http_exchange *x)
{
	size_t max = x->url.tls ? TLS_PIECE : x->out_file ? FILE_PIECE : x->out_len;

	if (oci_rate_limits(x->http->rate))
		max = RATED_PIECE;
	return x->out_len < max ? x->out_len : max;
}

static CURLcode fail_reading(struct oci_http_file *file, ssize_t n)
{
	file->failed = n < 0 ? errno : ENODATA;
	return CURLE_READ_ERROR;
}

/* sendfile() does not say which side failed, nor does every file system know it. */
static CURLcode look_into(struct oci_http_file *file, int sys)
{
	unsigned char byte;
	ssize_t n = pread(file->fd, &byte, 1, (off_t)file->offset);

	if (n <= 0)
		return fail_reading(file, n);
	file->copies = sys == EINVAL || sys == ENOSYS || sys == EOPNOTSUPP;
	return file->copies ? CURLE_AGAIN : CURLE_SEND_ERROR;
}

static CURLcode send_copy(struct oci_http_exchange *x, size_t size, size_t *sent)
{
	struct oci_http_file *file = x->out_file;
	unsigned char piece[COPIED_PIECE];
	ssize_t n = pread(file->fd, piece, size < sizeof piece ? size : sizeof piece, (off_t)file->offset);

	return n <= 0 ? fail_reading(file, n) : curl_easy_send(x->link->easy, piece, (size_t)n, sent);
}

static CURLcode send_from_file(struct oci_http_exchange *x, size_t size, size_t *sent)
{
	struct oci_http_file *file = x->out_file;
	off_t offset = (off_t)file->offset;
	CURLcode code = CURLE_OK;
	ssize_t n;

	if (file->copies) {
		code = send_copy(x, size, sent);
	} else {
		n = sendfile(x->link->socket, file->fd, &offset, size);
		if (n == 0)
			return fail_reading(file, n);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? CURLE_AGAIN : look_into(file, errno);
		*sent = (size_t)n;
	}
	file->offset += *sent;
	return code;
}

static int fail_file(const struct oci_http_file *file, struct oci_error *err)
{
	if (file->failed == ENODATA)
		oci_fail(err, OCI_E_DIGEST, "content ends after %" PRIu64 " bytes", file->offset);
	else
		oci_fail_sys(err, file->failed, OCI_E_IO, "read what is to be sent");
	return oci_fail_side(err, OCI_SIDE_SOURCE);
}

/* Who refuses a stream answers and closes: the answer may be there still. */
static int refused_or_cut(struct oci_http_exchange *x, CURLcode code, struct oci_error *err)
{
	struct oci_error now = {0};

	while (!x->headers_in && oci_http_direct_listen(x, &now) == 0)
		if (!x->headers_in && !(oci_http_direct_wait(x, POLLIN, 0) & POLLIN))
			break;
	return x->headers_in ? 0 : oci_http_exchange_failed(x, code, err);
}

static int send_some(struct oci_http_exchange *x, struct oci_error *err)
{
	size_t size = piece_size(x), sent = 0;
	CURLcode code = x->out_file ? send_from_file(x, size, &sent) : curl_easy_send(x->link->easy, x->out, size, &sent);

	if (code == CURLE_READ_ERROR)
		return fail_file(x->out_file, err);
	if (code != CURLE_OK && code != CURLE_AGAIN)
		return refused_or_cut(x, code, err);
	oci_rate_spend(x->http->rate, sent);
	x->out = x->out_file ? NULL : x->out + sent;
	x->out_len -= sent;
	x->streamed += sent;
	if (x->streamed == x->stream_bytes)
		x->phase = OCI_DIRECT_LISTENS;
	return 0;
}

int oci_http_direct_send(struct oci_http_exchange *x, struct oci_error *err)
{
	short ready;

	if (x->out_len == 0 || oci_http_exchange_rests(x))
		return 0;
	ready = oci_http_direct_wait(x, POLLIN | POLLOUT, OCI_HTTP_POLL_MS);
	if (ready & POLLIN && oci_http_direct_listen(x, err) < 0)
		return -1;
	if (x->phase == OCI_DIRECT_SENDS && ready & ~POLLIN && send_some(x, err) < 0)
		return -1;
	return oci_http_exchange_progress(x, err) < 0 ? -1 : 0;
}

/* Its last chunk, or the end of the connection, or of the room for it. */
static void end_gathering(struct oci_http_exchange *x)
{
	struct oci_http_head *head = &x->head;
	size_t len = head->len - head->end;
	bool whole;

	if (head->framing == OCI_BODY_CHUNKED)
		len = oci_http_unchunk(head->text + head->end, len, &whole);
	head->len = head->end + len;
	x->phase = OCI_DIRECT_READS;
	x->body_left = len;
	x->done = len == 0;
}

/* Answers to streams are small: they are gathered behind their head. */
int oci_http_direct_gather(struct oci_http_exchange *x, struct oci_error *err)
{
	struct oci_http_head *head = &x->head;
	size_t got = 0;
	bool ends = head->framing == OCI_BODY_CHUNKED && oci_http_chunks_end(head->text + head->end, head->len - head->end);
	CURLcode code;

	if (ends || head->len == OCI_HTTP_HEAD_MAX) {
		end_gathering(x);
		return 0;
	}
	code = curl_easy_recv(x->link->easy, head->text + head->len, OCI_HTTP_HEAD_MAX - head->len, &got);
	if (code != CURLE_AGAIN && (code != CURLE_OK || got == 0)) {
		end_gathering(x);
		return 0;
	}
	head->len += got;
	x->received += got;
	if (got == 0)
		oci_http_direct_wait(x, POLLIN, OCI_HTTP_POLL_MS);
	return oci_http_exchange_progress(x, err) < 0 ? -1 : 0;
}
