#include "core/reference.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define NAME_MAX_BYTES 255
#define TAG_MAX_BYTES 128
#define PORT_MAX 65535

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

#define DOCKER_ARCHIVE_FORM "docker-archive:FILE[:tag] or docker-archive:FILE:name:tag"
#define PART_DIGITS_MIN 3
#define BUNDLE_FORM "bundle:FILE[:tag] or bundle:FILE:host/repository:tag"
#define FULL_NAME_FORM "FILE[:tag] or FILE:host/repository:tag"
#define FORMS "host/repository[:tag], oci:DIR[:tag], oci-archive:FILE[:tag], docker-archive:FILE[:name:tag], bundle:FILE[:tag] or dir:PATH"

static const struct scheme {
	const char *prefix;
	enum oci_transport transport;
} schemes[] = {
	/* oci:// goes first: it is a registry, while oci: alone is a directory. */
	{"docker://", OCI_TRANSPORT_REGISTRY},
	{"oci://", OCI_TRANSPORT_REGISTRY},
	{"oci-archive:", OCI_TRANSPORT_ARCHIVE},
	{"docker-archive:", OCI_TRANSPORT_DOCKER_ARCHIVE},
	{"bundle:", OCI_TRANSPORT_BUNDLE},
	{"oci:", OCI_TRANSPORT_LAYOUT},
	{"dir:", OCI_TRANSPORT_DIR},
};

static const char *transport_prefix(enum oci_transport transport)
{
	switch (transport) {
	case OCI_TRANSPORT_LAYOUT:
		return "oci:";
	case OCI_TRANSPORT_ARCHIVE:
		return "oci-archive:";
	case OCI_TRANSPORT_DOCKER_ARCHIVE:
		return "docker-archive:";
	case OCI_TRANSPORT_BUNDLE:
		return "bundle:";
	case OCI_TRANSPORT_DIR:
		return "dir:";
	case OCI_TRANSPORT_REGISTRY:
		break;
	}
	return "";
}

static const char *take_scheme(const char *text, enum oci_transport *ret)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (!oci_str_starts(text, schemes[i].prefix))
			continue;
		*ret = schemes[i].transport;
		return text + strlen(schemes[i].prefix);
	}
	*ret = OCI_TRANSPORT_REGISTRY;
	return text;
}

bool oci_reference_tag_ok(const char *tag)
{
	size_t len = strlen(tag);
	return len > 0 && len <= TAG_MAX_BYTES && *tag != '.' && *tag != '-' &&
		strspn(tag, LOWER UPPER DIGITS "._-") == len;
}

/* Between two alphanumeric runs stand ".", "_", "__" or any number of "-". */
static size_t separator_length(const char *text)
{
	size_t dashes = strspn(text, "-");
	if (dashes)
		return dashes;
	if (*text == '.')
		return 1;
	size_t underscores = strspn(text, "_");
	return underscores <= 2 ? underscores : 0;
}

static bool repository_ok(const char *text)
{
	for (;;) {
		size_t run = strspn(text, LOWER DIGITS);
		if (run == 0)
			return false;
		text += run;
		if (*text == '\0')
			return true;
		size_t separator = *text == '/' ? 1 : separator_length(text);
		if (separator == 0)
			return false;
		text += separator;
	}
}

static bool port_ok(const char *text)
{
	uint64_t port;
	return oci_str_u64(text, &port) && port > 0 && port <= PORT_MAX;
}

static bool ipv6_host_ok(const char *host)
{
	char address[INET6_ADDRSTRLEN];
	struct in6_addr parsed;
	const char *end = strchr(host, ']');
	size_t len = end ? (size_t)(end - host - 1) : 0;
	if (len == 0 || len >= sizeof(address))
		return false;
	memcpy(address, host + 1, len);
	address[len] = '\0';
	if (inet_pton(AF_INET6, address, &parsed) != 1)
		return false;
	return end[1] == '\0' || (end[1] == ':' && port_ok(end + 2));
}

