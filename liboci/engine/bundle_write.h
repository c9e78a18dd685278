/* bundle_write.h - the files of a bundle while they are written
 *
 *     oci_bundle_writer_open(&w, "out/m.tar", &parts, force, err);
 *     for each item 0 .. map.count, by any thread, about in this order:
 *             oci_bundle_writer_gap(&w, i, err);
 *             oci_bundle_writer_kept(&w, i, &kept, err);     written by a run that was ended?
 *             oci_bundle_writer_blob(&w, i, reader, observer, cancel, err);
 *             oci_bundle_writer_done(&w, i, err);
 *     oci_bundle_writer_finish(&w, err);         sums, lists, durable, named
 *     oci_bundle_writer_close(&w);
 *
 * A file is called ".<name>.unfinished" until all are whole: what a run that
 * was ended left there is hashed and kept. Each byte is written once; the sum
 * of a file follows behind the blobs that are done, while they are in memory.
 *
 * OCI_E_BUSY: another process writes the same bundle. OCI_E_EXISTS: another
 * bundle, or something else, has the name, without force. OCI_E_NOSPACE, with
 * need and have, before the first byte.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/event.h"
#include "store/bundle_parts.h"
#include "stream/reader.h"

struct oci_bundle_out; /* a file on its way */

struct oci_bundle_writer {
	const struct oci_bundle_parts *parts; /* borrowed */
	int dir, lock;
	char *name;
	bool force;
	struct oci_bundle_out *files; /* part 1 is the first */
	struct oci_digest *sums;      /* of the parts, of themselves */
	struct oci_digest *file_sums; /* of whole files, the last one that of the index */
	pthread_mutex_t mutex;        /* guards what follows, and the progress of the files */
	bool *done;                   /* items */
	size_t first_open;            /* all items before it are done */
};

int oci_bundle_writer_open(struct oci_bundle_writer *w, const char *file, const struct oci_bundle_parts *parts,
	bool force, struct oci_error *err);
int oci_bundle_writer_gap(struct oci_bundle_writer *w, size_t item, struct oci_error *err);
int oci_bundle_writer_kept(struct oci_bundle_writer *w, size_t item, bool *ret, struct oci_error *err);
/* `from` verifies what it reads. */
int oci_bundle_writer_blob(struct oci_bundle_writer *w, size_t item, struct oci_reader *from,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_error *err);
int oci_bundle_writer_done(struct oci_bundle_writer *w, size_t item, struct oci_error *err);
int oci_bundle_writer_finish(struct oci_bundle_writer *w, unsigned jobs, const atomic_int *cancel,
	struct oci_error *err);
/* What is not finished stays for the next run. */
void oci_bundle_writer_close(struct oci_bundle_writer *w);
