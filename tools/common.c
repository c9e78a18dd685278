#include "common.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "http/rate.h"

const struct opt registry_opts[] = {
	{OPT_FLAG(0, "plain-http", struct registry_flags, plain_http),
		.help = "speak http to hosts other than localhost, too"},
	{OPT_FLAG(0, "tls-verify", struct registry_flags, tls_verify), .preset = "true",
		.help = "check the certificate of the registry"},
	{OPT_TEXT(0, "ca-file", struct registry_flags, ca_file), .metavar = "FILE",
		.help = "PEM certificates to trust besides the system's"},
	{OPT_TEXT(0, "cert", struct registry_flags, cert), .metavar = "FILE",
		.help = "PEM client certificate"},
	{OPT_TEXT(0, "key", struct registry_flags, key), .metavar = "FILE",
		.help = "PEM key of the client certificate, when it is not in the same file"},
	{OPT_TEXTS(0, "authfile", struct registry_flags, authfiles), .metavar = "FILE",
		.help = "credentials as podman, docker or a Kubernetes secret keep them, instead of the usual places"},
	{0},
};

const struct opt transfer_opts[] = {
	{OPT_TEXTS(0, "endpoint", struct transfer_flags, endpoints), .metavar = "HOST=URL",
		.help = "a mirror to pull the content of HOST from, before HOST itself"},
	{OPT_TEXTS(0, "endpoint-header", struct transfer_flags, endpoint_headers), .metavar = "HOST=HEADER",
		.help = "a header 'Name: value' for the endpoints of HOST"},
	{OPT_SIZE(0, "limit-rate", struct transfer_flags, limit_rate), .metavar = "SIZE", .min = 1024,
		.help = "bytes a second, of all connections together"},
	{OPT_DURATION(0, "stall-timeout", struct transfer_flags, stall_timeout_ms), .metavar = "TIME", .preset = "30s",
		.min = 1000, .help = "give up a connection without a byte for so long; an answer may take twice that, "
			"a pause that the server asks for four times"},
	{OPT_DURATION(0, "retry-for", struct transfer_flags, retry_for_ms), .metavar = "TIME", .preset = "15m",
		.min = 1000, .help = "give up a transfer after so long without progress"},
	{0},
};

const struct opt upload_opts[] = {
	{OPT_TEXT(0, "state-dir", struct upload_flags, state_dir), .metavar = "DIR",
		.help = "where an upload that ends early is remembered, so that the next run goes on "
			"(~/.local/state/modelcar)"},
	{0},
};

#define FILTER_OPTS(s)                                                    \
	{OPT_TEXTS(0, "include", s, include), .metavar = "GLOB",          \
		.help = "take only files that match, or lie in a directory that does"}, \
	{OPT_TEXTS(0, "exclude", s, exclude), .metavar = "GLOB",          \
		.help = "leave out files that match"}

const struct opt filter_opts[] = {
	FILTER_OPTS(struct filter_flags),
	{0},
};

const struct opt source_opts[] = {
	FILTER_OPTS(struct source_flags),
	{OPT_FLAG(0, "no-default-excludes", struct source_flags, no_default_excludes),
		.help = "keep .git, .cache, __pycache__, editor backups and the like"},
	{0},
};

static const char *const progress_modes[] = {"auto", "plain", "json", "none", NULL};

const struct opt output_opts[] = {
	{OPT_FLAG(0, "json", struct output_flags, json),
		.help = "print the result as JSON, and progress as lines of JSON"},
	{OPT_FLAG('q', "quiet", struct output_flags, quiet),
		.help = "print nothing but the result, warnings and errors"},
	{OPT_CHOICE(0, "progress", struct output_flags, progress), .metavar = "MODE", .choices = progress_modes,
		.preset = "auto", .help = "how progress is shown on stderr; auto: by what stderr is, json with --json"},
	{OPT_TEXT(0, "metrics-file", struct output_flags, metrics_file), .metavar = "FILE",
		.help = "write figures of the run there at its end, as a Prometheus textfile"},
	{OPT_FLAG(0, "trace", struct output_flags, trace),
		.help = "print a line for every request, without secrets"},
	{0},
};

