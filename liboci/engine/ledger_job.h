/* ledger_job.h - a ledger that is read again (private to ledger*.c) */
#pragma once

#include "engine/ledger.h"

/* What lines say that are right: `text`, of `len` bytes, is what stands after the head. Fills
 * `unpacked`, and of `ledger` where to go on. *good: so many bytes of the text count. */
int ledger_read(const struct oci_ledger_key *key, const struct oci_unpack_options *options, const char *text, size_t len,
	struct oci_unpacked *unpacked, struct oci_ledger *ledger, size_t *good, struct oci_error *err);
void ledger_begun_clear(struct oci_ledger_begun *begun);
