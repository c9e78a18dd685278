#include "triton.h"

#include <string.h>

#include "base/cleanup.h"
#include "engine/triton_load.h"

const struct opt triton_opts[] = {
	{OPT_TEXT(0, "triton-load", struct triton_flags, url), .metavar = "URL",
		.help = "then have the Triton server at http://HOST:8000 load the model, and wait until it is ready"},
	{OPT_DURATION(0, "triton-timeout", struct triton_flags, timeout_ms), .metavar = "TIME", .preset = "10m",
		.help = "how long that may take"},
	{0},
};

static int find_models(const char *dest, const struct oci_pull_report *report, struct oci_strings *models,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_record_clear) struct oci_record record = {0};
	oci_autofree char *tree = *report->version ? oci_str_printf("%s/%s", dest, report->version) : strdup(dest);

	if (!tree)
		return oci_fail_nomem(err);
	if (oci_record_find(tree, &record, err) < 0 || oci_triton_models(dest, &record.listing, models, err) < 0)
		return -1;
	if (models->count == 0)
		return oci_fail(err, OCI_E_UNSUPPORTED, "'%s' holds no model that Triton would know (config.pbtxt, or a version "
			"directory); pull without --triton-load", dest);
	return 0;
}

static int add_endpoints(const struct invocation *inv, const char *url, const struct oci_strings *models,
	struct oci_strings *endpoints, struct oci_error *err)
{
	for (size_t i = 0; i < models->count; i++) {
		oci_autofree char *endpoint = oci_triton_endpoint(url, models->items[i]);

		if (!endpoint)
			return oci_fail_nomem(err);
		oci_event_note(inv->observer, "Triton has model '%s' ready: POST %s", models->items[i], endpoint);
		if (oci_strings_add(endpoints, endpoint, err) < 0)
			return -1;
	}
	return 0;
}

int triton_load(const struct invocation *inv, const struct triton_flags *flags, const char *dest,
	const struct oci_pull_report *report, struct oci_strings *endpoints, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings models = {0};
	struct oci_triton_load_options options = {.url = flags->url,
		.models = &models,
		.only_unready = report->unchanged,
		.timeout_ms = flags->timeout_ms,
		.observer = inv->observer,
		.cancel = inv->cancel};

	if (!flags->url)
		return 0;
	if (find_models(dest, report, &models, err) < 0 || oci_triton_load(&options, err) < 0)
		return -1;
	return add_endpoints(inv, flags->url, &models, endpoints, err);
}

void triton_put(struct oci_json_writer *w, const struct oci_strings *endpoints)
{
	if (endpoints->count == 0)
		return;
	oci_json_array(w, "endpoints");
	for (size_t i = 0; i < endpoints->count; i++)
		oci_json_put_text(w, NULL, endpoints->items[i]);
	oci_json_close(w);
}
