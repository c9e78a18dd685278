/* common.h - what several commands share: groups of options, and their use
 *
 * A command puts the struct of a group into its own flags and names the group
 * in its list:
 *
 *     struct ls_flags {
 *             struct registry_flags registry;
 *             struct output_flags output;
 *     };
 *     static const struct opt_group ls_groups[] = {
 *             REGISTRY_GROUP(struct ls_flags, registry),
 *             OUTPUT_GROUP(struct ls_flags, output),
 *             { 0 },
 *     };
 *
 * main() finds the output group by itself and makes the observer from it.
 */
#pragma once

#include "base/str.h"
#include "command.h"
#include "core/json.h"
#include "source/dir.h"
#include "store/store.h"
#include "ui.h"

/* What concerns the process and not one registry. */
struct transfer_flags {
	struct oci_strings endpoints, endpoint_headers;
	uint64_t limit_rate; /* bytes a second, 0: no limit */
	uint64_t stall_timeout_ms, retry_for_ms;
};
struct registry_flags {
	bool plain_http, tls_verify;
	const char *ca_file, *cert, *key;
	struct oci_strings authfiles;
	struct transfer_flags transfer;
};
extern const struct opt registry_opts[], transfer_opts[];
#define LOGIN_GROUP(s, f) {.title = "Registry options", .opts = registry_opts, .field = offsetof(s, f)}
#define REGISTRY_GROUP(s, f)   \
	LOGIN_GROUP(s, f),     \
	{.title = "Transfer options", .opts = transfer_opts, .field = offsetof(s, f.transfer)}
/* For verbs with two registries, beside the plain group, which is for both. */
#define SRC_REGISTRY_GROUP(s, f) \
	{.title = "Source registry options", .prefix = "src-", .opts = registry_opts, .field = offsetof(s, f)}
#define DEST_REGISTRY_GROUP(s, f) \
	{.title = "Destination registry options", .prefix = "dest-", .opts = registry_opts, \
		.field = offsetof(s, f)}
/* All three. */
#define TWO_REGISTRIES_GROUP(s, both, src, dest) \
	REGISTRY_GROUP(s, both), SRC_REGISTRY_GROUP(s, src), DEST_REGISTRY_GROUP(s, dest)

/* For verbs that write to a registry. */
struct upload_flags {
	const char *state_dir;
};
extern const struct opt upload_opts[];
#define UPLOAD_GROUP(s, f) {.title = "Upload options", .opts = upload_opts, .field = offsetof(s, f)}

struct filter_flags {
	struct oci_strings include, exclude;
};
extern const struct opt filter_opts[];
#define FILTER_GROUP(s, f) {.title = "File options", .opts = filter_opts, .field = offsetof(s, f)}

/* A filter for a model directory that is read. */
struct source_flags {
	struct oci_strings include, exclude;
	bool no_default_excludes;
};
extern const struct opt source_opts[];
#define SOURCE_GROUP(s, f) {.title = "File options", .opts = source_opts, .field = offsetof(s, f)}

struct output_flags {
	bool json, quiet, trace;
	enum ui_progress progress;
	const char *metrics_file; /* NULL: none */
};
extern const struct opt output_opts[];
#define OUTPUT_GROUP(s, f) {.title = "Output options", .opts = output_opts, .field = offsetof(s, f)}

/* The output flags of a command that has them; NULL: it has not. */
const struct output_flags *common_output(const struct command *command, const void *flags);

/* All of *ret, observer and cancel flag too. Texts stay the invocation's.
 * OCI_E_USAGE when a key comes without its certificate. */
int common_store_options(const struct invocation *inv, const struct registry_flags *flags,
	struct oci_store_options *ret, struct oci_error *err);
/* One side of two: what `side` does not say, `both` says. */
int common_side_options(const struct invocation *inv, const struct registry_flags *both,
	const struct registry_flags *side, struct oci_store_options *ret, struct oci_error *err);

void common_upload_options(const struct upload_flags *flags, struct oci_store_options *ret);

void common_dir_options(const struct source_flags *flags, struct oci_dir_options *ret);

/* Parses the reference that the user typed and opens its store. *ref is
 * filled when it parses; the caller clears it in each case. */
struct oci_store *common_store_open(const struct invocation *inv, const struct registry_flags *flags,
	const char *text, enum oci_store_mode mode, struct oci_reference *ref, struct oci_error *err);

/* Ends the writer and prints its document and a newline to stdout. */
int common_print_json(struct oci_json_writer *w, struct oci_error *err);

/* A small file that the user names, whole; "-" is standard input. OCI_E_NOT_FOUND, OCI_E_FORMAT beyond out's maximum. */
int common_read_file(const char *path, struct oci_buf *out, struct oci_error *err);
/* The same the other way: 0644, and replaced by one rename. */
int common_write_file(const char *path, const struct oci_buf *text, struct oci_error *err);
