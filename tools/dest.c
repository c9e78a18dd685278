#include "dest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"

#define SCHEME "pvc://"
#define NAMESPACE_MAX 63 /* a DNS label */
#define NAME_MAX_BYTES 253 /* a DNS subdomain */

const struct opt dest_opts[] = {
	{OPT_TEXT(0, "pvc-root", struct dest_flags, pvc_root), .metavar = "DIR",
		.help = "where claims are mounted: pvc://NAME/PATH is DIR/NAME/PATH"},
	{0},
};

struct claim {
	char *mount; /* "NAME" or "NAMESPACE/NAME" */
	char *path;  /* in the claim */
};

static void clear_claim(struct claim *c)
{
	free(c->mount);
	free(c->path);
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

static int fail_form(const char *text, const char *what, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];

	return oci_fail(err, OCI_E_USAGE, "'%s' %s; a claim is written pvc://[NAMESPACE:]NAME/PATH",
		oci_str_escape(text, shown), what);
}

static int parse(const char *text, struct claim *ret, struct oci_error *err)
{
	const char *at = text + strlen(SCHEME), *slash = strchr(at, '/');
	oci_autofree char *owner = strndup(at, slash ? (size_t)(slash - at) : strlen(at));
	char *colon = owner ? strchr(owner, ':') : NULL;
	const char *name = colon ? colon + 1 : owner;
	size_t len;

	ret->path = strdup(slash ? slash + 1 : "");
	if (!owner || !ret->path)
		return oci_fail_nomem(err);
	if (colon)
		*colon = '\0';
	if ((colon && !is_name(owner, NAMESPACE_MAX, false)) || !is_name(name, NAME_MAX_BYTES, true))
		return fail_form(text, "names no claim", err);
	for (len = strlen(ret->path); len > 0 && ret->path[len - 1] == '/'; len--)
		ret->path[len - 1] = '\0';
	if (len == 0)
		return fail_form(text, "has no path in the claim", err);
	if (!oci_fs_path_ok(ret->path))
		return fail_form(text, "has a path that is not clean", err);
	ret->mount = colon ? oci_str_printf("%s/%s", owner, name) : strdup(name);
	return ret->mount ? 0 : oci_fail_nomem(err);
}

/* Like "current": a link that leads to a name beside it. */
static bool is_local_link(int claim, const char *path)
{
	oci_autofree char *target = NULL;

	return oci_fs_read_link(claim, path, &target, NULL) == 0 && oci_fs_path_ok(target);
}

/* As far as it exists. What may not be looked at is whose business the path is. */
static int check_inside(int claim, const char *text, const struct claim *c, struct oci_error *err)
{
	struct oci_error why = {0};
	oci_autoclose int dir = oci_fs_open_dir_beneath(claim, c->path, &why);

	if (dir >= 0 || why.code != OCI_E_FORMAT || is_local_link(claim, c->path))
		return 0;
	return oci_fail(err, OCI_E_USAGE, "'%s' leads through a link or a file: %s; name the directory itself", text,
		why.text);
}

static char *resolve(const char *root, const char *text, const struct claim *c, struct oci_error *err)
{
	struct oci_error why = {0};
	oci_autoclose int top = oci_fs_open_dir(root, &why);
	oci_autoclose int claim = top < 0 ? -1 : oci_fs_open_dir_beneath(top, c->mount, &why);
	char *path;

	if (claim < 0) {
		oci_fail(err, why.code == OCI_E_FORMAT ? OCI_E_USAGE : why.code,
			"'%s' is not mounted at '%s/%s' (%s); mount the claim there, or say where with --pvc-root", text, root,
			c->mount, why.text);
		return NULL;
	}
	if (check_inside(claim, text, c, err) < 0)
		return NULL;
	path = oci_str_printf("%s/%s/%s", root, c->mount, c->path);
	if (!path)
		oci_fail_nomem(err);
	return path;
}

char *dest_path(const struct dest_flags *flags, const char *text, struct oci_error *err)
{
	OCI_CLEANUP(clear_claim) struct claim claim = {0};
	char *copy;

	if (oci_str_starts(text, SCHEME)) {
		if (parse(text, &claim, err) < 0)
			return NULL;
		if (flags->pvc_root)
			return resolve(flags->pvc_root, text, &claim, err);
		oci_fail(err, OCI_E_USAGE,
			"'%s' is a claim, and nothing says where claims are mounted; run this where it is mounted at "
			"DIR/%s, with --pvc-root DIR", text, claim.mount);
		return NULL;
	}
	copy = strdup(text);
	if (!copy)
		oci_fail_nomem(err);
	return copy;
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
	return parent < 0 ? -1 : oci_fs_mkdirs_beneath(parent, name, 0775, err);
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
