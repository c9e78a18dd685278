#include "path.h"

#include <limits.h>
#include <string.h>

#include "base/str.h"

void path_print(FILE *out, const char *path)
{
	char part[NAME_MAX + 1], shown[OCI_STR_ESCAPE_MAX];

	while (*path) {
		size_t len = strcspn(path, "/");

		if (len > NAME_MAX)
			len = NAME_MAX;
		memcpy(part, path, len);
		part[len] = '\0';
		fputs(oci_str_escape(part, shown), out);
		path += len;
		if (*path == '/')
			fputc(*path++, out);
	}
}

void path_put(struct oci_json_writer *w, const char *key, const char *path)
{
	char shown[OCI_STR_ESCAPE_MAX];

	oci_json_put_text(w, key, oci_str_clean_utf8(path) ? path : oci_str_escape(path, shown));
}
