/* The way to an image, step by step, and what it needs where it lands. */
#include "engine/doctor_job.h"

#include <string.h>

#include "base/cleanup.h"
#include "http/client.h"
#include "http/dial.h"
#include "source/dir.h"
#include "store/ops.h"

#define DIAL_MS 10000

static void count_layer(struct doctor *d, size_t i)
{
	const struct oci_image_layer *layer = &d->image.layers[i];
	const struct oci_descriptor *blob = &d->image.manifest.layers[i];
	const struct oci_listing *have = &d->tree.record.listing;
	const struct oci_block_index_layer *indexed;

	if (layer->use == OCI_USE_NONE)
		return;
	for (size_t k = 0; d->has_tree && k < have->layer_count; k++)
		if (oci_digest_equal(&have->layers[k].digest, &blob->digest))
			return;
	if (layer->use != OCI_USE_SHAPED) {
		d->need_bytes += blob->size_bytes;
		d->need_files++;
		d->needs_more = d->needs_more || layer->compression != OCI_PLAIN;
		return;
	}
	indexed = &d->image.index.layers[layer->indexed];
	d->need_files += indexed->file_count;
	for (size_t k = 0; k < indexed->file_count; k++)
		d->need_bytes += d->image.index.files[indexed->first_file + k].size_bytes;
}

static const char *next_of(enum oci_errc code)
{
	switch (code) {
	case OCI_E_AUTH:
		return "modelcar login, or give a pull secret with --authfile";
	case OCI_E_NOT_FOUND:
		return "see modelcar tags, and how the name is spelled";
	case OCI_E_TLS:
		return "trust its authority with --ca-file, or set this machine's clock";
	case OCI_E_NETWORK:
		return "see the registry, and the network policy and proxy between";
	case OCI_E_RATE:
		return "log in, wait, or use a mirror with --endpoint";
	default:
		return NULL;
	}
}

/* Which step a failure belongs to. */
static const char *step_of(enum oci_errc code)
{
	switch (code) {
	case OCI_E_TLS:
		return "tls";
	case OCI_E_AUTH:
		return "auth";
	case OCI_E_NETWORK:
	case OCI_E_RATE:
		return "answer";
	default:
		return "manifest";
	}
}

static void fail_source(struct doctor *d, const struct oci_error *why)
{
	doctor_fail(d, why->code, step_of(why->code), next_of(why->code), "%s", why->text);
}

static struct oci_http *new_client(struct doctor *d, const char *host)
{
	const struct oci_store_options *o = d->options->store;
	struct oci_http_options options = {
		.host = oci_http_asked_at(host), .credentials_for = host, .plain_http = o->plain_http,
		.tls_insecure = o->tls_insecure, .ca_file = o->ca_file, .cert_file = o->cert_file, .key_file = o->key_file,
		.authfiles = o->authfiles, .rate = o->rate, .cancel = o->cancel};
	struct oci_error why = {0};
	struct oci_http *http = oci_http_new(&options, &why);

	if (!http)
		doctor_fail(d, why.code, "registry", next_of(why.code), "%s", why.text);
	return http;
}

/* A mirror may have what its registry, out of reach, has not. */
static bool fail_dial(struct doctor *d, const struct oci_dial *dial, const struct oci_error *why)
{
	const struct oci_strings *mirrors = d->options->store->endpoints;
	const char *what = dial->found ? "connect" : "dns";
	const char *next = dial->found ? "see that it runs, its port, and the network policy between"
				       : "see the host's name, and the name service of the cluster";

	if (mirrors && mirrors->count > 0) {
		doctor_warn(d, what, next, "%s; its mirrors are asked", why->text);
		return true;
	}
	doctor_fail(d, why->code, what, next, "%s", why->text);
	return false;
}

/* Whether it is worth asking, and whether TLS will be spoken. */
static bool check_way(struct doctor *d, const char *host, bool *tls)
{
	struct oci_http *http = new_client(d, host);
	struct oci_dial dial = {.proxied = false};
	struct oci_error why = {0};
	bool reached;

	if (!http)
		return false;
	*tls = strncmp(oci_http_origin(http), "https:", 6) == 0;
	reached = oci_dial(oci_http_origin(http), DIAL_MS, &dial, &why) == 0;
	oci_http_free(http);
	if (dial.found)
		doctor_ok(d, "dns", "'%s' has an address", host);
	if (!reached)
		return fail_dial(d, &dial, &why);
	if (dial.proxied)
		doctor_ok(d, "connect", "'%s' is asked through the proxy of the environment", host);
	else
		doctor_ok(d, "connect", "%s answers in %llu ms", dial.address, (unsigned long long)dial.connect_ms);
	return true;
}

