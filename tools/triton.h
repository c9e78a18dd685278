/* triton.h - what a pull tells a Triton server afterwards
 *
 *     struct pull_flags { struct triton_flags triton; ... };
 *     TRITON_GROUP(struct pull_flags, triton)
 *     triton_load(inv, &flags->triton, dest, &report, &endpoints, err);
 */
#pragma once

#include "common.h"
#include "engine/pull.h"

struct triton_flags {
	const char *url;
	uint64_t timeout_ms;
};
extern const struct opt triton_opts[];
#define TRITON_GROUP(s, f) {.title = "Triton options", .opts = triton_opts, .field = offsetof(s, f)}

/* Where a server is named: load what the pull has put at `dest`, wait until it is
 * ready, and add a line an endpoint to the list and to the observer's. An unchanged
 * model that is ready stays as it is. OCI_E_UNSUPPORTED where the tree is none of Triton's. */
int triton_load(const struct invocation *inv, const struct triton_flags *flags, const char *dest,
	const struct oci_pull_report *report, struct oci_strings *endpoints, struct oci_error *err);
void triton_put(struct oci_json_writer *w, const struct oci_strings *endpoints);
