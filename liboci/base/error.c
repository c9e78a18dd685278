#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A cut text must not end inside a UTF-8 sequence: it goes into JSON. */
static void drop_partial_character(char *text)
{
	size_t len = strlen(text);
	size_t start = len;

	while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
		start--;
	if (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0xc0)
		text[start - 1] = '\0';
}

__attribute__((format(printf, 3, 0)))
static void print_cut(char *out, size_t size, const char *format, va_list args)
{
	int len = vsnprintf(out, size, format, args);

	if (len < 0)
		out[0] = '\0';
	else if ((size_t)len >= size)
		drop_partial_character(out);
}

/* `text` behind what `out` holds, as far as there is room. */
static void append_cut(char *out, size_t size, const char *text)
{
	size_t used = strlen(out);
	int len = snprintf(out + used, size - used, "%s", text);

	if (len < 0 || (size_t)len >= size - used)
		drop_partial_character(out);
}

static bool wants_failure(const struct oci_error *err)
{
	return err && err->code == OCI_OK;
}

static enum oci_errc code_of_errno(int sys, enum oci_errc otherwise)
{
	switch (sys) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return OCI_E_NOSPACE;
	case EACCES:
	case EPERM:
	case EROFS:
		return OCI_E_PERM;
	case ENOMEM:
		return OCI_E_NOMEM;
	case ECANCELED:
		return OCI_E_CANCELLED;
	default:
		return otherwise;
	}
}

int oci_fail(struct oci_error *err, enum oci_errc code, const char *format, ...)
{
	va_list args;

	if (!wants_failure(err))
		return -1;
	err->code = code == OCI_OK ? OCI_E_BUG : code;
	va_start(args, format);
	print_cut(err->text, sizeof err->text, format, args);
	va_end(args);
	return -1;
}

int oci_fail_sys(struct oci_error *err, int sys, enum oci_errc otherwise, const char *format, ...)
{
	char unknown[64];
	const char *reason;
	va_list args;

	if (!wants_failure(err))
		return -1;
	err->code = code_of_errno(sys, otherwise);
	err->sys = sys;
	reason = strerror_r(sys, unknown, sizeof unknown);
	/* Room is kept for the reason: it says more than the end of a long name. */
	va_start(args, format);
	print_cut(err->text, sizeof err->text - strlen(reason) - 2, format, args);
	va_end(args);
	append_cut(err->text, sizeof err->text, ": ");
	append_cut(err->text, sizeof err->text, reason);
	return -1;
}

int oci_fail_nomem(struct oci_error *err)
{
	return oci_fail(err, OCI_E_NOMEM, "out of memory");
}

int oci_wrap(struct oci_error *err, const char *format, ...)
{
	char text[sizeof err->text];
	va_list args;

	if (!err)
		return -1;
	oci_fail(err, OCI_E_BUG, "failed without a reason");
	memcpy(text, err->text, sizeof text);
	va_start(args, format);
	print_cut(err->text, sizeof err->text, format, args);
	va_end(args);
	append_cut(err->text, sizeof err->text, ": ");
	append_cut(err->text, sizeof err->text, text);
	return -1;
}

int oci_append(struct oci_error *err, const char *format, ...)
{
	char text[sizeof err->text];
	va_list args;

	if (!err)
		return -1;
	va_start(args, format);
	print_cut(text, sizeof text, format, args);
	va_end(args);
	append_cut(err->text, sizeof err->text, text);
	return -1;
}

int oci_fail_side(struct oci_error *err, enum oci_side side)
{
	if (err && err->side == OCI_SIDE_NONE)
		err->side = side;
	return -1;
}
