/* triton_load.h - tell a Triton server of a tree that has been published
 *
 * Triton's model repository extension (its http port, --model-control-mode=explicit):
 * POST /v2/repository/models/<name>/load for each model, then
 * GET /v2/models/<name>/ready until it says so.
 *
 *     OCI_CLEANUP(oci_strings_clear) struct oci_strings models = {0};
 *     oci_triton_models("/models/encoder", &record.listing, &models, err);
 *     struct oci_triton_load_options options = {.url = "http://triton:8000", .models = &models, ...};
 *     oci_triton_load(&options, err);
 *
 * A server that does not answer is asked again until the time is over: it may be
 * starting. No credentials are sent, and no file of them is read.
 *
 * Errors: OCI_E_TIMEOUT, OCI_E_UNSUPPORTED (the server refuses the model or the
 * request; the text has its words), OCI_E_USAGE (the URL), OCI_E_CANCELLED.
 */
#pragma once

#include <stdatomic.h>

#include "base/event.h"
#include "engine/listing.h"

struct oci_triton_load_options {
	const char *url;                  /* "http://HOST:PORT[/PREFIX]"; without a scheme it is http */
	const struct oci_strings *models; /* names */
	bool only_unready;                /* a model that is ready is left as it is */
	uint64_t timeout_ms;              /* for all of them together */
	const struct oci_observer *observer;
	const atomic_int *cancel;
};

int oci_triton_load(const struct oci_triton_load_options *options, struct oci_error *err);

/* What Triton calls the models of a tree at `path`: its last component where it is
 * one model, else those of its directories that are models. None: not a tree of Triton's. */
int oci_triton_models(const char *path, const struct oci_listing *files, struct oci_strings *ret, struct oci_error *err);

/* Where a model is asked: "<url>/v2/models/<name>/infer". The caller frees; NULL when out of memory. */
char *oci_triton_endpoint(const char *url, const char *model);
