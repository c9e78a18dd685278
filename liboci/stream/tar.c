#include "stream/tar.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"

#define FILE_MODE 0664
#define DIR_MODE 0775

/* The first size that eleven octal digits do not hold: 8 GiB. */
#define OCTAL_SIZE_END (UINT64_C(1) << 33)

struct header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[8];
	char user[32];
	char group[32];
	char device_major[8];
	char device_minor[8];
	char unused[167];
};
_Static_assert(sizeof(struct header) == OCI_TAR_BLOCK, "a header is one block");

static const char long_name[] = "././@LongLink";

/* `digits` octal digits; the zero byte behind them is there already. */
static void put_octal(char *field, size_t digits, uint64_t value)
{
	for (; digits > 0; value >>= 3)
		field[--digits] = '0' + (value & 7);
}

static void put_size(struct header *h, uint64_t size_bytes)
{
	if (size_bytes < OCTAL_SIZE_END) {
		put_octal(h->size, sizeof h->size - 1, size_bytes);
		return;
	}
	/* Base-256: the top bit of the first byte, then a big-endian number. */
	h->size[0] = (char)0x80;
	for (size_t i = sizeof h->size - 1; size_bytes > 0; i--, size_bytes >>= 8)
		h->size[i] = (char)(size_bytes & 0xff);
}

/* A name too long is cut; the record before this header has all of it. Not
 * after a '/': some readers take such a name for a directory's. */
static void put_name(struct header *h, const char *name, size_t len)
{
	if (len > sizeof h->name) {
		len = sizeof h->name;
		while (len > 0 && name[len - 1] == '/')
			len--;
	}
	memcpy(h->name, name, len);
}

static void put_checksum(struct header *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	unsigned sum = 0;

	memset(h->checksum, ' ', sizeof h->checksum);
	for (size_t i = 0; i < sizeof *h; i++)
		sum += bytes[i];
	put_octal(h->checksum, 6, sum);
	h->checksum[6] = '\0';
}

static void begin_header(struct header *h, char type, unsigned mode, uint64_t size_bytes)
{
	memset(h, 0, sizeof *h);
	put_octal(h->mode, sizeof h->mode - 1, mode);
	put_octal(h->uid, sizeof h->uid - 1, 0);
	put_octal(h->gid, sizeof h->gid - 1, 0);
	put_size(h, size_bytes);
	put_octal(h->mtime, sizeof h->mtime - 1, 0);
	h->type = type;
	memcpy(h->magic, "ustar  ", sizeof h->magic);
}

static int add_long_name(struct oci_buf *out, const char *path, struct oci_error *err)
{
	size_t size = strlen(path) + 1; /* its zero byte counts */
	struct header h;

	begin_header(&h, 'L', 0, size);
	put_name(&h, long_name, sizeof long_name - 1);
	put_checksum(&h);
	if (oci_buf_append(out, &h, sizeof h, err) < 0 || oci_buf_append(out, path, size, err) < 0)
		return -1;
	return oci_buf_append_zeros(out, oci_tar_padding(size), err);
}

static int check_member(const char *path, enum oci_tar_type type, uint64_t size_bytes,
	struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	bool is_dir = type == OCI_TAR_DIR;
	bool sound = (is_dir || type == OCI_TAR_FILE) && path[0] != '\0' &&
		oci_str_ends(path, "/") == is_dir && (!is_dir || size_bytes == 0);

	oci_str_escape(path, shown);
	if (!sound)
		return oci_fail(err, OCI_E_BUG, "'%s' is no member of a tar that we write", shown);
	if (size_bytes > INT64_MAX)
		return oci_fail(err, OCI_E_UNSUPPORTED, "file '%s' is too large for a tar", shown);
	return 0;
}

int oci_tar_add_header(struct oci_buf *out, const char *path, enum oci_tar_type type, uint64_t size_bytes,
	struct oci_error *err)
{
	size_t len = strlen(path);
	struct header h;

	if (check_member(path, type, size_bytes, err) < 0)
		return -1;
	if (len > sizeof h.name && add_long_name(out, path, err) < 0)
		return -1;
	if (type == OCI_TAR_DIR)
		begin_header(&h, '5', DIR_MODE, 0);
	else
		begin_header(&h, '0', FILE_MODE, size_bytes);
	put_name(&h, path, len);
	put_octal(h.device_major, sizeof h.device_major - 1, 0);
	put_octal(h.device_minor, sizeof h.device_minor - 1, 0);
	put_checksum(&h);
	return oci_buf_append(out, &h, sizeof h, err);
}

uint64_t oci_tar_header_bytes(const char *path)
{
	size_t len = strlen(path);

	if (len <= sizeof ((struct header *)NULL)->name)
		return OCI_TAR_BLOCK;
	return 2 * OCI_TAR_BLOCK + len + 1 + oci_tar_padding(len + 1);
}

uint64_t oci_tar_padding(uint64_t size_bytes)
{
	return -size_bytes % OCI_TAR_BLOCK;
}
