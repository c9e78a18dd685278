#include "subject.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/pull.h"
#include "engine/verify.h"

static bool names_transport(const char *text)
{
	return oci_str_starts(text, "oci:") || oci_str_starts(text, "oci-archive:") ||
		oci_str_starts(text, "docker-archive:") || oci_str_starts(text, "docker://");
}

static int open_dir(struct subject *s, struct oci_error *err)
{
	struct oci_error failure = {0};

	s->is_dir = true;
	s->has_record = oci_record_find(s->text, &s->record, &failure) == 0;
	if (!s->has_record && failure.code != OCI_E_NOT_FOUND) {
		*err = failure;
		return oci_wrap(err, "'%s'", s->text);
	}
	return 0;
}

static int open_image(struct subject *s, const struct invocation *inv, const struct registry_flags *registry,
	const char *platform, struct oci_error *err)
{
	OCI_CLEANUP(oci_platform_clear) struct oci_platform wanted = {0};
	char name[OCI_DIGEST_TEXT_MAX];

	if (platform && oci_platform_parse(platform, &wanted, err) < 0)
		return -1;
	s->store = common_store_open(inv, registry, s->text, OCI_STORE_READ, &s->ref, err);
	if (!s->store)
		return -1;
	return oci_image_open(s->store, oci_image_name(&s->ref, name), platform ? &wanted : NULL, &s->image, err);
}

int subject_open(struct subject *s, const struct invocation *inv, const struct registry_flags *registry,
	const char *text, const char *platform, struct oci_error *err)
{
	bool is_path = oci_str_starts(text, "dir:");
	oci_autoclose int dir = -1;
	struct oci_error why = {0};

	s->text = text += is_path ? strlen("dir:") : 0;
	is_path = is_path || text[0] == '/' || text[0] == '.'; /* what looks like a path is meant as one */
	if (is_path || !names_transport(text))
		dir = oci_fs_open_dir(text, &why);
	if (dir >= 0)
		return open_dir(s, err);
	if (is_path && why.code != OCI_E_NOT_FOUND) {
		*err = why;
		return -1;
	}
	if (is_path)
		return oci_fail(err, OCI_E_NOT_FOUND, "directory '%s' does not exist", text);
	return open_image(s, inv, registry, platform, err);
}

int subject_list(struct subject *s, const struct invocation *inv, bool digests, struct oci_error *err)
{
	oci_listing_clear(&s->listing);
	if (s->is_dir)
		return oci_verify_list(s->text, digests, 0, inv->observer, inv->cancel, &s->listing, err);
	return oci_pull_list(s->store, &s->image, NULL, digests, 0, inv->cancel, &s->listing, err);
}

void subject_clear(struct subject *s)
{
	oci_listing_clear(&s->listing);
	oci_record_clear(&s->record);
	oci_image_clear(&s->image);
	oci_store_close(s->store);
	oci_reference_clear(&s->ref);
	*s = (struct subject){0};
}
