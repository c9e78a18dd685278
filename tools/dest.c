#include "dest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "engine/remedy.h"

#define SCHEME "pvc://"
#define NAMESPACE_MAX 63 /* a DNS label */
#define NAME_MAX_BYTES 253 /* a DNS subdomain */

const char *const dest_publish_modes[] = {"auto", "version", "swap", "in-place", NULL};

int dest_publish_find(const char *name)
{
	for (int i = 0; dest_publish_modes[i]; i++)
		if (strcmp(dest_publish_modes[i], name) == 0)
			return i;
	return -1;
}

const struct opt dest_opts[] = {
	{OPT_TEXT(0, "pvc-root", struct dest_flags, pvc_root), .metavar = "DIR",
		.help = "where claims are mounted: pvc://NAME/PATH is DIR/NAME/PATH"},
	{0},
};

void dest_claim_clear(struct dest_claim *claim)
{
	free(claim->owner);
	free(claim->name);
	free(claim->path);
}

bool dest_is_claim(const char *text)
{
	return oci_str_starts(text, SCHEME);
}

static bool is_edge(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Labels of lower-case letters, digits and '-', each between letters or digits. */
static bool is_name(const char *text, size_t max, bool dots)
{
	size_t len = strlen(text);

	if (len == 0 || len > max || !is_edge(text[0]) || !is_edge(text[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (is_edge(text[i]) || text[i] == '-')
			continue;
		if (text[i] != '.' || !dots || !is_edge(text[i - 1]) || !is_edge(text[i + 1]))
			return false;
	}
	return true;
}

bool dest_is_label(const char *text)
{
	return is_name(text, NAMESPACE_MAX, false);
}

bool dest_is_subdomain(const char *text)
{
	return is_name(text, NAME_MAX_BYTES, true);
}

static int fail_form(const char *text, const char *what, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];

	return oci_fail(err, OCI_E_USAGE, "'%s' %s; a claim is written pvc://[NAMESPACE:]NAME/PATH",
		oci_str_escape(text, shown), what);
}

static int split(const char *text, struct dest_claim *ret, struct oci_error *err)
{
	const char *at = text + strlen(SCHEME), *slash = strchr(at, '/');
	const char *end = slash ? slash : at + strlen(at), *colon = memchr(at, ':', (size_t)(end - at));
	const char *name = colon ? colon + 1 : at;

	ret->owner = colon ? strndup(at, (size_t)(colon - at)) : NULL;
	ret->name = strndup(name, (size_t)(end - name));
	ret->path = strdup(slash ? slash + 1 : "");
	return (colon && !ret->owner) || !ret->name || !ret->path ? oci_fail_nomem(err) : 0;
}

int dest_claim_parse(const char *text, struct dest_claim *ret, struct oci_error *err)
{
	size_t len;

	if (split(text, ret, err) < 0)
		return -1;
	if (ret->owner && !dest_is_label(ret->owner))
		return fail_form(text, "names no namespace: up to 63 lower-case letters, digits and '-'", err);
	if (!dest_is_subdomain(ret->name))
		return fail_form(text, "names no claim: up to 253 lower-case letters, digits, '-' and '.'", err);
	for (len = strlen(ret->path); len > 0 && ret->path[len - 1] == '/'; len--)
		ret->path[len - 1] = '\0';
	if (len == 0)
		return fail_form(text, "has no path in the claim", err);
	return oci_fs_path_ok(ret->path) ? 0 : fail_form(text, "has a path that is not clean", err);
}

/* Like "current": a link that leads to a name beside it. */
static bool is_local_link(int claim, const char *path)
{
	oci_autofree char *target = NULL;

	return oci_fs_read_link(claim, path, &target, NULL) == 0 && oci_fs_path_ok(target);
}

/* As far as it exists. What may not be looked at is whose business the path is. */
static int check_inside(int claim, const char *text, const struct dest_claim *c,
	struct oci_error *err)
{
	struct oci_error why = {0};
	oci_autoclose int dir = oci_fs_open_dir_beneath(claim, c->path, &why);

	if (dir >= 0 || why.code != OCI_E_FORMAT || is_local_link(claim, c->path))
		return 0;
	return oci_fail(err, OCI_E_USAGE, "'%s' leads through a link or a file: %s; name the directory itself", text,
		why.text);
}

/* Where the claim is mounted, below the root. */
static char *mount_of(const struct dest_claim *c)
{
	return c->owner ? oci_str_printf("%s/%s", c->owner, c->name) : oci_str_printf("%s", c->name);
}

static char *resolve(const char *root, const char *text, const char *mount, const struct dest_claim *c,
	struct oci_error *err)
{
	struct oci_error why = {0};
	oci_autoclose int top = oci_fs_open_dir(root, &why);
	oci_autoclose int claim = top < 0 ? -1 : oci_fs_open_dir_beneath(top, mount, &why);
	char *path;

	if (claim < 0) {
		oci_fail(err, why.code == OCI_E_FORMAT ? OCI_E_USAGE : why.code,
			"'%s' is not mounted at '%s/%s' (%s); mount the claim there, or say where with --pvc-root", text, root,
			mount, why.text);
		return NULL;
	}
	if (check_inside(claim, text, c, err) < 0)
		return NULL;
	path = oci_str_printf("%s/%s/%s", root, mount, c->path);
	if (!path)
		oci_fail_nomem(err);
	return path;
}

static char *claim_path(const char *root, const char *text, struct oci_error *err)
{
	OCI_CLEANUP(dest_claim_clear) struct dest_claim claim = {0};
	oci_autofree char *mount = NULL;

	if (dest_claim_parse(text, &claim, err) < 0)
		return NULL;
	mount = mount_of(&claim);
	if (!mount) {
		oci_fail_nomem(err);
		return NULL;
	}
	if (root)
		return resolve(root, text, mount, &claim, err);
	oci_fail(err, OCI_E_USAGE,
		"'%s' is a claim, and nothing says where claims are mounted; run this where it is mounted at DIR/%s, with "
		"--pvc-root DIR, or on the cluster: modelcar job REF %s | kubectl apply -f -", text, mount, text);
	return NULL;
}

char *dest_path(const struct dest_flags *flags, const char *text, struct oci_error *err)
{
	char *copy;

	if (dest_is_claim(text))
		return claim_path(flags->pvc_root, text, err);
	copy = strdup(text);
	if (!copy)
		oci_fail_nomem(err);
	return copy;
}

/* The next component that counts, and its length; "" at the end. */
static const char *component(const char *at, size_t *len)
{
	for (;;) {
		at += strspn(at, "/");
		*len = strcspn(at, "/");
		if (*len != 1 || *at != '.')
			return at;
		at++;
	}
}

bool dest_is_at_or_below(const char *path, const char *top)
{
	size_t len, top_len;

	if ((*path == '/') != (*top == '/'))
		return false;
	for (;; path += len, top += top_len) {
		path = component(path, &len);
		top = component(top, &top_len);
		if (top_len == 0)
			return true;
		if (len != top_len || memcmp(path, top, len) != 0)
			return false;
	}
}

static int make_dir(const char *path, struct oci_error *err)
{
	oci_autofree char *name = NULL;
	oci_autoclose int parent = -1;
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) /* it need not be one that we may read */
		return 0;
	if (dest_make_parents(path, err) < 0)
		return -1;
	parent = oci_fs_open_parent(path, &name, err);
	if (parent >= 0 && oci_fs_mkdirs_beneath(parent, name, 0775, err) == 0)
		return 0;
	oci_wrap(err, "'%s' cannot be made", path);
	oci_fail_side(err, OCI_SIDE_DEST);
	return oci_remedy_append(err);
}

int dest_make_parents(const char *path, struct oci_error *err)
{
	size_t len = strlen(path);
	oci_autofree char *above = NULL;

	while (len > 1 && path[len - 1] == '/')
		len--;
	while (len > 0 && path[len - 1] != '/')
		len--;
	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 0)
		return 0;
	above = strndup(path, len);
	return above ? make_dir(above, err) : oci_fail_nomem(err);
}
