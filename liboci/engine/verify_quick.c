/* What a look can tell, without reading. */
#include "engine/verify.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/record.h"

static int take_wrong(int dir, const struct oci_listing_file *want, const struct oci_listing *have,
	struct oci_differences *ret, struct oci_error *err)
{
	const struct oci_listing_file *found = oci_listing_find(have, want->path);

	if (!found)
		return oci_differences_add(ret, OCI_REMOVED, want->path, want->size_bytes, 0, err);
	if (oci_record_holds(dir, want))
		return 0;
	return oci_differences_add(ret, OCI_CHANGED, want->path, want->size_bytes, found->size_bytes, err);
}

int oci_verify_quick(const char *path, const struct oci_listing *want, struct oci_verify_report *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_listing_clear) struct oci_listing have = {0};
	oci_autoclose int dir = oci_fs_open_dir(path, err);

	if (dir < 0 || oci_verify_list(path, false, 1, NULL, NULL, &have, err) < 0)
		return -1;
	for (size_t i = 0; i < want->count; i++)
		if (take_wrong(dir, &want->files[i], &have, &ret->differences, err) < 0)
			return -1;
	for (size_t i = 0; i < have.count; i++)
		if (!oci_listing_find(want, have.files[i].path) &&
			oci_differences_add(&ret->differences, OCI_ADDED, have.files[i].path, 0, have.files[i].size_bytes, err) < 0)
			return -1;
	ret->file_count = want->count;
	oci_differences_sort(&ret->differences);
	return 0;
}
