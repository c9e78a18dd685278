#include "store/registry_list.h"

#include <string.h>

#include "base/cleanup.h"
#include "core/json.h"
#include "core/mediatype.h"
#include "http/url.h"
#include "store/registry.h"
#include "store/registry_sink.h"

#define PAGE_MAX (4 * OCI_MIB)
#define PAGES_MAX 1000
#define NAMES_MAX 1000000
#define REFERRERS_MAX 10000

/* Does what with one page of a list; `list` is its own. */
typedef int (*take_page)(void *list, const struct oci_http_response *answer, struct oci_error *err);

/* What is read, page by page. */
struct list {
	const char *scope;
	const char *accept;  /* of a list that there need not be; NULL: of one that there must be */
	take_page take;
	void *ret;
};

/* GET one page; *url becomes that of the next, empty after the last. 1: there is no such list. */
static int get_page(struct oci_registry *r, struct oci_buf *url, const struct list *list, struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;
	struct oci_http_request ask = {
		.method = "GET", .url = url->data, .scope = list->scope, .accept = list->accept, .retry = true,
	};

	oci_http_response_init(&answer, PAGE_MAX);
	if (oci_http_perform(r->http, &ask, &answer, err) < 0)
		return -1;
	bool absent = answer.status == 404 || answer.status == 405 || answer.status == 501;
	if (list->accept && absent)
		return 1;
	if (oci_http_expect(&ask, &answer, 200, err) < 0 || list->take(list->ret, &answer, err) < 0)
		return -1;
	if (answer.link && (!oci_http_is_home(r->http, answer.link) || strcmp(answer.link, url->data) == 0))
		return oci_fail(err, OCI_E_FORMAT, "its next page is elsewhere or itself");
	oci_buf_reset(url);
	return answer.link ? oci_buf_puts(url, answer.link, err) : 0;
}

/* 1: there is no such list, which only one asked for with `accept` may be. */
static int get_pages(struct oci_registry *r, struct oci_buf *url, const struct list *list, struct oci_error *err)
{
	for (int page = 0; url->len > 0; page++) {
		if (page == PAGES_MAX)
			return oci_fail(err, OCI_E_FORMAT, "over %d pages", PAGES_MAX);
		int rc = get_page(r, url, list, err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* tags */

/* The member `key`, an array of names that are what they should be. */
static int take_names(struct oci_strings *ret, const struct oci_http_response *answer, const char *key,
	bool (*is_good)(const char *name), struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;

	doc = oci_json_parse(oci_buf_text(&answer->body), answer->body.len, &OCI_JSON_MANIFEST, err);
	if (!doc)
		return -1;
	const struct oci_json *names = oci_json_get(doc, key);
	for (size_t i = 0; i < oci_json_count(names); i++) {
		const char *name = oci_json_value_text(oci_json_at(names, i));
		if (!name || !is_good(name))
			return oci_fail(err, OCI_E_FORMAT, "a name in '%s' that is none", key);
		if (ret->count == NAMES_MAX)
			return oci_fail(err, OCI_E_FORMAT, "over %d names in '%s'", NAMES_MAX, key);
		if (oci_strings_add(ret, name, err) < 0)
			return -1;
	}
	return 0;
}

static int take_tags(void *ret, const struct oci_http_response *answer, struct oci_error *err)
{
	return take_names(ret, answer, "tags", oci_reference_tag_ok, err);
}

int oci_registry_tags(struct oci_store *s, struct oci_strings *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	OCI_CLEANUP(oci_strings_clear) struct oci_strings tags = {0};
	struct oci_registry *r = (struct oci_registry *)s;

	oci_buf_init(&url, OCI_URL_MAX);
	if (oci_registry_url(r, "tags", "list?n=1000", &url, err) < 0)
		return -1;
	const struct list list = {r->scope, NULL, take_tags, &tags};
	if (get_pages(r, &url, &list, err) < 0)
		return oci_wrap(err, "list of tags");
	*ret = tags;
	tags = (struct oci_strings){0};
	return 0;
}

/* repositories */

static bool is_repository(const char *name)
{
	return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-/") == strlen(name);
}

static int take_repositories(void *ret, const struct oci_http_response *answer, struct oci_error *err)
{
	return take_names(ret, answer, "repositories", is_repository, err);
}

int oci_registry_catalog(const char *host, const struct oci_store_options *options, struct oci_strings *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *store = NULL;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	OCI_CLEANUP(oci_strings_clear) struct oci_strings names = {0};

	oci_buf_init(&url, OCI_URL_MAX);
	/* a store is one repository: this one is never asked for */
	store = oci_store_registry(host, "_catalog", OCI_STORE_READ, options, err);
	if (!store)
		return -1;
	struct oci_registry *r = (struct oci_registry *)store;
	const struct list list = {"registry:catalog:*", NULL, take_repositories, &names};
	if (oci_buf_printf(&url, err, "%s/v2/_catalog?n=1000", oci_http_origin(r->http)) < 0)
		return -1;
	if (get_pages(r, &url, &list, err) < 0)
		return oci_wrap(err, "list of the repositories of '%s'", host);
	*ret = names;
	names = (struct oci_strings){0};
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
	const struct list list = {r->scope, OCI_MT_INDEX, take_referrers, &found};
	int rc = get_pages(r, &url, &list, err);
	if (rc < 0)
		return oci_wrap(err, "list of referrers");
	*known = rc == 0;
	*ret = found;
	found = (struct oci_manifest){0};
	return 0;
}
