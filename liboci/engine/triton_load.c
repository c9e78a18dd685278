#include "engine/triton_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "core/json.h"
#include "engine/place.h"
#include "http/client.h"
#include "http/credentials.h"
#include "http/url.h"

#define ANSWER_MAX (64 * OCI_KIB)
#define POLL_MS 500
#define NAP_MS 100
#define LEAST_MS 1000 /* for an answer, however little time is left */

/* names */

static bool is_number(const char *text, size_t len)
{
	return len > 0 && *text != '0' && strspn(text, "0123456789") == len;
}

/* "<model>/config.pbtxt" or "<model>/<version>/…": the length of the model's name, else 0. */
static size_t model_of(const char *path)
{
	const char *slash = strchr(path, '/'), *second = slash ? strchr(slash + 1, '/') : NULL;

	if (!slash)
		return 0;
	if (strcmp(slash + 1, "config.pbtxt") == 0 || (second && is_number(slash + 1, (size_t)(second - slash - 1))))
		return (size_t)(slash - path);
	return 0;
}

static int add_last_component(const char *path, struct oci_strings *ret, struct oci_error *err)
{
	oci_autofree char *name = NULL;
	oci_autoclose int parent = oci_fs_open_parent(path, &name, err);

	return parent < 0 ? -1 : oci_strings_add(ret, name, err);
}

int oci_triton_models(const char *path, const struct oci_listing *files, struct oci_strings *ret, struct oci_error *err)
{
	if (oci_place_is_model(files))
		return add_last_component(path, ret, err);
	for (size_t i = 0; i < files->count; i++) {
		size_t len = model_of(files->files[i].path);
		oci_autofree char *name = len ? strndup(files->files[i].path, len) : NULL;

		if (len == 0)
			continue;
		if (!name)
			return oci_fail_nomem(err);
		if (!oci_strings_has(ret, name) && oci_strings_add(ret, name, err) < 0)
			return -1;
	}
	return 0;
}

/* requests */

struct load {
	const struct oci_triton_load_options *options;
	struct oci_http *http;
	uint64_t end_ms;
};

static uint64_t left_ms(const struct load *load)
{
	uint64_t now = oci_clock_ms();

	return now < load->end_ms ? load->end_ms - now : 0;
}

static bool is_cancelled(const struct load *load)
{
	return load->options->cancel && atomic_load(load->options->cancel) != 0;
}

/* "<url>/v2/<before><name>/<after>", with a scheme and the name escaped. */
static char *url_of(const char *base, const char *before, const char *name, const char *after)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf escaped;
	size_t len = strlen(base);

	oci_buf_init(&escaped, OCI_URL_MAX);
	while (len > 0 && base[len - 1] == '/')
		len--;
	if (oci_url_escape(name, &escaped, NULL) < 0)
		return NULL;
	return oci_str_printf("%s%.*s/v2/%s%s/%s", strstr(base, "://") ? "" : "http://", (int)len, base, before,
		oci_buf_text(&escaped), after);
}

char *oci_triton_endpoint(const char *url, const char *model)
{
	return url_of(url, "models/", model, "infer");
}

static int ask(const struct load *load, const char *method, const char *url, struct oci_http_response *answer,
	struct oci_error *err)
{
	uint64_t left = left_ms(load);
	struct oci_http_request request = {.method = method,
		.url = url,
		.body = *method == 'P' ? "{}" : NULL,
		.body_len = *method == 'P' ? 2 : 0,
		.content_type = *method == 'P' ? "application/json" : NULL,
		.answer_ms = left > LEAST_MS ? left : LEAST_MS};

	oci_http_response_clear(answer);
	return oci_http_perform(load->http, &request, answer, err);
}

/* {"error": "…"} */
static const char *words_of(const struct oci_http_response *answer, char shown[OCI_STR_ESCAPE_MAX])
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc =
		oci_json_parse(oci_buf_text(&answer->body), answer->body.len, &OCI_JSON_SMALL, NULL);
	const char *text = doc ? oci_json_text(doc, "error") : NULL;

	return text ? oci_str_escape(text, shown) : "no reason given";
}

static int refuse(const char *model, const struct oci_http_response *answer, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	const char *words = words_of(answer, shown);
	bool not_explicit = strstr(words, "explicit model load") != NULL;

	return oci_fail(err, OCI_E_UNSUPPORTED, "Triton does not load model '%s': status %d, %s%s", model, answer->status,
		words, not_explicit ? "; start it with --model-control-mode=explicit" : "; see its log");
}