static bool host_ok(const char *host)
{
	if (*host == '[')
		return ipv6_host_ok(host);
	for (;;) {
		size_t label = strspn(host, LOWER UPPER DIGITS "-");
		if (label == 0 || host[0] == '-' || host[label - 1] == '-')
			return false;
		host += label;
		if (*host == '\0')
			return true;
		if (*host == ':')
			return port_ok(host + 1);
		if (*host++ != '.')
			return false;
	}
}

static bool is_word(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && strncmp(text, word, len) == 0;
}

/* Whether the first component of a name, `len` bytes, is meant as a host at all. */
static bool looks_like_host(const char *text, size_t len)
{
	return strcspn(text, ".:[") < len || is_word(text, len, "localhost");
}

/* Docker Hub keeps its one-word repositories below library/. */
static const char *hub_directory(const char *host, size_t len, const char *repository)
{
	return is_word(host, len, "docker.io") && !strchr(repository, '/') ? "library/" : "";
}

char *oci_reference_docker_name(const char *name)
{
	size_t len = strcspn(name, "/");
	if (name[len] == '\0')
		return oci_str_printf("docker.io/library/%s", name);
	if (!looks_like_host(name, len))
		return oci_str_printf("docker.io/%s", name);
	const char *repository = name + len + 1;
	return oci_str_printf("%.*s/%s%s", (int)len, name, hub_directory(name, len, repository), repository);
}

/* Cut a tag off at the last ':' that no '/' follows. */
static int cut_tag(char *text, char **ret, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	char *colon = strrchr(text, ':');
	if (!colon || strchr(colon, '/'))
		return 0;
	*colon = '\0';
	if (!oci_reference_tag_ok(colon + 1))
		return oci_fail(err, OCI_E_USAGE,
			"tag '%s' is not 1 to 128 letters, digits, '_', '.' or '-', as in repository:v1.0",
			oci_str_escape(colon + 1, shown));
	return oci_str_set(ret, colon + 1, err);
}

static int cut_digest(char *at, struct oci_digest *ret, struct oci_error *err)
{
	struct oci_error why = {0};
	if (!at)
		return 0;
	*at = '\0';
	if (oci_digest_parse(at + 1, ret, &why) < 0)
		return oci_fail(err, OCI_E_USAGE, "%s", why.text); /* here they are the user's words */
	return 0;
}

static int check_repository(const char *host, const char *repository, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	if (!repository_ok(repository))
		return oci_fail(err, OCI_E_USAGE,
			"repository '%s' is not lower-case words joined by '.', '_', '__', '-' or '/', "
			"as in team/my-model",
			oci_str_escape(repository, shown));
	if (strlen(host) + 1 + strlen(repository) > NAME_MAX_BYTES)
		return oci_fail(err, OCI_E_USAGE,
			"repository '%.64s...' is too long, host/repository may have %d bytes", repository,
			NAME_MAX_BYTES);
	return 0;
}

static bool is_url(const char *text)
{
	return oci_str_starts(text, "https://") || oci_str_starts(text, "http://");
}

static int fail_no_host(const char *text, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	if (is_url(text)) /* not shown: a URL may hold a password */
		return oci_fail(err, OCI_E_USAGE,
			"a URL is no reference, leave 'http://' or 'https://' away: host/repository[:tag]");
	return oci_fail(err, OCI_E_USAGE, "reference '%s' names no registry host, write " FORMS,
		oci_str_escape(text, shown));
}

static int check_host(const char *host, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	if (host_ok(host))
		return 0;
	return oci_fail(err, OCI_E_USAGE,
		"host '%s' is malformed, write name.example:5000/repository or [::1]:5000/repository",
		oci_str_escape(host, shown));
}

