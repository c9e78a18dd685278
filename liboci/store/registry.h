/* registry.h - a repository of a registry as a store
 *
 * spec: OCI distribution-spec. `docker.io` is asked at registry-1.docker.io.
 * Opening asks nothing: the first verb does, and logs in when it must
 * (http/client.h has the rules, http/credentials.h the files).
 *
 * How content gets there:
 * - manifests are buffered (4 MiB at most) and sent by digest; tag sends the
 *   same bytes again under the tag.
 * - blobs by oci_store_put, which goes on after cuts and in the next process:
 *   registry_put.h has the rules.
 * - blobs by begin, write, commit, whose bytes cannot be sent again: up to 1 MiB
 *   they are buffered, so that a lost answer costs nothing; up to 64 MiB and of
 *   a known digest they are one PUT, whose last byte is held back until the
 *   digest of what was written is checked; else PATCH requests of 64 MiB (the
 *   server's minimum if it names a larger one, 4 MiB where that is refused as
 *   too large) and a closing PUT.
 * A closing PUT may take 60 s and a second for each 50 MB. A digest that is not
 * that of the bytes never reaches one.
 *
 * How content is read: from the endpoints of the host where the options name any
 * (registry_mirror.h), and from the host. Tags and referrers: registry_list.h.
 *
 * preflight asks for more than limits where something is to be sent: an upload is
 * begun, which the first blob takes over, so that who may not write (OCI_E_AUTH) or
 * nobody may (OCI_E_PERM) is told before the first byte.
 *
 * finish has nothing to do. mount names the repository when it is on the same host,
 * then lets the registry look for itself.
 */
#pragma once

#include "store/store.h"

struct oci_store *oci_store_registry(const char *host, const char *repository, enum oci_store_mode mode,
	const struct oci_store_options *options, struct oci_error *err);
/* The names of a registry's repositories, where it tells them (distribution's
 * /v2/_catalog, which is in no specification). */
int oci_registry_catalog(const char *host, const struct oci_store_options *options, struct oci_strings *ret,
	struct oci_error *err);
