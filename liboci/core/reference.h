/* reference.h - where an image is, as the user types it
 *
 *     host/repo[:tag][@sha256:…]         registry; also docker://… and oci://host/…
 *     oci:DIR[:tag][@sha256:…]           OCI layout directory
 *     oci-archive:FILE[:tag|:name:tag][@sha256:…]
 *                                        tar of an OCI layout, of Zarf, of Hauler
 *     docker-archive:FILE[:tag|:name:tag][@sha256:…]
 *                                        what docker save, podman save and skopeo write
 *     bundle:FILE[:tag|:name:tag][@sha256:…]
 *                                        a bundle, whole or in parts
 *     dir:PATH[@sha256:…]                a plain directory, as the image that pack makes of it
 *
 * A host has a dot, a port, or is localhost; IPv6 stands in brackets,
 * [::1]:5000/repo. docker.io is Docker Hub, whose one-word repositories live
 * under library/. Names and tags follow the distribution-spec grammar, a host
 * and repository together are at most 255 bytes. The tag of a layout or
 * archive is what follows the last ':' and has no '/'; only @sha256: and
 * @sha512: begin a digest there, any other '@' belongs to the path. Behind
 * FILE.tar, .tgz, .gz, .zst and .part000 of oci-archive: a full name may stand. In
 * docker-archive: FILE ends at the first ':', and a name is one of Docker's:
 * "busybox" is "docker.io/library/busybox". Both kinds of archive are known by
 * their content, so either transport reads either; docker-archive: is not
 * written. bundle: is read as docker-archive: is, but a name stays as it was
 * typed. dir: has no tags: all of the rest is the path, but for a digest. Anything else is OCI_E_USAGE with a text that shows the right form.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "core/digest.h"

enum oci_transport {
	OCI_TRANSPORT_REGISTRY,
	OCI_TRANSPORT_LAYOUT,
	OCI_TRANSPORT_ARCHIVE,
	OCI_TRANSPORT_DOCKER_ARCHIVE,
	OCI_TRANSPORT_BUNDLE,
	OCI_TRANSPORT_DIR,
};

struct oci_reference {
	enum oci_transport transport;
	char *host;              /* registry: host[:port] as typed; else NULL */
	char *path;              /* registry: repository; else directory or file */
	char *tag;               /* NULL: none; docker-archive and bundle: a tag, or a full name:tag */
	struct oci_digest digest; /* alg 0: none */
};

/* What *ret held is not freed; it stays untouched on failure. */
int oci_reference_parse(const char *text, struct oci_reference *ret, struct oci_error *err);
bool oci_reference_tag_ok(const char *tag);
/* Docker's short form of a name, with or without tag, made full: busybox:1 is
 * docker.io/library/busybox:1, team/m:1 docker.io/team/m:1; r.io/m:1 is full.
 * The caller's to free; NULL: out of memory. */
char *oci_reference_docker_name(const char *name);
/* The canonical text: without docker:// and with tag and digest if any. It
 * parses back to the same reference. */
int oci_reference_format(const struct oci_reference *ref, struct oci_buf *out, struct oci_error *err);
/* The same without tag, with @digest: what a command prints as its result. */
int oci_reference_format_pinned(const struct oci_reference *ref, const struct oci_digest *digest,
	struct oci_buf *out, struct oci_error *err);
void oci_reference_clear(struct oci_reference *ref);
