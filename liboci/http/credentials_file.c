#include "http/credentials_file.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "core/json.h"
#include "http/helper.h"

#define FILE_MAX OCI_MIB
#define LINKS_MAX 8

struct edit {
	const char *registry;
	const struct oci_credentials *entry; /* NULL: only take out what is there */
	bool found;
};

static void wipe(struct oci_buf *buf)
{
	if (buf->data)
		explicit_bzero(buf->data, buf->len);
	oci_buf_clear(buf);
}

/* the file */

int oci_credentials_target(const char *authfile, char **ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings search = {0};
	const char *named = authfile ? authfile : getenv("REGISTRY_AUTH_FILE");
	const char *config = getenv("DOCKER_CONFIG"), *home = getenv("HOME");

	if (named && *named)
		return oci_str_set(ret, named, err);
	if (oci_credentials_search(&search, err) < 0)
		return -1;
	for (size_t i = 0; i < search.count; i++)
		if (!oci_str_ends(search.items[i], "/.dockercfg") && access(search.items[i], F_OK) == 0)
			return oci_str_set(ret, search.items[i], err);
	bool own = config && *config;
	if (!own && (!home || !*home))
		return oci_fail(err, OCI_E_USAGE, "no HOME to keep credentials in; name a file with --authfile");
	free(*ret);
	*ret = own ? oci_str_printf("%s/config.json", config) : oci_str_printf("%s/.docker/config.json", home);
	return *ret ? 0 : oci_fail_nomem(err);
}

/* A file that is a link to the user's collection of settings stays one. */
static int follow_links(char **path, struct oci_error *err)
{
	char target[PATH_MAX];

	for (int i = 0; i < LINKS_MAX; i++) {
		ssize_t len = readlink(*path, target, sizeof target - 1);
		if (len < 0)
			return 0;
		target[len] = '\0';
		const char *slash = strrchr(*path, '/');
		int dir_len = target[0] != '/' && slash ? (int)(slash - *path) + 1 : 0;
		char *next = oci_str_printf("%.*s%s", dir_len, *path, target);
		if (!next)
			return oci_fail_nomem(err);
		free(*path);
		*path = next;
	}
	return oci_fail(err, OCI_E_USAGE, "more than %d links, one behind another", LINKS_MAX);
}

static int open_parent(const char *path, bool create, char **name, struct oci_error *err)
{
	const char *slash = strrchr(path, '/');

	if (create && slash && slash != path) {
		oci_autofree char *dir = strndup(path, (size_t)(slash - path));
		if (!dir)
			return oci_fail_nomem(err);
		if (mkdir(dir, 0700) < 0 && errno != EEXIST)
			return oci_fail_sys(err, errno, OCI_E_IO, "cannot make directory '%s'", dir);
	}
	return oci_fs_open_parent(path, name, err);
}

/* *ret stays NULL when there is no file, or an empty one. */
static int read_document(int dir, const char *name, struct oci_json **ret, struct oci_error *err)
{
	OCI_CLEANUP(wipe) struct oci_buf text;
	struct oci_error why = {0};

	oci_buf_init(&text, FILE_MAX);
	if (oci_fs_read_file(dir, name, &text, &why) < 0) {
		if (why.code == OCI_E_NOT_FOUND)
			return 0;
		if (err && !err->code)
			*err = why;
		return -1;
	}
	if (text.len == 0)
		return 0;
	*ret = oci_json_parse(text.data, text.len, &OCI_JSON_SMALL, err);
	if (!*ret)
		return -1;
	if (!oci_json_is_object(*ret))
		return oci_fail(err, OCI_E_FORMAT, "not a JSON object");
	return 0;
}

/* the document */

static bool is_ours(const char *key, const char *registry)
{
	if (strcmp(key, registry) == 0)
		return true;
	return !strchr(registry, '/') && oci_credentials_is_host(key, registry);
}

static bool is_old_form(const struct oci_json *doc)
{
	if (oci_json_get(doc, "auths"))
		return false;
	for (void *i = oci_json_first(doc); i; i = oci_json_next(doc, i))
		if (oci_json_get(oci_json_value(i), "auth") || oci_json_get(oci_json_value(i), "username"))
			return true;
	return false;
}