/* host/repo[:tag][@digest]; `text` is cut to pieces. */
static int parse_registry(char *text, struct oci_reference *ref, struct oci_error *err)
{
	if (is_url(text))
		return fail_no_host(text, err);
	if (cut_digest(strchr(text, '@'), &ref->digest, err) < 0)
		return -1;

	char *slash = strchr(text, '/');
	if (!slash)
		return fail_no_host(text, err);
	*slash = '\0';
	if (!looks_like_host(text, strlen(text))) {
		*slash = '/';
		return fail_no_host(text, err);
	}
	if (check_host(text, err) < 0)
		return -1;

	char *repository = slash + 1;
	if (cut_tag(repository, &ref->tag, err) < 0 || oci_str_set(&ref->host, text, err) < 0)
		return -1;
	ref->path = oci_str_printf("%s%s", hub_directory(text, strlen(text), repository), repository);
	if (!ref->path)
		return oci_fail_nomem(err);
	return check_repository(ref->host, ref->path, err);
}

/* The last '@' when a digest is what follows: paths may hold an '@'. */
static char *find_digest(char *text)
{
	char *at = strrchr(text, '@');
	if (at && (oci_str_starts(at + 1, "sha256:") || oci_str_starts(at + 1, "sha512:")))
		return at;
	return NULL;
}

/* A tag, or a name that ends in one, as it stands. */
static int take_full_name(char *text, char **ret, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	const char *colon = strrchr(text, ':');
	if (!oci_reference_tag_ok(colon ? colon + 1 : text))
		return oci_fail(err, OCI_E_USAGE, "'%s' is neither a tag nor a name with a tag, write " FULL_NAME_FORM,
			oci_str_escape(text, shown));
	return oci_str_set(ret, text, err);
}

/* Does what ends at `end` look like the name of an archive, or of a part of one
 * (".part001", ".001")? */
static bool is_archive_name(const char *text, const char *end)
{
	static const char *const ends[] = {".tar", ".tgz", ".gz", ".zst"};
	const char *number = end;

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		size_t len = strlen(ends[i]);

		if ((size_t)(end - text) > len && strncmp(end - len, ends[i], len) == 0)
			return true;
	}
	while (number > text && number[-1] >= '0' && number[-1] <= '9')
		number--;
	if (end - number < PART_DIGITS_MIN)
		return false;
	if (number - text > 4 && strncmp(number - 4, "part", 4) == 0)
		number -= 4;
	return number - text > 1 && number[-1] == '.';
}

/* Behind the name of an archive may stand a full name: FILE.tar:host/repository:tag. */
static char *find_archive_name(char *text)
{
	for (char *colon = strchr(text, ':'); colon; colon = strchr(colon + 1, ':'))
		if (strchr(colon, '/') && is_archive_name(text, colon))
			return colon;
	return NULL;
}

/* PATH[:tag][@digest]; `text` is cut to pieces. */
static int parse_local(char *text, struct oci_reference *ref, struct oci_error *err)
{
	char *name = NULL;
	if (cut_digest(find_digest(text), &ref->digest, err) < 0)
		return -1;
	if (ref->transport == OCI_TRANSPORT_ARCHIVE)
		name = find_archive_name(text);
	if (name) {
		*name = '\0';
		return take_full_name(name + 1, &ref->tag, err) < 0 ? -1 : oci_str_set(&ref->path, text, err);
	}
	if (cut_tag(text, &ref->tag, err) < 0)
		return -1;
	if (*text == '\0')
		return oci_fail(err, OCI_E_USAGE, "a path is missing, write %s",
			ref->transport == OCI_TRANSPORT_LAYOUT ? "oci:DIR[:tag]" : "oci-archive:FILE[:tag]");
	return oci_str_set(&ref->path, text, err);
}

