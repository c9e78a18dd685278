#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "common.h"
#include "dest.h"
#include "engine/pull.h"
#include "http/client.h"
#include "kserve.h"
#include "pairs.h"

#define ORIGINAL "/storage-initializer/scripts/initializer-entrypoint"

struct initializer_flags {
	const char *fallback, *platform;
	bool adopt;
	struct dest_flags dest;
	struct registry_flags registry;
	struct output_flags output;
};

/* other schemes */

/* With the pairs that are left, in their order; this process becomes it. */
static int become_fallback(const struct invocation *inv, const char *program, struct oci_error *err)
{
	const char **args = calloc(inv->operand_count + 2, sizeof *args);
	size_t count = 0;

	if (!args)
		return oci_fail_nomem(err);
	args[count++] = program;
	for (size_t i = 0; i < inv->operand_count; i += 2) {
		if (kserve_is_image(inv->operands[i]))
			continue;
		args[count++] = inv->operands[i];
		args[count++] = inv->operands[i + 1];
	}
	oci_event_note(inv->observer, "handing %zu of %zu sources to '%s'", (count - 1) / 2, inv->operand_count / 2,
		program);
	execv(program, (char *const *)args);
	oci_fail_sys(err, errno, OCI_E_NOT_FOUND, "cannot run '%s', which MODELCAR_FALLBACK names", program);
	free(args);
	return -1;
}

static const struct pair *find_pair(const struct pairs *pairs, bool is_image)
{
	for (size_t i = 0; i < pairs->count; i++)
		if (pairs->items[i].is_image == is_image)
			return &pairs->items[i];
	return NULL;
}

static int refuse_foreign(const char *uri, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];

	return oci_fail(err, OCI_E_UNSUPPORTED,
		"'%s' is no image (oci://HOST/REPO[:TAG]); name KServe's own initializer in MODELCAR_FALLBACK, which is "
		"'%s' in its image, or pack the model and name the image",
		oci_str_escape(uri, shown), ORIGINAL);
}

/* images */

/* A registry that must not be verified may have no TLS at all. */
static bool speaks_tls(const struct oci_reference *ref, const struct oci_store_options *store)
{
	struct oci_http_options options = {.host = oci_http_asked_at(ref->host), .credentials_for = ref->host,
		.tls_insecure = true, .stall_ms = store->stall_ms, .cancel = store->cancel};
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;
	struct oci_http *http = oci_http_new(&options, NULL);
	oci_autofree char *url = http ? oci_str_printf("%s/v2/", oci_http_origin(http)) : NULL;
	struct oci_http_request ask = {.method = "GET", .url = url};
	bool spoken;

	oci_http_response_init(&answer, 64 * OCI_KIB);
	spoken = url && oci_http_perform(http, &ask, &answer, NULL) == 0;
	oci_http_free(http);
	return spoken;
}

static void say_done(const struct invocation *inv, const char *uri, const char *dest, uint64_t begin_ms)
{
	/* Word for word: log scrapers know these lines. */
	oci_event_note(inv->observer, "Successfully copied %s to %s", uri, dest);
	oci_event_note(inv->observer, "Model downloaded in %.3f seconds.", (double)(oci_clock_ms() - begin_ms) / 1000);
}

static int pull_reference(const struct invocation *inv, const struct kserve *kserve, const struct oci_reference *ref,
	const struct pair *pair, struct oci_store_options *store, struct oci_error *err)
{
	const struct initializer_flags *flags = inv->flags;
	OCI_CLEANUP(oci_platform_clear) struct oci_platform platform = {0};
	struct oci_pull_report report;
	struct oci_pull_options options = {.from = ref,
		.dest = pair->dest,
		.adopt = flags->adopt || pair->is_outer, /* what lies below is of other pairs */
		.filter = {&kserve->allow, &kserve->ignore},
		.publish = OCI_PUBLISH_IN_PLACE,
		.store = store,
		.observer = inv->observer,
		.cancel = inv->cancel};

	if (flags->platform) {
		if (oci_platform_parse(flags->platform, &platform, err) < 0)
			return -1;
		options.platform = &platform;
	}
	if (kserve->insecure && ref->transport == OCI_TRANSPORT_REGISTRY) {
		store->tls_insecure = speaks_tls(ref, store);
		store->plain_http = !store->tls_insecure;
	}
	return oci_pull(&options, &report, err);
}

static int pull_image(const struct invocation *inv, const struct kserve *kserve, const struct pair *pair,
	struct oci_error *err)
{
	const struct initializer_flags *flags = inv->flags;
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	oci_autofree char *text = kserve_reference(pair->uri);
	struct oci_store_options store;
	uint64_t begin_ms = oci_clock_ms();

