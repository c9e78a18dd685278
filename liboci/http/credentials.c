#include "http/credentials.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "core/json.h"
#include "http/helper.h"

#define HUB_HOST "docker.io"
#define HUB_KEY "https://index.docker.io/v1/"

static bool is_known(const struct oci_credentials *c)
{
	return c->username || c->identity_token;
}

static int split_auth(const char *base64, struct oci_credentials *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf plain;

	oci_buf_init(&plain, 64 * OCI_KIB);
	if (!oci_str_unbase64(base64, &plain, err))
		return oci_fail(err, OCI_E_FORMAT, "'auth' is not base64");
	char *colon = plain.len > 0 ? strchr(plain.data, ':') : NULL;
	if (!colon)
		return oci_fail(err, OCI_E_FORMAT, "'auth' is not user:password");
	*colon = '\0';
	int rc = oci_str_set(&ret->username, plain.data, err);
	if (rc == 0)
		rc = oci_str_set(&ret->password, colon + 1, err);
	explicit_bzero(plain.data, plain.len);
	return rc;
}

static int read_entry(const struct oci_json *entry, struct oci_credentials *ret, struct oci_error *err)
{
	const char *auth = oci_json_text(entry, "auth");
	const char *username = oci_json_text(entry, "username");
	const char *password = oci_json_text(entry, "password");
	const char *token = oci_json_text(entry, "identitytoken");

	if (token && *token)
		return oci_str_set(&ret->identity_token, token, err);
	if (auth && *auth)
		return split_auth(auth, ret, err);
	if (!username || !*username || !password)
		return 0;
	if (oci_str_set(&ret->username, username, err) < 0)
		return -1;
	return oci_str_set(&ret->password, password, err);
}

bool oci_credentials_is_host(const char *key, const char *host)
{
	static const char *const ends[] = {"", "/", "/v1/", "/v2/"};
	size_t len = strlen(host);

	if (strcmp(host, HUB_HOST) == 0 && strcmp(key, HUB_KEY) == 0)
		return true;
	if (oci_str_starts(key, "https://"))
		key += strlen("https://");
	else if (oci_str_starts(key, "http://"))
		key += strlen("http://");
	if (strncmp(key, host, len) != 0)
		return false;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (strcmp(key + len, ends[i]) == 0)
			return true;
	return false;
}

static const struct oci_json *entry_of_host(const struct oci_json *auths, const char *host)
{
	for (void *i = oci_json_first(auths); i; i = oci_json_next(auths, i))
		if (oci_credentials_is_host(oci_json_key(i), host))
			return oci_json_value(i);
	return NULL;
}

static int find_entry(const struct oci_json *auths, const char *resource, struct oci_credentials *ret,
	struct oci_error *err)
{
	oci_autofree char *key = strdup(resource);

	if (!key)
		return oci_fail_nomem(err);
	for (;;) {
		const struct oci_json *entry = oci_json_get(auths, key);
		char *slash = strrchr(key, '/');
		if (!entry && !slash)
			entry = entry_of_host(auths, key);
		if (entry && read_entry(entry, ret, err) < 0)
			return oci_wrap(err, "entry for '%s'", key);
		if (is_known(ret) || !slash)
			return 0;
		*slash = '\0';
	}
}

const char *oci_credentials_server(const char *host)
{
	return strcmp(host, HUB_HOST) == 0 ? HUB_KEY : host;
}

const char *oci_credentials_helper(const struct oci_json *doc, const char *host)
{
	const struct oci_json *helpers = oci_json_get(doc, "credHelpers");
	const char *helper = oci_json_text(helpers, host);
	return helper ? helper : oci_json_text(helpers, oci_credentials_server(host));
}

const char *oci_credentials_store(const struct oci_json *doc)
{
	const char *store = oci_json_text(doc, "credsStore");
	return store && *store ? store : NULL;
}

static int find_in(const struct oci_json *doc, const char *resource, struct oci_credentials *ret,
	struct oci_error *err)
{
	oci_autofree char *host = strndup(resource, strcspn(resource, "/"));

	if (!host)
		return oci_fail_nomem(err);
	const char *helper = oci_credentials_helper(doc, host);
	if (helper)
		return oci_helper_get(helper, oci_credentials_server(host), ret, err);
	const struct oci_json *auths = oci_json_get(doc, "auths");
	/* a .dockercfg is the inner object alone */
	if (find_entry(auths ? auths : doc, resource, ret, err) < 0)
		return -1;
	const char *store = oci_credentials_store(doc);
	if (!is_known(ret) && store)
		return oci_helper_get(store, oci_credentials_server(host), ret, err);
	return 0;
}