static void put_value(struct oci_json_writer *w, const char *key, const struct oci_json *value)
{
	OCI_CLEANUP(wipe) struct oci_buf text;

	oci_buf_init(&text, FILE_MAX);
	if (oci_json_dump(value, &text, &w->err) == 0)
		oci_json_put_raw(w, key, oci_buf_text(&text));
}

static void put_entry(struct oci_json_writer *w, const char *key, const struct oci_credentials *c)
{
	OCI_CLEANUP(wipe) struct oci_buf auth;
	oci_autofree char *pair = c->username ? oci_str_printf("%s:%s", c->username, c->password) : NULL;

	oci_buf_init(&auth, FILE_MAX);
	oci_json_object(w, key);
	if (pair && oci_str_base64(pair, strlen(pair), &auth, &w->err) == 0)
		oci_json_put_text(w, "auth", oci_buf_text(&auth));
	oci_json_put_text(w, "identitytoken", c->identity_token);
	oci_json_close(w);
	if (pair)
		explicit_bzero(pair, strlen(pair));
}

static void put_auths(struct oci_json_writer *w, const struct oci_json *auths, struct edit *edit)
{
	oci_json_object(w, "auths");
	for (void *i = oci_json_first(auths); i; i = oci_json_next(auths, i)) {
		if (is_ours(oci_json_key(i), edit->registry))
			edit->found = true;
		else
			put_value(w, oci_json_key(i), oci_json_value(i));
	}
	if (edit->entry)
		put_entry(w, oci_credentials_server(edit->registry), edit->entry);
	oci_json_close(w);
}

static int format(const struct oci_json *doc, struct edit *edit, struct oci_buf *out, struct oci_error *err)
{
	const struct oci_json *auths = oci_json_get(doc, "auths");
	struct oci_json_writer w;

	oci_json_begin(&w, out);
	oci_json_object(&w, NULL);
	for (void *i = oci_json_first(doc); i; i = oci_json_next(doc, i)) {
		if (oci_json_value(i) == auths)
			put_auths(&w, auths, edit);
		else
			put_value(&w, oci_json_key(i), oci_json_value(i));
	}
	if (!auths && edit->entry)
		put_auths(&w, NULL, edit);
	oci_json_close(&w);
	return oci_json_end(&w, err);
}

static int new_line(struct oci_buf *out, unsigned depth, struct oci_error *err)
{
	int rc = oci_buf_puts(out, "\n", err);
	while (rc == 0 && depth-- > 0)
		rc = oci_buf_puts(out, "\t", err);
	return rc;
}

/* The bytes of a text with its quotes, at its first one. */
static size_t text_length(const char *at)
{
	size_t len = 1;
	while (at[len] && at[len] != '"')
		len += at[len] == '\\' && at[len + 1] ? 2 : 1;
	return len + (at[len] == '"');
}

/* Compact JSON as docker and podman lay it out: people edit this file. */
static int indent(const char *json, struct oci_buf *out, struct oci_error *err)
{
	unsigned depth = 0;
	int rc = 0;

	for (const char *at = json; *at && rc == 0;) {
		bool opens = (*at == '{' || *at == '[') && at[1] != '}' && at[1] != ']';
		bool closes = (*at == '}' || *at == ']') && at[-1] != '{' && at[-1] != '[';
		size_t len = *at == '"' ? text_length(at) : 1;

		if (closes)
			rc = new_line(out, --depth, err);
		if (rc == 0)
			rc = oci_buf_append(out, at, len, err);
		if (rc == 0 && *at == ':')
			rc = oci_buf_puts(out, " ", err);
		if (rc == 0 && (opens || *at == ','))
			rc = new_line(out, opens ? ++depth : depth, err);
		at += len;
	}
	return rc < 0 ? rc : oci_buf_puts(out, "\n", err);
}

static int write_document(int dir, const char *name, const struct oci_buf *json, struct oci_error *err)
{
	OCI_CLEANUP(wipe) struct oci_buf text;

	oci_buf_init(&text, 2 * FILE_MAX);
	if (indent(oci_buf_text(json), &text, err) < 0)
		return -1;
	return oci_fs_write_file(dir, name, text.data, text.len, 0600, true, err);
}

/* both */

