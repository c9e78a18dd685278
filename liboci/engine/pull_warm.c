/* Into the page cache, in the order in which a server asks. */
#include "engine/pull_tree.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define CHUNK OCI_MIB

static bool is_cancelled(const struct pull_tree *t)
{
	return t->options->cancel && atomic_load(t->options->cancel);
}

/* Reading fills the cache for sure; advice alone is cut by the kernel. */
static void read_file(const struct pull_tree *t, int dir, const char *path, char *chunk)
{
	oci_autoclose int fd = oci_fs_open_beneath(dir, path, O_RDONLY, 0, NULL);
	uint64_t done = 0;
	ssize_t got = 0;

	while (fd >= 0 && !is_cancelled(t) && (got = oci_fs_pread_full(fd, chunk, CHUNK, done, NULL)) > 0) {
		done += (uint64_t)got;
		oci_event_bytes(t->options->observer, (uint64_t)got);
	}
}

void pull_warm(const struct pull_tree *t)
{
	oci_autoclose int parent = oci_fs_open_dir_beneath(t->place.parent, ".", NULL);
	oci_autoclose int dir = parent < 0 ? -1 : oci_fs_open_dir_beneath(parent, t->place.name, NULL);
	oci_autofree char *chunk = malloc(CHUNK);

	if (dir < 0 || !chunk)
		return;
	oci_event_phase(t->options->observer, "warm", t->report.bytes_files, t->listing.count);
	for (int weights = 0; weights <= 1; weights++) /* configuration first, then weights by name */
		for (size_t i = 0; i < t->listing.count; i++)
			if (!t->listing.files[i].link && (t->listing.files[i].size_bytes >= CHUNK) == weights)
				read_file(t, dir, t->listing.files[i].path, chunk);
}
