/* upload_source.h - the bytes of an upload: sent as often as it takes, hashed once
 *
 *     oci_upload_source_init(&source, &content, &descriptor, observer, err);
 *     oci_upload_source_seek(&source, offset, cancel, err);
 *     n = oci_upload_source_read(&source, max, &data, err);    1..max bytes, borrowed
 *     oci_upload_source_prove(&source, err);                   before the last byte leaves
 *     oci_upload_source_clear(&source);
 *
 * What lies before an offset and was not hashed yet (an upload of an earlier
 * process had sent it) is read and hashed on the way there. Bytes are reported
 * to the observer when they are hashed, so once each. Content that hashes itself
 * is not hashed here, and its digest may be unknown until it is proven. A source that cannot
 * begin at an offset (OCI_E_UNSUPPORTED, a registry without ranges) is read from
 * its beginning, and what is not wanted is passed over. Failures are the source
 * side's: OCI_E_DIGEST when the content is not what the descriptor says.
 *
 * A content's own file may go without being read here, where the other end is trusted to
 * compare it with its digest. Then it is not hashed either way, until that end says no:
 *
 *     oci_upload_source_take_file(&source, err);       before the first seek
 *     oci_upload_source_seek(&source, offset, ...);
 *     send some from source.file at source.position; oci_upload_source_sent(&source, n);
 *     oci_upload_source_check(&source, cancel, err);   whose fault is it?
 */
#pragma once

#include "store/store.h"

struct oci_upload_source {
	const struct oci_content *content;
	const struct oci_descriptor *want;
	const struct oci_observer *observer;
	struct oci_reader *reader; /* NULL: none is open */
	uint64_t begun, position;  /* of the reader */
	struct oci_hash hash;
	bool in_pool;              /* expected there: from the first read to the last byte */
	uint64_t hashed_bytes;     /* from the beginning */
	uint64_t moved_ms;         /* when that grew last, or the start */
	int file;                  /* -1: it is read and hashed here */
	bool checked;
	bool no_parts;             /* it can be read from its beginning alone */
	bool proven;
	struct oci_digest digest;  /* when proven */
	unsigned char *buffer;
};

int oci_upload_source_init(struct oci_upload_source *source, const struct oci_content *content,
	const struct oci_descriptor *want, const struct oci_observer *observer, struct oci_error *err);
void oci_upload_source_clear(struct oci_upload_source *source);

int oci_upload_source_seek(struct oci_upload_source *source, uint64_t offset, const atomic_int *cancel,
	struct oci_error *err);
ssize_t oci_upload_source_read(struct oci_upload_source *source, uint64_t max, const void **ret,
	struct oci_error *err);
int oci_upload_source_take_file(struct oci_upload_source *source, struct oci_error *err);
void oci_upload_source_sent(struct oci_upload_source *source, size_t len);
/* Reads the file once: OCI_E_DIGEST when it is not what the descriptor says. */
int oci_upload_source_check(struct oci_upload_source *source, const atomic_int *cancel, struct oci_error *err);
/* Nothing will be read for a while: nobody in the content's pool waits for it. */
void oci_upload_source_pause(struct oci_upload_source *source);
/* At the end: all of it is what was promised, and nothing follows. */
int oci_upload_source_prove(struct oci_upload_source *source, struct oci_error *err);
