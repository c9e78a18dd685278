/* upload.h - a request whose body is pushed, in constant memory
 *
 *     up = oci_http_upload_start(http, &request, size, err);
 *     if (!oci_http_upload_refused(up))
 *             oci_http_upload_write(up, data, len, err);     size bytes in all
 *     oci_http_upload_finish(up, &answer, err);              frees
 *
 * start() returns when the server wants the body (100 Continue, or one second
 * of silence) or has answered without it; so a login, a refusal or a dead
 * connection costs no byte, and a dead connection is tried again up to 5
 * times. Bytes that were written cannot be sent twice: a cut after that is
 * OCI_E_NETWORK for good. The connection is not used again afterwards.
 */
#pragma once

#include "http/client.h"

struct oci_http_upload;

/* `size_bytes` > 0; the request's body is not used. Borrows the request's
 * strings until the end. */
struct oci_http_upload *oci_http_upload_start(struct oci_http *http,
	const struct oci_http_request *request, uint64_t size_bytes, struct oci_error *err);
/* The server has answered already and takes no body: go on with finish(). */
bool oci_http_upload_refused(const struct oci_http_upload *up);
/* Hands over all of it. An answer in mid body is a failure with that answer's
 * meaning. */
int oci_http_upload_write(struct oci_http_upload *up, const void *data, size_t len, struct oci_error *err);
/* Can bytes go from a file without being read here? Not over TLS, or through a proxy. */
bool oci_http_upload_takes_file(const struct oci_http_upload *up);
/* The same as write, with `len` bytes of a file, which is not moved. What keeps them from
 * being read is the source side's, OCI_E_DIGEST where the file ends before. A program that calls
 * it ignores SIGPIPE. */
int oci_http_upload_file(struct oci_http_upload *up, int fd, uint64_t offset, size_t len, struct oci_error *err);
/* Waits for the answer, whatever its status; but one of success before all was written is
 * OCI_E_NETWORK: what is there must be asked. Frees, also on failure. */
int oci_http_upload_finish(struct oci_http_upload *up, struct oci_http_response *ret, struct oci_error *err);
/* Cuts the connection; accepts NULL. */
void oci_http_upload_abort(struct oci_http_upload *up);
