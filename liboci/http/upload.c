#include "http/upload.h"

#include "base/cleanup.h"
#include "http/exchange.h"
#include "http/retry.h"

struct oci_http_upload {
	struct oci_http_request request;
	struct oci_http_exchange x;
	struct oci_http_response answer;
	uint64_t left; /* of the body, not handed over yet */
	bool answer_read;
};

void oci_http_upload_abort(struct oci_http_upload *up)
{
	if (!up)
		return;
	oci_http_exchange_end(&up->x);
	oci_url_clear(&up->x.url);
	oci_http_response_clear(&up->answer);
	free(up);
}

static void reset(struct oci_http_upload *up, uint64_t size_bytes, unsigned attempt)
{
	oci_http_exchange_end(&up->x);
	oci_url_clear(&up->x.url);
	up->x = (struct oci_http_exchange){
		.on_body = oci_http_response_take, .ctx = &up->answer, .stream_bytes = size_bytes, .attempt = attempt,
	};
}

struct oci_http_upload *oci_http_upload_start(struct oci_http *http,
	const struct oci_http_request *request, uint64_t size_bytes, struct oci_error *err)
{
	struct oci_http_upload *up = calloc(1, sizeof *up);

	if (!up) {
		oci_fail_nomem(err);
		return NULL;
	}
	oci_http_response_init(&up->answer, OCI_HTTP_ERROR_BODY_MAX);
	up->request = *request;
	up->request.body = NULL;
	up->request.direct = true;
	up->left = size_bytes;
	for (unsigned attempt = 0;; attempt++) {
		struct oci_error now = {0};
		reset(up, size_bytes, attempt);
		if (oci_http_open(http, &up->request, &up->x, &now) == 0)
			return up;
		bool again = oci_retry_failure(&now) && attempt + 1 < OCI_RETRY_TRIES;
		if (again && oci_retry_wait(attempt, 0, http->cancel, err) == 0)
			continue;
		if (err && !err->code)
			*err = now;
		oci_http_upload_abort(up);
		return NULL;
	}
}

bool oci_http_upload_refused(const struct oci_http_upload *up)
{
	return up->x.headers_in || up->x.done;
}

/* The rest of the answer, to its end. */
static int read_answer(struct oci_http_upload *up, struct oci_error *err)
{
	if (up->answer_read)
		return 0;
	while (!up->x.headers_in && !up->x.done)
		if (oci_http_exchange_step(&up->x, err) < 0)
			return -1;
	if (oci_http_response_read(&up->answer, &up->x, err) < 0 || oci_http_exchange_resume(&up->x, err) < 0)
		return -1;
	while (!up->x.done)
		if (oci_http_exchange_step(&up->x, err) < 0)
			return -1;
	up->answer_read = true;
	return 0;
}

/* Whoever is content already has something else in mind than this body. */
static int check_early(const struct oci_http_upload *up, struct oci_error *err)
{
	if (up->left == 0 || up->answer.status >= 300)
		return 0;
	return oci_http_fail(&up->request, err, OCI_E_NETWORK, "status %d before all was sent", up->answer.status);
}

/* An answer in mid stream is a failure. */
static int fail_early(struct oci_http_upload *up, struct oci_error *err)
{
	up->x.out_len = 0;
	if (read_answer(up, err) < 0 || check_early(up, err) < 0)
		return -1;
	if (oci_http_expect(&up->request, &up->answer, 0, err) < 0)
		return oci_wrap(err, "in mid upload");
	return -1;
}

static int send_out(struct oci_http_upload *up, size_t len, struct oci_error *err)
{
	up->x.out_len = len;
	if (up->x.out_len > 0 && oci_http_exchange_resume(&up->x, err) < 0)
		return -1;
	up->x.flowing = false; /* an answer's body waits for read_answer() */
	while (up->x.out_len > 0 && !oci_http_upload_refused(up))
		if (oci_http_exchange_step(&up->x, err) < 0)
			return -1;
	if (up->x.out_len > 0)
		return fail_early(up, err);
	up->left -= len;
	return 0;
}

int oci_http_upload_write(struct oci_http_upload *up, const void *data, size_t len, struct oci_error *err)
{
	up->x.out = data;
	return send_out(up, len, err);
}

bool oci_http_upload_takes_file(const struct oci_http_upload *up)
{
	return up->x.phase != OCI_DIRECT_NOT && !up->x.url.tls;
}

int oci_http_upload_file(struct oci_http_upload *up, int fd, uint64_t offset, size_t len, struct oci_error *err)
{
	struct oci_http_file file = {.fd = fd, .offset = offset};

	up->x.out_file = &file;
	int rc = send_out(up, len, err);
	up->x.out_file = NULL;
	return rc;
}

int oci_http_upload_finish(struct oci_http_upload *up, struct oci_http_response *ret, struct oci_error *err)
{
	int rc = read_answer(up, err);
	if (rc == 0)
		rc = check_early(up, err);
	if (rc == 0) {
		size_t max = ret->body.max;
		oci_http_response_clear(ret);
		*ret = up->answer;
		ret->body.max = max;
		oci_http_response_init(&up->answer, OCI_HTTP_ERROR_BODY_MAX);
	}
	oci_http_upload_abort(up);
	return rc;
}
