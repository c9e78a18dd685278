#include "exits.h"

#include <stddef.h>

#include "base/error.h"

const struct exit_code exit_codes[] = {
	{OCI_OK, "Completed", "done"},
	{OCI_E_BUG, "Bug", "unclassified failure, please report it"},
	{OCI_E_USAGE, "Usage", "usage error"},
	{OCI_E_DIFFERENT, "Different", "differences found"},
	{OCI_E_NOT_FOUND, "NotFound", "not found"},
	{OCI_E_AUTH, "AuthRefused", "authentication or authorization refused"},
	{OCI_E_POLICY, "PolicyRefused", "signature or policy refused"},
	{OCI_E_DIGEST, "DigestMismatch", "content is not what its digest says"},
	{OCI_E_FORMAT, "Malformed", "malformed or hostile content"},
	{OCI_E_UNSUPPORTED, "Unsupported", "well formed but not supported"},
	{OCI_E_SOURCE, "SourceInvalid", "source unreadable, invalid or changed while read"},
	{OCI_E_NETWORK, "NetworkFailed", "network failed after all retries"},
	{OCI_E_RATE, "RateLimited", "rate limited by the other side"},
	{OCI_E_TLS, "TLSFailed", "TLS certificate or handshake failed"},
	{OCI_E_NOSPACE, "NoSpace", "no space or quota left"},
	{OCI_E_PERM, "PermissionDenied", "read-only or permission denied"},
	{OCI_E_IO, "InputOutput", "local input/output error"},
	{OCI_E_BUSY, "Locked", "locked by another process"},
	{OCI_E_OCCUPIED, "Occupied", "destination holds other files"},
	{OCI_E_EXISTS, "TagExists", "tag exists with other content"},
	{OCI_E_DAMAGED, "Damaged", "local tree damaged"},
	{OCI_E_TIMEOUT, "DeadlineExceeded", "a wait ran out of time"},
	{OCI_E_PARTIAL, "PartlyFailed", "some of many failed"},
	{OCI_E_MORE, "MorePartsNeeded", "more parts needed"},
	{OCI_E_NOMEM, "OutOfMemory", "out of memory"},
	{OCI_E_CANCELLED, "Cancelled", "ended by signal n; run again"},
	{0, NULL, NULL},
};

const struct exit_code *exit_code_find(int code)
{
	int wanted = code > OCI_E_CANCELLED ? OCI_E_CANCELLED : code;
	const struct exit_code *bug = &exit_codes[1];

	for (const struct exit_code *e = exit_codes; e->reason; e++) {
		if (e->code == wanted)
			return e;
	}
	return bug;
}