/* What must have worked when an answer has come, whatever it was. */
static void say_answered(struct doctor *d, enum oci_errc code, bool tls)
{
	if (code == OCI_E_TLS || code == OCI_E_NETWORK || code == OCI_E_RATE)
		return;
	if (tls)
		doctor_ok(d, "tls", d->options->store->tls_insecure ? "spoken, and not verified" : "the certificate is trusted");
	else
		doctor_ok(d, "tls", "none: plain http; content is verified by its digests");
	if (code != OCI_E_AUTH)
		doctor_ok(d, "auth", "it may be read");
}

static const struct oci_descriptor *largest_layer(const struct oci_image *image)
{
	const struct oci_descriptor *largest = NULL;

	for (size_t i = 0; i < image->manifest.layer_count; i++)
		if (!largest || image->manifest.layers[i].size_bytes > largest->size_bytes)
			largest = &image->manifest.layers[i];
	return largest;
}

/* Bytes that nobody uses, so nothing need verify them. */
static void check_range(struct doctor *d, struct oci_store *store)
{
	const struct oci_descriptor *layer = largest_layer(&d->image);
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = NULL;
	struct oci_error why = {0};
	char byte, digest[OCI_DIGEST_TEXT_MAX];

	if (!layer || layer->size_bytes < 2)
		return;
	reader = store->ops->open(store, layer, layer->size_bytes - 1, 1, &why);
	if (reader && oci_reader_read(reader, &byte, 1, &why) == 1)
		doctor_ok(d, "range", "the last byte of layer %s comes alone", oci_digest_format(&layer->digest, digest));
	else if (why.code == OCI_E_UNSUPPORTED)
		doctor_warn(d, "range", "let the proxy or mirror between pass Range requests",
			"%s: a pull that is cut starts its layer again", why.text);
	else if (why.code)
		doctor_fail(d, why.code, "range", next_of(why.code), "%s", why.text);
	else
		doctor_fail(d, OCI_E_NETWORK, "range", next_of(OCI_E_NETWORK), "layer %s ends before its size",
			oci_digest_format(&layer->digest, digest));
}

static void check_image(struct doctor *d, bool registry, bool tls)
{
	const struct oci_reference *ref = d->options->from;
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = NULL;
	struct oci_error why = {0};
	char name[OCI_DIGEST_TEXT_MAX], digest[OCI_DIGEST_TEXT_MAX], size[OCI_STR_SIZE_MAX];

	store = oci_store_open(ref, OCI_STORE_READ, d->options->store, &why);
	d->has_image =
		store && oci_image_open(store, oci_image_name(ref, name), d->options->platform, &d->image, &why) == 0;
	if (registry)
		say_answered(d, why.code, tls);
	if (!d->has_image) {
		fail_source(d, &why);
		return;
	}
	for (size_t i = 0; i < d->image.manifest.layer_count; i++)
		count_layer(d, i);
	doctor_ok(d, "manifest", "%s: %llu files, %s%s, that are not there yet",
		oci_digest_format(&d->image.root.digest, digest), (unsigned long long)d->need_files,
		d->needs_more ? "more than " : "", oci_str_size(d->need_bytes, size));
	if (registry)
		check_range(d, store);
}

/* Looked over, not read: which files it has, and that they may be opened. */
static void check_directory(struct doctor *d)
{
	const char *path = d->options->from->path;
	struct oci_dir dir = {0};
	struct oci_error why = {0};
	char size[OCI_STR_SIZE_MAX];

	d->has_image = oci_dir_scan(path, NULL, &dir, &why) == 0;
	if (!d->has_image) {
		doctor_fail(d, why.code, "source", "see its path, its links and who may read it", "%s", why.text);
		return;
	}
	for (size_t i = 0; i < dir.count; i++)
		d->need_bytes += dir.files[i].size_bytes;
	d->need_files = dir.count;
	doctor_ok(d, "source", "'%s': %zu files, %s", path, dir.count, oci_str_size(d->need_bytes, size));
	oci_dir_clear(&dir);
}

void doctor_source(struct doctor *d)
{
	const struct oci_reference *ref = d->options->from;
	bool tls = false;

	if (!ref)
		return;
	if (ref->transport == OCI_TRANSPORT_DIR)
		check_directory(d);
	else if (ref->transport != OCI_TRANSPORT_REGISTRY)
		check_image(d, false, false);
	else if (check_way(d, oci_http_known_as(ref->host), &tls))
		check_image(d, true, tls);
}