static int edit_beneath(int dir, const char *name, const struct oci_json *doc, struct edit *edit,
	struct oci_error *err)
{
	OCI_CLEANUP(wipe) struct oci_buf json;

	oci_buf_init(&json, FILE_MAX);
	if (format(doc, edit, &json, err) < 0)
		return -1;
	return edit->found || edit->entry ? write_document(dir, name, &json, err) : 0;
}

/* 1: a helper has it now, *place says which. */
static int save_in_helper(const struct oci_json *doc, const char *registry, const struct oci_credentials *c,
	char **place, struct oci_error *err)
{
	oci_autofree char *host = strndup(registry, strcspn(registry, "/"));

	if (!host)
		return oci_fail_nomem(err);
	const char *helper = oci_credentials_helper(doc, host);
	if (strcmp(host, registry) != 0)
		return helper ? oci_fail(err, OCI_E_USAGE,
			"a helper keeps what belongs to '%s'; log in to the whole of it", host) : 0;
	if (!helper)
		helper = oci_credentials_store(doc);
	if (!helper)
		return 0;
	if (oci_helper_store(helper, oci_credentials_server(host), c, err) < 0)
		return -1;
	free(*place);
	*place = oci_str_printf("docker-credential-%s", helper);
	return *place ? 1 : oci_fail_nomem(err);
}

static int save(const char *path, const char *registry, const struct oci_credentials *c, char **place,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
	oci_autofree char *name = NULL;
	oci_autoclose int dir = open_parent(path, true, &name, err);
	struct edit edit = {.registry = registry, .entry = c};

	if (dir < 0 || read_document(dir, name, &doc, err) < 0)
		return -1;
	if (is_old_form(doc))
		return oci_fail(err, OCI_E_USAGE, "it has the old form of .dockercfg; name another with --authfile");
	int rc = save_in_helper(doc, registry, c, place, err);
	if (rc < 0)
		return -1;
	/* what the file still holds would be found first */
	if (rc == 1)
		edit.entry = NULL;
	else if (oci_str_set(place, path, err) < 0)
		return -1;
	return edit_beneath(dir, name, doc, &edit, err);
}

int oci_credentials_save(const char *path, const char *registry, const struct oci_credentials *c,
	char **place, struct oci_error *err)
{
	oci_autofree char *target = strdup(path);

	if (!target)
		return oci_fail_nomem(err);
	if (follow_links(&target, err) < 0 || save(target, registry, c, place, err) < 0)
		return oci_wrap(err, "credentials file '%s'", path);
	return 0;
}

static int erase_in_helper(const struct oci_json *doc, const char *registry, bool *found, struct oci_error *err)
{
	OCI_CLEANUP(oci_credentials_clear) struct oci_credentials had = {0};
	const char *helper = oci_credentials_helper(doc, registry);
	const char *server = oci_credentials_server(registry);

	if (!helper)
		helper = oci_credentials_store(doc);
	if (!helper || strchr(registry, '/'))
		return 0;
	if (oci_helper_get(helper, server, &had, err) < 0)
		return -1;
	*found = had.username || had.identity_token;
	return *found ? oci_helper_erase(helper, server, err) : 0;
}

static int erase(const char *path, const char *registry, bool *found, struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
	oci_autofree char *name = NULL;
	oci_autoclose int dir = open_parent(path, false, &name, err);
	struct edit edit = {.registry = registry};

	if (dir < 0 || read_document(dir, name, &doc, err) < 0)
		return -1;
	if (is_old_form(doc)) {
		for (void *i = oci_json_first(doc); i; i = oci_json_next(doc, i))
			if (is_ours(oci_json_key(i), registry))
				return oci_fail(err, OCI_E_USAGE, "it has an old form; take the entry out by hand");
		return 0;
	}
	if (erase_in_helper(doc, registry, found, err) < 0 || edit_beneath(dir, name, doc, &edit, err) < 0)
		return -1;
	*found |= edit.found;
	return 0;
}

int oci_credentials_erase(const char *path, const char *registry, bool *found, struct oci_error *err)
{
	oci_autofree char *target = strdup(path);

	*found = false;
	if (!target)
		return oci_fail_nomem(err);
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (follow_links(&target, err) < 0 || erase(target, registry, found, err) < 0)
		return oci_wrap(err, "credentials file '%s'", path);
	return 0;
}
