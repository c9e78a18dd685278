#include "base/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define TEXT_MAX 4096
#define NO_LIMIT_BYTES ((uint64_t)1 << 60) /* version 1 has a number near 2^63 for it */

/* Where a version of control groups keeps the groups, and where one is told
 * its own ("0::/path" or "4:cpu,cpuacct:/path" in /proc/self/cgroup). */
struct hierarchy {
	const char *mount;
	const char *controller; /* NULL: version 2, which has all of them */
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

		if (path && (tree->controller ? list_has(names, len, tree->controller) : len == 0))
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

/* The number at the start of a file of a group. */
static bool group_number(const char *root, const struct hierarchy *tree, const char *group, const char *name,
	uint64_t *ret)
{
	oci_autofree char *path = oci_str_printf("%s%s/%s", tree->mount, group, name);
	char text[TEXT_MAX];
	char *at = text;

	return path && read_text(root, path, text) && read_number(&at, ret);
}

/* What a group may have; a group cannot have more than those above it. */
typedef void (*take_group)(const char *root, const struct hierarchy *tree, const char *group, void *ctx);

/* From our group up. Inside a container the path may be the host's: then only
 * the last step, the root, exists. */
static void each_group(const char *root, const struct hierarchy *tree, take_group take, void *ctx)
{
	char text[TEXT_MAX];
	char *group = read_text(root, "/proc/self/cgroup", text) ? own_group(text, tree) : NULL;

	while (group) {
		char *slash;

		take(root, tree, group, ctx);
		slash = strrchr(group, '/');
		if (slash)
			*slash = '\0';
		group = slash ? group : NULL;
	}
}

static bool group_quota(const char *root, const struct hierarchy *tree, const char *group, uint64_t *quota,
	uint64_t *period)
{
	oci_autofree char *path = oci_str_printf("%s%s/cpu.max", tree->mount, group);
	char text[TEXT_MAX];
	char *at = text;

	if (tree->controller)
		return group_number(root, tree, group, "cpu.cfs_quota_us", quota) &&
			group_number(root, tree, group, "cpu.cfs_period_us", period) && *period > 0;
	return path && read_text(root, path, text) && read_number(&at, quota) && read_number(&at, period) &&
		*period > 0;
}

/* `ctx`: the processors so far, 0: no limit. */
static void take_cpus(const char *root, const struct hierarchy *tree, const char *group, void *ctx)
{
	unsigned *least = ctx;
	uint64_t quota, period, cpus;

	if (!group_quota(root, tree, group, &quota, &period))
		return;
	cpus = quota / period + (quota % period > 0);
	if (cpus < 1 || cpus > UINT_MAX)
		cpus = cpus < 1 ? 1 : UINT_MAX;
	if (*least == 0 || cpus < *least)
		*least = (unsigned)cpus;
}

bool oci_cgroup_cpus(const char *root, unsigned *ret)
{
	static const struct hierarchy unified = {"/sys/fs/cgroup", NULL};
	static const struct hierarchy cpu = {"/sys/fs/cgroup/cpu", "cpu"};
	unsigned least = 0;

	each_group(root, &unified, take_cpus, &least);
	if (least == 0)
		each_group(root, &cpu, take_cpus, &least);
	if (least > 0)
		*ret = least;
	return least > 0;
}

static void take_memory(const char *root, const struct hierarchy *tree, const char *group, void *ctx)
{
	struct oci_cgroup_memory *least = ctx;
	uint64_t limit, used = 0;

	if (!group_number(root, tree, group, tree->controller ? "memory.limit_in_bytes" : "memory.max", &limit) ||
		limit >= NO_LIMIT_BYTES || limit >= least->limit_bytes)
		return;
	group_number(root, tree, group, tree->controller ? "memory.usage_in_bytes" : "memory.current", &used);
	*least = (struct oci_cgroup_memory){.limit_bytes = limit, .used_bytes = used};
}

bool oci_cgroup_memory(const char *root, struct oci_cgroup_memory *ret)
{
	static const struct hierarchy unified = {"/sys/fs/cgroup", NULL};
	static const struct hierarchy memory = {"/sys/fs/cgroup/memory", "memory"};
	struct oci_cgroup_memory least = {.limit_bytes = NO_LIMIT_BYTES};

	each_group(root, &unified, take_memory, &least);
	if (least.limit_bytes == NO_LIMIT_BYTES)
		each_group(root, &memory, take_memory, &least);
	if (least.limit_bytes == NO_LIMIT_BYTES)
		return false;
	*ret = least;
	return true;
}

bool oci_cgroup_available(const char *root, uint64_t *ret)
{
	char text[TEXT_MAX];
	char *line, *rest = text;

	if (!read_text(root, "/proc/meminfo", text))
		return false;
	while ((line = strsep(&rest, "\n"))) {
		uint64_t kib;
		char *number = line + strlen("MemAvailable:");

		if (!oci_str_starts(line, "MemAvailable:"))
			continue;
		number += strspn(number, " ");
		number[strcspn(number, " ")] = '\0';
		if (!oci_str_u64(number, &kib) || kib > UINT64_MAX / 1024)
			return false;
		*ret = kib * 1024;
		return true;
	}
	return false;
}