const struct output_flags *common_output(const struct command *command, const void *flags)
{
	for (const struct opt_group *g = command->groups; g && g->opts; g++) {
		if (g->opts == output_opts)
			return (const struct output_flags *)((const char *)flags + g->field);
	}
	return NULL;
}

int common_store_options(const struct invocation *inv, const struct registry_flags *flags,
	struct oci_store_options *ret, struct oci_error *err)
{
	if (flags->key && !flags->cert)
		return command_misused(inv->command, err, "option '--key' needs --cert");
	*ret = (struct oci_store_options){
		.plain_http = flags->plain_http,
		.tls_insecure = !flags->tls_verify,
		.ca_file = flags->ca_file,
		.cert_file = flags->cert,
		.key_file = flags->key,
		.authfiles = &flags->authfiles,
		.endpoints = &flags->transfer.endpoints,
		.endpoint_headers = &flags->transfer.endpoint_headers,
		.rate = inv->rate,
		.stall_ms = flags->transfer.stall_timeout_ms,
		.retry_for_ms = flags->transfer.retry_for_ms,
		.cancel = inv->cancel,
		.observer = inv->observer,
	};
	oci_rate_set(inv->rate, flags->transfer.limit_rate);
	return 0;
}

int common_side_options(const struct invocation *inv, const struct registry_flags *both,
	const struct registry_flags *side, struct oci_store_options *ret, struct oci_error *err)
{
	/* A key belongs to its certificate: they come from one of the two together. */
	const struct registry_flags *identity = side->cert || side->key ? side : both;
	struct registry_flags merged = {
		.plain_http = both->plain_http || side->plain_http,
		.tls_verify = both->tls_verify && side->tls_verify,
		.ca_file = side->ca_file ? side->ca_file : both->ca_file,
		.cert = identity->cert,
		.key = identity->key,
		.transfer = both->transfer,
	};

	if (common_store_options(inv, &merged, ret, err) < 0)
		return -1;
	ret->authfiles = side->authfiles.count ? &side->authfiles : &both->authfiles;
	ret->endpoints = &both->transfer.endpoints;
	ret->endpoint_headers = &both->transfer.endpoint_headers;
	return 0;
}

void common_upload_options(const struct upload_flags *flags, struct oci_store_options *ret)
{
	ret->state_dir = flags->state_dir;
}

void common_dir_options(const struct source_flags *flags, struct oci_dir_options *ret)
{
	*ret = (struct oci_dir_options){
		.include = &flags->include,
		.exclude = &flags->exclude,
		.no_default_excludes = flags->no_default_excludes,
	};
}

struct oci_store *common_store_open(const struct invocation *inv, const struct registry_flags *flags,
	const char *text, enum oci_store_mode mode, struct oci_reference *ref, struct oci_error *err)
{
	struct oci_store_options options;

	if (common_store_options(inv, flags, &options, err) < 0 || oci_reference_parse(text, ref, err) < 0)
		return NULL;
	return oci_store_open(ref, mode, &options, err);
}

int common_print_json(struct oci_json_writer *w, struct oci_error *err)
{
	if (oci_json_end(w, err) < 0)
		return -1;
	fwrite(w->out->data, 1, w->out->len, stdout);
	fputc('\n', stdout);
	return 0;
}

int common_read_file(const char *path, struct oci_buf *out, struct oci_error *err)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? stdin : fopen(path, "re");
	char chunk[4096], shown[OCI_STR_ESCAPE_MAX];
	size_t n;
	int rc = 0;

	if (!file)
		return oci_fail_sys(err, errno, errno == ENOENT ? OCI_E_NOT_FOUND : OCI_E_IO, "cannot read '%s'",
			oci_str_escape(path, shown));
	while (rc == 0 && (n = fread(chunk, 1, sizeof chunk, file)) > 0)
		rc = oci_buf_append(out, chunk, n, err);
	if (rc == 0 && ferror(file))
		rc = oci_fail(err, OCI_E_IO, "cannot read '%s'", oci_str_escape(path, shown));
	if (!standard)
		fclose(file);
	return rc;
}

int common_write_file(const char *path, const struct oci_buf *text, struct oci_error *err)
{
	oci_autofree char *name = NULL;
	oci_autoclose int dir = oci_fs_open_parent(path, &name, err);

	return dir < 0 ? -1 : oci_fs_write_file(dir, name, text->data, text->len, 0644, false, err);
}
