/* dial.h - how far a connection to a server comes: its name, its port
 *
 *     struct oci_dial dial = {0};
 *     oci_dial("https://reg.example", 5000, &dial, err);
 *
 * For whoever must say which step fails; requests do all this by themselves.
 * What is asked through a proxy (proxy.h) is not tried. OCI_E_NETWORK says what
 * failed; looking a name up takes as long as the system's resolver takes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define OCI_DIAL_ADDRESS_MAX 64

struct oci_dial {
	bool proxied;
	bool found;                        /* the name has an address */
	char address[OCI_DIAL_ADDRESS_MAX]; /* "10.0.0.1:443", "[::1]:5000": what answered, else the last one tried */
	uint64_t connect_ms;
};

/* `origin` as oci_http_origin() gives it. `ret` is filled as far as it went, also on failure. */
int oci_dial(const char *origin, uint64_t timeout_ms, struct oci_dial *ret, struct oci_error *err);
