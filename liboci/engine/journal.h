/* journal.h - which blocks of a pull are on disk, so that the next run knows
 *
 * spec/staging.md. A head that names manifest and boot, then a byte a block,
 * '1' once its bytes were verified and written, '?' when another boot said so. On the same boot the page cache
 * holds what was written, whoever was killed, and the journal is trusted; after
 * another boot it says what is worth reading and hashing again.
 *
 *     oci_journal_open(stage.fd, name, &manifest, count, &journal, err);
 *     switch (oci_journal_get(&journal, n)) ...
 *     oci_journal_set(&journal, n, err);         from any thread
 *     oci_journal_close(&journal);
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "core/digest.h"

enum oci_journal_mark {
	OCI_MARK_NONE,
	OCI_MARK_CLAIMED, /* by a run before this boot: to be hashed again */
	OCI_MARK_DONE,
};

struct oci_journal {
	int fd;
	uint64_t count;
	_Atomic unsigned char *marks;
};

/* Reads what is there, or begins anew where it is another's. */
int oci_journal_open(int dir, const char *name, const struct oci_digest *manifest, uint64_t count,
	struct oci_journal *ret, struct oci_error *err);
enum oci_journal_mark oci_journal_get(const struct oci_journal *journal, uint64_t n);
int oci_journal_set(struct oci_journal *journal, uint64_t n, struct oci_error *err);
/* Claimed, in memory alone: its bytes may be there, and have to be hashed. */
void oci_journal_claim(struct oci_journal *journal, uint64_t n);
/* Forget a mark: its bytes are gone or were wrong. */
int oci_journal_unset(struct oci_journal *journal, uint64_t n, struct oci_error *err);
void oci_journal_close(struct oci_journal *journal);
