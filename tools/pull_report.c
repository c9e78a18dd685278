#include "pull_report.h"

#include "base/cleanup.h"
#include "path.h"

void pull_report_put(struct oci_json_writer *w, const struct oci_pull_report *report, const char *reference,
	const char *dest)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_json_put_text(w, "reference", reference);
	oci_json_put_text(w, "digest", oci_digest_format(&report->root, digest));
	oci_json_put_text(w, "manifest", oci_digest_format(&report->manifest, digest));
	path_put(w, "path", dest);
	oci_json_put_u64(w, "files", report->file_count);
	oci_json_put_u64(w, "bytes", report->bytes_files);
	oci_json_put_u64(w, "bytesFetched", report->bytes_fetched);
	oci_json_put_u64(w, "bytesReused", report->bytes_reused);
	oci_json_put_u64(w, "bytesLinked", report->bytes_linked);
	oci_json_put_u64(w, "bytesKept", report->bytes_kept);
	oci_json_put_bool(w, "unchanged", report->unchanged);
	if (report->dry_run)
		oci_json_put_bool(w, "dryRun", true);
	if (!report->unchanged)
		oci_json_put_text(w, "mode", oci_place_mode_name(report->mode));
	if (*report->version)
		oci_json_put_text(w, "version", report->version);
}

/* "1.5 MiB fetched, 2 GiB linked", what there was of each. */
static int describe_bytes(const struct oci_pull_report *report, struct oci_buf *out, struct oci_error *err)
{
	const struct {
		uint64_t bytes;
		const char *how;
	} parts[] = {
		{report->bytes_fetched, "fetched"},
		{report->bytes_reused, "reused"},
		{report->bytes_linked, "linked"},
		{report->bytes_kept, "kept"},
	};
	char size[OCI_STR_SIZE_MAX];

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if ((i == 0 || parts[i].bytes > 0) &&
			oci_buf_printf(out, err, "%s%s %s", i ? ", " : "", oci_str_size(parts[i].bytes, size), parts[i].how) < 0)
			return -1;
	return 0;
}

int pull_report_note(const struct invocation *inv, const struct oci_pull_report *report, const char *dest,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf bytes;
	char size[OCI_STR_SIZE_MAX];
	const char *files = report->file_count == 1 ? "file" : "files";

	oci_buf_init(&bytes, 4 * OCI_KIB);
	if (report->unchanged) {
		oci_event_note(inv->observer, "unchanged: %zu %s, %s, in '%s'", report->file_count, files,
			oci_str_size(report->bytes_files, size), dest);
		return 0;
	}
	if (describe_bytes(report, &bytes, err) < 0)
		return -1;
	if (report->dry_run && report->file_count == 0)
		oci_event_note(inv->observer, "layers of %s would land in '%s'", oci_str_size(report->bytes_fetched, size), dest);
	else if (report->dry_run)
		oci_event_note(inv->observer, "%zu %s, %s, would land in '%s' (at most %s)", report->file_count, files,
			oci_str_size(report->bytes_files, size), dest, oci_buf_text(&bytes));
	if (report->dry_run)
		return 0;
	oci_event_note(inv->observer, "%zu %s, %s, in '%s': verified and published (%s)", report->file_count, files,
		oci_str_size(report->bytes_files, size), dest, oci_buf_text(&bytes));
	return 0;
}