	if (!text)
		return oci_fail_nomem(err);
	oci_event_note(inv->observer, "Copying contents of %s to local", pair->uri);
	if (common_store_options(inv, &flags->registry, &store, err) < 0 || oci_reference_parse(text, &ref, err) < 0)
		return -1;
	if (flags->registry.authfiles.count == 0 && kserve->authfiles.count > 0)
		store.authfiles = &kserve->authfiles;
	if (!store.ca_file)
		store.ca_file = kserve->ca_file;
	if (pull_reference(inv, kserve, &ref, pair, &store, err) < 0)
		return -1;
	say_done(inv, pair->uri, pair->dest, begin_ms);
	return 0;
}

static int pull_images(const struct invocation *inv, const struct pairs *pairs, struct oci_error *err)
{
	OCI_CLEANUP(kserve_clear) struct kserve kserve = {0};

	if (kserve_read(inv->observer, &kserve, err) < 0)
		return -1;
	for (size_t i = 0; i < pairs->count; i++)
		if (pairs->items[i].is_image && dest_make_parents(pairs->items[i].dest, err) < 0)
			return -1;
	for (size_t i = 0; i < pairs->count; i++)
		if (pairs->items[i].is_image && pull_image(inv, &kserve, &pairs->items[i], err) < 0)
			return -1;
	return 0;
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct initializer_flags *flags = inv->flags;
	OCI_CLEANUP(pairs_clear) struct pairs pairs = {0};
	const struct pair *foreign;

	if (inv->operand_count % 2 != 0)
		return command_misused(inv->command, err, "sources and destinations come in pairs, and '%s' has none",
			inv->operands[inv->operand_count - 1]);
	if (pairs_read(&flags->dest, inv->operands, inv->operand_count, &pairs, err) < 0)
		return -1;
	foreign = find_pair(&pairs, false);
	if (foreign && !flags->fallback)
		return refuse_foreign(foreign->uri, err);
	if (find_pair(&pairs, true) && pull_images(inv, &pairs, err) < 0)
		return -1;
	return foreign ? become_fallback(inv, flags->fallback, err) : 0;
}

static const struct opt opts[] = {
	{OPT_TEXT(0, "fallback", struct initializer_flags, fallback), .metavar = "FILE",
		.help = "the program that takes all sources that are no images"},
	{OPT_TEXT(0, "platform", struct initializer_flags, platform), .metavar = "OS/ARCH",
		.help = "which image of an index (this machine's, else ours)"},
	{OPT_FLAG(0, "adopt", struct initializer_flags, adopt),
		.help = "keep files of DEST that no pull put there where they are right, replace the others"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "SRC DEST", .help = "pairs of an image, oci://HOST/REPO[:TAG|@DIGEST], and the directory that it fills",
		.min = 2, .max = OPT_MANY},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	DEST_GROUP(struct initializer_flags, dest),
	REGISTRY_GROUP(struct initializer_flags, registry),
	OUTPUT_GROUP(struct initializer_flags, output),
	{0},
};

static const struct example examples[] = {
	{"as KServe runs it", "storage-initializer oci://reg.example/models/qwen2:0.5b /mnt/models"},
	{"with KServe's own for the rest",
		"storage-initializer --fallback /initializer hf://org/m /mnt/models"},
	{0},
};

const struct command cmd_storage_initializer = {
	.name = "storage-initializer",
	.summary = "fill directories as KServe's init container does",
	.about = "What stands in for KServe's storage initializer, also when the program is called storage-initializer or "
		 "initializer-entrypoint. Each image is pulled into its directory, in place where it exists; one that is there already and "
		 "unchanged takes a moment. Several may lie one below the other, but not two in one. Read from the environment are KSERVE_OCI_DOCKER_CONFIG, "
		 "KSERVE_OCI_INSECURE_REGISTRY, CA_BUNDLE_CONFIGMAP_NAME, CA_BUNDLE_VOLUME_MOUNT_POINT, "
		 "STORAGE_ALLOW_PATTERNS and STORAGE_IGNORE_PATTERNS.\n\nSources of other schemes go to the program that "
		 "MODELCAR_FALLBACK names; without one they are refused. The exit status is 1 for each failure, and the "
		 "termination message has its code and reason.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.exits = COMMAND_EXITS(OCI_E_BUG),
	.plain_exit = true,
	.flags_size = sizeof(struct initializer_flags),
	.run = run,
};
