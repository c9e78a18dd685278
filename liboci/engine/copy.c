#include "engine/copy.h"

struct origin {
	struct oci_store *store;
	const struct oci_descriptor *descriptor;
};

static struct oci_reader *open_origin(void *ctx, uint64_t offset, struct oci_error *err)
{
	const struct origin *from = ctx;
	const struct oci_descriptor *d = from->descriptor;

	return from->store->ops->open(from->store, d, offset, d->size_bytes - offset, err);
}

int oci_copy_blob(struct oci_store *from, struct oci_store *to, const struct oci_descriptor *d,
	const struct oci_observer *observer, const atomic_int *cancel, enum oci_copy_how *ret,
	struct oci_error *err)
{
	struct origin origin = {from, d};
	struct oci_content content = {open_origin, &origin};
	bool there = false;

	if (oci_store_exists(to, d, &there, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	*ret = OCI_COPY_EXISTS;
	if (there)
		return 0;
	if (to->ops->mount && to->ops->mount(to, d, from, &there, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	*ret = OCI_COPY_MOUNTED;
	if (there)
		return 0;
	*ret = OCI_COPY_SENT;
	return oci_store_put(to, d, &content, observer, cancel, err);
}
