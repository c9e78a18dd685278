/* load.h - what `load` and `bundle apply` share */
#pragma once

#include "common.h"

struct load_flags {
	struct oci_strings maps;
	bool via_zarf;
};
extern const struct opt load_opts[];
#define LOAD_GROUP(s, f) {.title = "Load options", .opts = load_opts, .field = offsetof(s, f)}

struct load_request {
	const char *const *operands; /* files, then the destination */
	size_t operand_count;
	const struct load_flags *flags;
	const struct registry_flags *registry;
	const struct upload_flags *upload;
	bool force, dry_run, json;
	uint64_t jobs;
};

/* The files before the last operand go to where that says; prints
 * the images that are there now. */
int load_run(const struct invocation *inv, const struct load_request *request, struct oci_error *err);
