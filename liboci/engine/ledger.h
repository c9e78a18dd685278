/* ledger.h - what of a layer has landed, so that the next run does not fetch it again
 *
 * spec/staging.md "Ledger". A file of lines beside the parts of the layer: what
 * the layer holds, in the order in which it came, and the points at which it can be
 * gone on with. Nothing in it is taken on trust but the digests it was written with:
 * opening it reads every part it names and hashes it, and it counts up to the last
 * point before anything that is missing or not the same.
 *
 * A layer that is stored as it is (plain tar, or one raw file) goes on in the middle
 * of a file; a compressed one has a single point, its end.
 *
 *     oci_ledger_open(&key, &options, &unpacked, &ledger, err);
 *     if (ledger.whole) ...                     unpacked is what the layer holds
 *     reader = oci_store_fetch_along(store, &d, &ledger.trail, err);
 *     options.ledger = &ledger;
 *     oci_unpack_…(reader, …, &options, &unpacked, err);
 *     oci_ledger_end(&ledger, &unpacked, err);  once the reader has proven it; before the lists are sorted
 *     oci_ledger_close(&ledger);
 */
#pragma once

#include "engine/unpack.h"
#include "stream/verify.h"

struct oci_ledger_key {
	const struct oci_stage *stage;
	const struct oci_digest *manifest;
	const struct oci_descriptor *blob;
	/* Where a part may lie that a run before has put in its place already: a tree
	 * that was being made (it is moved back), a destination (it is linked); -1: nowhere. */
	int tree, dest;
};

/* A file that was begun, as it is at the point. */
struct oci_ledger_begun {
	char *path; /* NULL: none */
	uint32_t number, mode;
	uint64_t size_bytes, done;
	struct oci_hash hash;
};

struct oci_ledger {
	int fd;                        /* -1: none is kept */
	bool whole;                    /* the layer is there */
	struct oci_verify_trail trail; /* for who reads the layer; trail.from is where to go on */
	struct oci_ledger_begun begun;

	struct oci_buf text;           /* lines that are not written yet */
	size_t files, dirs, whiteouts, opaques, links, outside; /* of the lists: so much stands in it */
	uint64_t begun_number;         /* of the file whose beginning stands in it, from 1; 0: none */
	uint64_t pointed, synced;      /* the last point, and the last that was made durable */
};

#define OCI_LEDGER_NONE ((struct oci_ledger){.fd = -1})

/* Fills `unpacked` with what is proven. OCI_E_CANCELLED while reading. */
int oci_ledger_open(const struct oci_ledger_key *key, const struct oci_unpack_options *options,
	struct oci_unpacked *unpacked, struct oci_ledger *ret, struct oci_error *err);
/* Begin anew: nothing of the layer is there. */
int oci_ledger_reset(const struct oci_ledger_key *key, const struct oci_unpack_options *options,
	struct oci_ledger *ledger, struct oci_error *err);
/* Where the next point could be set: an offset in the layer; 0: nowhere yet. */
uint64_t oci_ledger_next(const struct oci_ledger *ledger);
struct unpack_file;
/* There, in the middle of this file, whose bytes before it are written. */
int oci_ledger_point(struct oci_ledger *ledger, const struct oci_unpacked *unpacked, const struct unpack_file *file,
	struct oci_error *err);
int oci_ledger_end(struct oci_ledger *ledger, const struct oci_unpacked *unpacked, struct oci_error *err);
void oci_ledger_close(struct oci_ledger *ledger);