/* A tag or name:tag, the name in its full form; `text` is cut to pieces. */
static int take_docker_name(char *text, char **ret, struct oci_error *err)
{
	oci_autofree char *tag = NULL, *full = NULL;
	char shown[OCI_STR_ESCAPE_MAX];
	if (cut_tag(text, &tag, err) < 0)
		return -1;
	if (!tag && oci_reference_tag_ok(text))
		return oci_str_set(ret, text, err);
	if (!tag)
		return oci_fail(err, OCI_E_USAGE,
			"'%s' is neither a tag nor a name with a tag, write " DOCKER_ARCHIVE_FORM,
			oci_str_escape(text, shown));

	full = oci_reference_docker_name(text);
	if (!full)
		return oci_fail_nomem(err);
	char *slash = strchr(full, '/');
	*slash = '\0';
	if (check_host(full, err) < 0 || check_repository(full, slash + 1, err) < 0)
		return -1;
	*slash = '/';
	*ret = oci_str_printf("%s:%s", full, tag);
	return *ret ? 0 : oci_fail_nomem(err);
}

/* PATH[:tag|:name:tag][@digest]; `text` is cut to pieces. */
static int parse_named(char *text, struct oci_reference *ref, struct oci_error *err)
{
	bool docker = ref->transport == OCI_TRANSPORT_DOCKER_ARCHIVE;
	if (cut_digest(find_digest(text), &ref->digest, err) < 0)
		return -1;
	char *colon = strchr(text, ':');
	if (colon)
		*colon = '\0';
	if (*text == '\0')
		return oci_fail(err, OCI_E_USAGE, "a path is missing, write %s", docker ? DOCKER_ARCHIVE_FORM : BUNDLE_FORM);
	if (colon && (docker ? take_docker_name : take_full_name)(colon + 1, &ref->tag, err) < 0)
		return -1;
	return oci_str_set(&ref->path, text, err);
}

/* PATH[@digest]; `text` is cut to pieces. */
static int parse_dir(char *text, struct oci_reference *ref, struct oci_error *err)
{
	if (cut_digest(find_digest(text), &ref->digest, err) < 0)
		return -1;
	if (*text == '\0')
		return oci_fail(err, OCI_E_USAGE, "a path is missing, write dir:PATH");
	return oci_str_set(&ref->path, text, err);
}

static int parse_rest(char *text, struct oci_reference *ref, struct oci_error *err)
{
	switch (ref->transport) {
	case OCI_TRANSPORT_LAYOUT:
	case OCI_TRANSPORT_ARCHIVE:
		return parse_local(text, ref, err);
	case OCI_TRANSPORT_DOCKER_ARCHIVE:
	case OCI_TRANSPORT_BUNDLE:
		return parse_named(text, ref, err);
	case OCI_TRANSPORT_DIR:
		return parse_dir(text, ref, err);
	case OCI_TRANSPORT_REGISTRY:
		break;
	}
	return parse_registry(text, ref, err);
}

int oci_reference_parse(const char *text, struct oci_reference *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	const char *rest = take_scheme(text, &ref.transport);
	oci_autofree char *pieces = strdup(rest);
	if (!pieces)
		return oci_fail_nomem(err);
	if (parse_rest(pieces, &ref, err) < 0)
		return -1;
	*ret = ref;
	ref = (struct oci_reference){0};
	return 0;
}

static int format(const struct oci_reference *ref, const char *tag, const struct oci_digest *digest,
	struct oci_buf *out, struct oci_error *err)
{
	char hash[OCI_DIGEST_TEXT_MAX];
	oci_digest_format(digest, hash);
	return oci_buf_printf(out, err, "%s%s%s%s%s%s%s%s", transport_prefix(ref->transport),
		ref->host ? ref->host : "", ref->host ? "/" : "", ref->path, tag ? ":" : "", tag ? tag : "",
		*hash ? "@" : "", hash);
}

int oci_reference_format(const struct oci_reference *ref, struct oci_buf *out, struct oci_error *err)
{
	return format(ref, ref->tag, &ref->digest, out, err);
}

int oci_reference_format_pinned(const struct oci_reference *ref, const struct oci_digest *digest,
	struct oci_buf *out, struct oci_error *err)
{
	return format(ref, NULL, digest, out, err);
}

void oci_reference_clear(struct oci_reference *ref)
{
	free(ref->host);
	free(ref->path);
	free(ref->tag);
	*ref = (struct oci_reference){0};
}
