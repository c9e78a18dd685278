#include "load.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "engine/bundle_load.h"
#include "path.h"

#define REPORT_MAX (64 * OCI_MIB)

const struct opt load_opts[] = {
	{OPT_TEXTS(0, "map", struct load_flags, maps), .metavar = "OLD=NEW",
		.help = "to a host alone: change the beginning of a repository's name, models/=inside/models/"},
	{OPT_FLAG(0, "via-zarf", struct load_flags, via_zarf),
		.help = "for Zarf's registry: write each tag as its agent looks for it, too: "
			"TAG-zarf-<crc32 of the image's name>, the name that the bundle gives"},
	{0},
};

static void put_names(struct oci_json_writer *w, const char *key, const struct oci_strings *names)
{
	oci_json_array(w, key);
	for (size_t i = 0; i < names->count; i++)
		path_put(w, NULL, names->items[i]);
	oci_json_close(w);
}

static void print_names(const struct oci_strings *names)
{
	for (size_t i = 0; i < names->count; i++) {
		path_print(stdout, names->items[i]);
		putchar('\n');
	}
}

static int print_json(const struct load_request *request, const struct oci_bundle_load_report *report,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	put_names(&w, "images", &report->images);
	if (request->flags->via_zarf)
		put_names(&w, "zarfImages", &report->zarf_images);
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
	print_names(&report->images);
	print_names(&report->zarf_images);
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
		.via_zarf = request->flags->via_zarf,
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
