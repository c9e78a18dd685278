#include "store/registry_list.h"

#include <string.h>

#include "base/cleanup.h"
#include "core/json.h"
#include "core/mediatype.h"
#include "http/url.h"
#include "store/registry_sink.h"

#define PAGE_MAX (4 * OCI_MIB)
#define PAGES_MAX 1000
#define TAGS_MAX 1000000
#define REFERRERS_MAX 10000

/* Does what with one page of a list; `list` is its own. */
typedef int (*take_page)(void *list, const struct oci_http_response *answer, struct oci_error *err);

/* GET one page; *url becomes that of the next, empty after the last. 1: there is no such list. */
static int get_page(struct oci_registry *r, struct oci_buf *url, const char *accept, take_page take, void *list,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;
	struct oci_http_request ask = {
		.method = "GET", .url = url->data, .scope = r->scope, .accept = accept, .retry = true,
	};

	oci_http_response_init(&answer, PAGE_MAX);
	if (oci_http_perform(r->http, &ask, &answer, err) < 0)
		return -1;
	bool absent = answer.status == 404 || answer.status == 405 || answer.status == 501;
	if (accept && absent)
		return 1;
	if (oci_http_expect(&ask, &answer, 200, err) < 0 || take(list, &answer, err) < 0)
		return -1;
	if (answer.link && (!oci_http_is_home(r->http, answer.link) || strcmp(answer.link, url->data) == 0))
		return oci_fail(err, OCI_E_FORMAT, "its next page is elsewhere or itself");
	oci_buf_reset(url);
	return answer.link ? oci_buf_puts(url, answer.link, err) : 0;
}

/* 1: there is no such list, which only one asked for with `accept` may be. */
static int get_pages(struct oci_registry *r, struct oci_buf *url, const char *accept, take_page take, void *list,
	struct oci_error *err)
{
	for (int page = 0; url->len > 0; page++) {
		if (page == PAGES_MAX)
			return oci_fail(err, OCI_E_FORMAT, "over %d pages", PAGES_MAX);
		int rc = get_page(r, url, accept, take, list, err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* tags */

static int take_tags(void *list, const struct oci_http_response *answer, struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
	struct oci_strings *ret = list;

	doc = oci_json_parse(oci_buf_text(&answer->body), answer->body.len, &OCI_JSON_MANIFEST, err);
	if (!doc)
		return -1;
	const struct oci_json *tags = oci_json_get(doc, "tags");
	for (size_t i = 0; i < oci_json_count(tags); i++) {
		const char *tag = oci_json_value_text(oci_json_at(tags, i));
		if (!tag || !oci_reference_tag_ok(tag))
			return oci_fail(err, OCI_E_FORMAT, "a name that is no tag");
		if (ret->count == TAGS_MAX)
			return oci_fail(err, OCI_E_FORMAT, "over %d tags", TAGS_MAX);
		if (oci_strings_add(ret, tag, err) < 0)
			return -1;
	}
	return 0;
}

int oci_registry_tags(struct oci_store *s, struct oci_strings *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0};
	struct oci_registry *r = (struct oci_registry *)s;

	oci_buf_init(&url, OCI_URL_MAX);
	if (oci_registry_url(r, "tags", "list?n=1000", &url, err) < 0)
		return -1;
	if (get_pages(r, &url, NULL, take_tags, &tags, err) < 0)
		return oci_wrap(err, "list of tags");
	*ret = tags;
	tags = (struct oci_strings){0};
	return 0;
}

/* referrers */

static int take_referrers(void *list, const struct oci_http_response *answer, struct oci_error *err)
{
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest page = {0};
	struct oci_manifest *ret = list;

	if (oci_manifest_parse(oci_buf_text(&answer->body), answer->body.len, OCI_MT_INDEX, &page, err) < 0)
		return -1;
	if (page.manifest_count > REFERRERS_MAX - ret->manifest_count)
		return oci_fail(err, OCI_E_FORMAT, "over %d referrers", REFERRERS_MAX);
	for (size_t i = 0; i < page.manifest_count; i++) {
		struct oci_descriptor *d = oci_manifest_add_manifest(ret, err);
		if (!d)
			return -1;
		*d = page.manifests[i];
		page.manifests[i] = (struct oci_descriptor){0};
	}
	return 0;
}

int oci_registry_referrers(struct oci_store *s, const struct oci_digest *subject, const char *artifact_type,
	struct oci_manifest *ret, bool *known, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	OCI_CLEANUP(oci_manifest_clear) struct oci_manifest found = {.is_index = true};
	struct oci_registry *r = (struct oci_registry *)s;
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_buf_init(&url, OCI_URL_MAX);
	if (oci_registry_url(r, "referrers", oci_digest_format(subject, digest), &url, err) < 0)
		return -1;
	if (artifact_type && oci_url_add_query(&url, "artifactType", artifact_type, err) < 0)
		return -1;
	int rc = get_pages(r, &url, OCI_MT_INDEX, take_referrers, &found, err);
	if (rc < 0)
		return oci_wrap(err, "list of referrers");
	*known = rc == 0;
	*ret = found;
	found = (struct oci_manifest){0};
	return 0;
}
