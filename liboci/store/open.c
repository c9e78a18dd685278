#include "store/archive.h"
#include "store/bundle.h"
#include "store/layout.h"
#include "store/registry.h"

struct oci_store *oci_store_open(const struct oci_reference *ref, enum oci_store_mode mode,
	const struct oci_store_options *options, struct oci_error *err)
{
	switch (ref->transport) {
	case OCI_TRANSPORT_REGISTRY:
		return oci_store_registry(ref->host, ref->path, mode, options, err);
	case OCI_TRANSPORT_LAYOUT:
		return oci_store_layout(ref->path, mode, options->lists_all, err);
	case OCI_TRANSPORT_ARCHIVE:
		return oci_store_archive(ref->path, mode, err);
	case OCI_TRANSPORT_BUNDLE:
		if (mode == OCI_STORE_READ)
			return oci_store_bundle(ref->path, mode, err);
		oci_fail(err, OCI_E_UNSUPPORTED, "bundle: is only read, write one with 'bundle create --output FILE'");
		return NULL;
	case OCI_TRANSPORT_DOCKER_ARCHIVE:
		if (mode == OCI_STORE_READ)
			return oci_store_archive(ref->path, mode, err);
		oci_fail(err, OCI_E_UNSUPPORTED, "docker-archive: is only read, write oci-archive:FILE[:tag]");
		return NULL;
	case OCI_TRANSPORT_DIR:
		oci_fail(err, OCI_E_UNSUPPORTED, "dir: is a plain directory, which only pull and repair read; "
			"pack makes an image of it");
		return NULL;
	}
	oci_fail(err, OCI_E_BUG, "reference of an unknown transport");
	return NULL;
}