int oci_credentials_parse(const char *text, size_t len, const char *resource, struct oci_credentials *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;

	doc = oci_json_parse(text, len, &OCI_JSON_SMALL, err);
	if (!doc)
		return -1;
	if (!oci_json_is_object(doc))
		return oci_fail(err, OCI_E_FORMAT, "not a JSON object");
	return find_in(doc, resource, ret, err);
}

static int read_all(int fd, struct oci_buf *out, struct oci_error *err)
{
	char chunk[4096];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof chunk)) != 0) {
		if (n < 0 && errno != EINTR)
			return oci_fail_sys(err, errno, OCI_E_IO, "read");
		if (n > 0 && oci_buf_append(out, chunk, (size_t)n, err) < 0)
			return -1;
	}
	explicit_bzero(chunk, sizeof chunk);
	return 0;
}

static int read_file(int fd, const char *path, const char *resource, struct oci_credentials *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, OCI_MIB);
	int rc = read_all(fd, &text, err);
	if (rc == 0 && text.len > 0)
		rc = oci_credentials_parse(text.data, text.len, resource, ret, err);
	if (text.data)
		explicit_bzero(text.data, text.len);
	if (rc < 0 && err && err->code == OCI_E_FORMAT)
		return oci_wrap(err, "mend the credentials file '%s', or name another with --authfile", path);
	return rc < 0 ? oci_wrap(err, "credentials file '%s'", path) : 0;
}

static int read_secret(int dir, const char *path, const char *resource, struct oci_credentials *ret,
	struct oci_error *err)
{
	static const char *const names[] = {".dockerconfigjson", ".dockercfg", "config.json", "auth.json"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		oci_autoclose int fd = openat(dir, names[i], O_RDONLY | O_CLOEXEC);
		oci_autofree char *whole = oci_str_printf("%s/%s", path, names[i]);
		if (!whole)
			return oci_fail_nomem(err);
		if (fd >= 0)
			return read_file(fd, whole, resource, ret, err);
	}
	return oci_fail(err, OCI_E_USAGE, "directory '%s' holds no .dockerconfigjson or other credentials", path);
}

/* The user's own path: links are followed, secrets in Kubernetes are links. */
static int try_path(const char *path, bool named, const char *resource, struct oci_credentials *ret,
	struct oci_error *err)
{
	oci_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return named ? oci_fail(err, OCI_E_USAGE, "credentials file '%s' does not exist", path) : 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "credentials file '%s'", path);
	if (S_ISDIR(st.st_mode))
		return read_secret(fd, path, resource, ret, err);
	return read_file(fd, path, resource, ret, err);
}

static int add_path(struct oci_strings *list, const char *dir, const char *name, struct oci_error *err)
{
	if (!dir || !*dir)
		return 0;
	oci_autofree char *path = oci_str_printf("%s/%s", dir, name);
	return path ? oci_strings_add(list, path, err) : oci_fail_nomem(err);
}

int oci_credentials_search(struct oci_strings *ret, struct oci_error *err)
{
	const char *home = getenv("HOME");
	const char *config = getenv("XDG_CONFIG_HOME");
	bool own_config = config && *config;

	if (add_path(ret, getenv("DOCKER_CONFIG"), "config.json", err) < 0 ||
	    add_path(ret, getenv("XDG_RUNTIME_DIR"), "containers/auth.json", err) < 0 ||
	    add_path(ret, own_config ? config : home,
		    own_config ? "containers/auth.json" : ".config/containers/auth.json", err) < 0 ||
	    add_path(ret, home, ".docker/config.json", err) < 0)
		return -1;
	return add_path(ret, home, ".dockercfg", err);
}

int oci_credentials_find(const struct oci_strings *authfiles, const char *resource,
	struct oci_credentials *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings search = {0};
	const char *file = getenv("REGISTRY_AUTH_FILE");
	bool named = true;

	if (!authfiles || authfiles->count == 0) {
		named = file && *file;
		if ((named ? oci_strings_add(&search, file, err) : oci_credentials_search(&search, err)) < 0)
			return -1;
		authfiles = &search;
	}
	for (size_t i = 0; i < authfiles->count && !is_known(ret); i++)
		if (try_path(authfiles->items[i], named, resource, ret, err) < 0)
			return -1;
	return 0;
}

int oci_credentials_copy(struct oci_credentials *to, const struct oci_credentials *from, struct oci_error *err)
{
	if (oci_str_set(&to->username, from->username, err) < 0 ||
	    oci_str_set(&to->password, from->password, err) < 0)
		return -1;
	return oci_str_set(&to->identity_token, from->identity_token, err);
}

static void clear_secret(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

void oci_credentials_clear(struct oci_credentials *c)
{
	clear_secret(&c->username);
	clear_secret(&c->password);
	clear_secret(&c->identity_token);
}
