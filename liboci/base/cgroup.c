#include "base/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define TEXT_MAX 4096

/* Where a version of control groups keeps the groups, and where one is told
 * its own ("0::/path" or "4:cpu,cpuacct:/path" in /proc/self/cgroup). */
struct hierarchy {
	const char *mount;
	bool unified;
};

/* The start of a file; such files are short and come in one piece. */
static bool read_text(const char *root, const char *path, char out[TEXT_MAX])
{
	oci_autofree char *full = oci_str_printf("%s%s", root, path);
	oci_autoclose int fd = full ? open(full, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t len = fd >= 0 ? read(fd, out, TEXT_MAX - 1) : -1;

	if (len < 0)
		return false;
	out[len] = '\0';
	return true;
}

/* Is `name` one of the names, with commas between them, in `list`? */
static bool list_has(const char *list, size_t len, const char *name)
{
	size_t want = strlen(name);

	while (len > 0) {
		const char *comma = memchr(list, ',', len);
		size_t part = comma ? (size_t)(comma - list) : len;

		if (part == want && memcmp(list, name, want) == 0)
			return true;
		part += comma != NULL;
		list += part;
		len -= part;
	}
	return false;
}

/* Our group in the hierarchy, cut out of the text of /proc/self/cgroup. */
static char *own_group(char *text, const struct hierarchy *tree)
{
	char *rest = text;
	char *line;

	while ((line = strsep(&rest, "\n"))) {
		char *names = strchr(line, ':');
		char *path = names ? strchr(++names, ':') : NULL;
		size_t len = path ? (size_t)(path - names) : 0;

		if (path && (tree->unified ? len == 0 : list_has(names, len, "cpu")))
			return path + 1;
	}
	return NULL;
}

/* A number up to a blank or the end of the line. */
static bool read_number(char **text, uint64_t *ret)
{
	const char *word = strsep(text, " \n");

	return word && oci_str_u64(word, ret);
}

static bool group_quota(const char *root, const struct hierarchy *tree, const char *group, uint64_t *quota,
	uint64_t *period)
{
	oci_autofree char *first = NULL, *second = NULL;
	char text[TEXT_MAX];
	char *at = text;

	first = oci_str_printf("%s%s/%s", tree->mount, group, tree->unified ? "cpu.max" : "cpu.cfs_quota_us");
	if (!first || !read_text(root, first, text) || !read_number(&at, quota))
		return false;
	if (tree->unified)
		return read_number(&at, period) && *period > 0;
	second = oci_str_printf("%s%s/cpu.cfs_period_us", tree->mount, group);
	at = text;
	return second && read_text(root, second, text) && read_number(&at, period) && *period > 0;
}

/* A group cannot have more than those above it. Inside a container the path
 * may be the host's: then only the last step, the root, exists. */
static bool tree_cpus(const char *root, const struct hierarchy *tree, unsigned *ret)
{
	char text[TEXT_MAX];
	char *group = read_text(root, "/proc/self/cgroup", text) ? own_group(text, tree) : NULL;
	bool found = false;

	while (group) {
		uint64_t quota, period, cpus;
		char *slash;

		if (group_quota(root, tree, group, &quota, &period)) {
			cpus = quota / period + (quota % period > 0);
			if (cpus < 1 || cpus > UINT_MAX)
				cpus = cpus < 1 ? 1 : UINT_MAX;
			if (!found || cpus < *ret)
				*ret = (unsigned)cpus;
			found = true;
		}
		slash = strrchr(group, '/');
		if (slash)
			*slash = '\0';
		group = slash ? group : NULL;
	}
	return found;
}

bool oci_cgroup_cpus(const char *root, unsigned *ret)
{
	static const struct hierarchy unified = {"/sys/fs/cgroup", true};
	static const struct hierarchy cpu = {"/sys/fs/cgroup/cpu", false};

	return tree_cpus(root, &unified, ret) || tree_cpus(root, &cpu, ret);
}