/* Is there any use in asking again? */
static bool may_come(int status)
{
	return status == 502 || status == 503 || status == 504 || status == 429;
}

static int rest(const struct load *load, const char *model, const char *why, struct oci_error *err)
{
	uint64_t until = oci_clock_ms() + POLL_MS;

	while (oci_clock_ms() < until && !is_cancelled(load))
		oci_clock_sleep_ms(NAP_MS);
	if (is_cancelled(load))
		return oci_fail(err, OCI_E_CANCELLED, "cancelled while Triton loads model '%s'; the tree is published", model);
	if (left_ms(load) > 0)
		return 0;
	return oci_fail(err, OCI_E_TIMEOUT, "model '%s' is not ready after %.1f s: %s; the tree is published, see Triton's log",
		model, (double)load->options->timeout_ms / 1000, why);
}

/* What was said last, for who waits. */
static void note_why(const struct oci_error *failed, int status, char why[OCI_STR_ESCAPE_MAX])
{
	if (failed->code)
		oci_str_escape(failed->text, why);
	else
		snprintf(why, OCI_STR_ESCAPE_MAX, "Triton answers with status %d", status);
}

static int request_load(const struct load *load, const char *model, struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;
	oci_autofree char *url = url_of(load->options->url, "repository/models/", model, "load");
	char why[OCI_STR_ESCAPE_MAX];

	if (!url)
		return oci_fail_nomem(err);
	oci_http_response_init(&answer, ANSWER_MAX);
	for (;;) {
		struct oci_error failed = {0};

		if (ask(load, "POST", url, &answer, &failed) == 0) {
			if (answer.status == 200)
				return 0;
			if (!may_come(answer.status) || strstr(oci_buf_text(&answer.body), "explicit model load"))
				return refuse(model, &answer, err);
		} else if (failed.code != OCI_E_NETWORK && !is_cancelled(load)) {
			if (err)
				*err = failed;
			return -1;
		}
		note_why(&failed, answer.status, why);
		if (rest(load, model, why, err) < 0)
			return -1;
	}
}

static bool is_ready(const struct load *load, const char *url, char why[OCI_STR_ESCAPE_MAX])
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;
	struct oci_error failed = {0};

	oci_http_response_init(&answer, ANSWER_MAX);
	if (ask(load, "GET", url, &answer, &failed) == 0 && answer.status == 200)
		return true;
	note_why(&failed, answer.status, why);
	return false;
}

static int load_model(const struct load *load, const char *model, struct oci_error *err)
{
	oci_autofree char *url = url_of(load->options->url, "models/", model, "ready");
	char why[OCI_STR_ESCAPE_MAX];

	if (!url)
		return oci_fail_nomem(err);
	if (load->options->only_unready && is_ready(load, url, why))
		return 0;
	if (request_load(load, model, err) < 0)
		return -1;
	while (!is_ready(load, url, why))
		if (rest(load, model, why, err) < 0)
			return -1;
	return 0;
}

static int open_client(const struct oci_triton_load_options *o, struct load *load, struct oci_error *err)
{
	static const struct oci_credentials none = {0};
	OCI_CLEANUP(oci_url_clear) struct oci_url url = {0};
	oci_autofree char *text = url_of(o->url, "", "x", "");
	struct oci_http_options options = {.plain_http = true, .credentials = &none, .cancel = o->cancel};
	struct oci_error why = {0};

	if (!text)
		return oci_fail_nomem(err);
	if (oci_url_parse(text, &url, &why) < 0)
		return oci_fail(err, OCI_E_USAGE, "'%s' is no URL of a Triton server, as http://HOST:8000 is: %s", o->url,
			why.text);
	options.host = url.origin;
	options.credentials_for = url.host;
	load->http = oci_http_new(&options, err);
	return load->http ? 0 : -1;
}

int oci_triton_load(const struct oci_triton_load_options *options, struct oci_error *err)
{
	struct load load = {.options = options, .end_ms = oci_clock_ms() + options->timeout_ms};
	int rc = 0;

	if (open_client(options, &load, err) < 0)
		return -1;
	oci_event_phase(options->observer, "load", 0, options->models->count);
	for (size_t i = 0; i < options->models->count && rc == 0; i++) {
		rc = load_model(&load, options->models->items[i], err);
		if (rc == 0)
			oci_event_done(options->observer, options->models->items[i], 0, "ready");
	}
	oci_http_free(load.http);
	return rc;
}
