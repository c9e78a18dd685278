#include "load.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "engine/bundle_load.h"
#include "path.h"

#define REPORT_MAX (64 * OCI_MIB)

const struct opt load_opts[] = {
	{OPT_TEXTS(0, "map", struct load_flags, maps), .metavar = "OLD=NEW",
		.help = "to a host alone: change the beginning of a repository's name, models/=inside/models/"},
	{0},
};

static int print_json(const struct load_request *request, const struct oci_bundle_load_report *report,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	oci_json_array(&w, "images");
	for (size_t i = 0; i < report->images.count; i++)
		path_put(&w, NULL, report->images.items[i]);
	oci_json_close(&w);
	oci_json_put_bool(&w, "dryRun", request->dry_run);
	oci_json_put_u64(&w, "objects", report->objects);
	oci_json_put_u64(&w, "bytesSent", report->bytes[OCI_COPY_SENT]);
	oci_json_put_u64(&w, "bytesMounted", report->bytes[OCI_COPY_MOUNTED]);
	oci_json_put_u64(&w, "bytesThere", report->bytes[OCI_COPY_EXISTS]);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static int print_report(const struct invocation *inv, const struct load_request *request,
	const struct oci_bundle_load_report *report, struct oci_error *err)
{
	char sent[OCI_STR_SIZE_MAX], mounted[OCI_STR_SIZE_MAX], there[OCI_STR_SIZE_MAX];

	oci_event_note(inv->observer, "%zu images, %zu objects: %s %s, %s mounted, %s there already", report->images.count,
		report->objects, oci_str_size(report->bytes[OCI_COPY_SENT], sent), request->dry_run ? "to send" : "sent",
		oci_str_size(report->bytes[OCI_COPY_MOUNTED], mounted),
		oci_str_size(report->bytes[OCI_COPY_EXISTS], there));
	if (request->json)
		return print_json(request, report, err);
	for (size_t i = 0; i < report->images.count; i++) {
		path_print(stdout, report->images.items[i]);
		putchar('\n');
	}
	return 0;
}

int load_run(const struct invocation *inv, const struct load_request *request, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings files = {0};
	OCI_CLEANUP(oci_bundle_load_report_clear) struct oci_bundle_load_report report = {0};
	struct oci_store_options store;
	const struct oci_bundle_load_options options = {.files = &files,
		.to = request->operands[request->operand_count - 1],
		.maps = &request->flags->maps,
		.force = request->force,
		.dry_run = request->dry_run,
		.jobs = (unsigned)request->jobs,
		.store = &store,
		.observer = inv->observer,
		.cancel = inv->cancel};

	for (size_t i = 0; i + 1 < request->operand_count; i++)
		if (oci_strings_add(&files, request->operands[i], err) < 0)
			return -1;
	if (common_store_options(inv, request->registry, &store, err) < 0)
		return -1;
	common_upload_options(request->upload, &store);
	if (oci_bundle_load(&options, &report, err) < 0)
		return -1;
	return print_report(inv, request, &report, err);
}
