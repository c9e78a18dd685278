#include "base/mount.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"

#define MOUNTINFO_MAX (4 * OCI_MIB) /* a node has a line for each mount of each pod */

/* The word at *at, which ends at a blank; the kernel writes blanks in it as \040. */
static void take_word(const char **at, char out[OCI_MOUNT_TEXT_MAX])
{
	size_t len = 0;

	while (**at && **at != ' ' && **at != '\n') {
		char c = **at;

		if (strncmp(*at, "\\040", 4) == 0) {
			c = ' ';
			*at += 3;
		}
		if (len + 1 < OCI_MOUNT_TEXT_MAX)
			out[len++] = c;
		++*at;
	}
	out[len] = '\0';
	*at += **at == ' ';
}

/* "36 35 98:0 /root /point rw,noatime shared:1 - ext3 /dev/root rw,errors=continue" */
static bool parse_line(const char *line, uint64_t id, struct oci_mount *ret)
{
	struct oci_mount found = *ret;
	char word[OCI_MOUNT_TEXT_MAX];
	uint64_t number;

	take_word(&line, word);
	if (!oci_str_u64(word, &number) || number != id)
		return false;
	for (int skipped = 0; skipped < 3; skipped++) /* parent, device, root */
		take_word(&line, word);
	take_word(&line, found.point);
	take_word(&line, found.options);
	do
		take_word(&line, word);
	while (*word && strcmp(word, "-") != 0);
	take_word(&line, found.type);
	take_word(&line, found.source);
	take_word(&line, found.super);
	if (!*found.type)
		return false;
	*ret = found;
	return true;
}

bool oci_mount_parse(const char *mountinfo, uint64_t id, struct oci_mount *ret)
{
	for (const char *line = mountinfo; *line;) {
		const char *end = strchr(line, '\n');

		if (parse_line(line, id, ret))
			return true;
		line = end ? end + 1 : "";
	}
	return false;
}

bool oci_mount_of(int fd, struct oci_mount *ret)
{
	oci_autoclose int proc = oci_fs_open_dir("/proc/self", NULL);
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	struct oci_mount found = {.is_root = false};
	struct statx stx;

	oci_buf_init(&text, MOUNTINFO_MAX);
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0 || !(stx.stx_mask & STATX_MNT_ID) || proc < 0 ||
		oci_fs_read_file(proc, "mountinfo", &text, NULL) < 0)
		return false;
	found.is_root = stx.stx_attributes & stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT;
	if (!oci_mount_parse(oci_buf_text(&text), stx.stx_mnt_id, &found))
		return false;
	*ret = found;
	return true;
}

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
		if (strncmp(at, word, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
	return false;
}

bool oci_mount_has(const struct oci_mount *mount, const char *option)
{
	return has_word(mount->options, option) || has_word(mount->super, option);
}

bool oci_mount_is_shared(const struct oci_mount *mount)
{
	static const char *const shared[] = {"nfs", "nfs4", "ceph", "cifs", "smb3", "9p", "virtiofs", "lustre", "gpfs",
		"beegfs", "afs", "gfs2", "ocfs2", "fuse"};

	for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
		if (strcmp(mount->type, shared[i]) == 0)
			return true;
	return oci_str_starts(mount->type, "fuse.");
}
