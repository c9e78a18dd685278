#include <string.h>

#include "base/str.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode_group(const unsigned char *in, size_t len, char out[4])
{
	uint32_t bits = (uint32_t)in[0] << 16;

	if (len > 1)
		bits |= (uint32_t)in[1] << 8;
	if (len > 2)
		bits |= in[2];
	out[0] = alphabet[bits >> 18];
	out[1] = alphabet[bits >> 12 & 63];
	out[2] = len > 1 ? alphabet[bits >> 6 & 63] : '=';
	out[3] = len > 2 ? alphabet[bits & 63] : '=';
}

int oci_str_base64(const void *data, size_t len, struct oci_buf *out, struct oci_error *err)
{
	const unsigned char *in = data;

	for (size_t at = 0; at < len; at += 3) {
		char group[4];

		encode_group(in + at, len - at, group);
		if (oci_buf_append(out, group, sizeof group, err) < 0)
			return -1;
	}
	return 0;
}

static int digit_value(char digit)
{
	const char *at = digit ? strchr(alphabet, digit) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

/* Bytes in a group of four digits, 0 when it is malformed: padding only at the
 * end, and the bits that it leaves unused are zero. */
static size_t decode_group(const char *in, unsigned char out[3])
{
	size_t digits = in[3] != '=' ? 4 : in[2] != '=' ? 3 : 2;
	uint32_t bits = 0;

	for (size_t i = 0; i < 4; i++) {
		int value = i < digits ? digit_value(in[i]) : 0;

		if (value < 0)
			return 0;
		bits = bits << 6 | (uint32_t)value;
	}
	out[0] = (unsigned char)(bits >> 16);
	out[1] = (unsigned char)(bits >> 8);
	out[2] = (unsigned char)bits;
	if ((digits == 2 && (out[1] | out[2])) || (digits == 3 && out[2]))
		return 0;
	return digits - 1;
}

bool oci_str_unbase64(const char *text, struct oci_buf *out, struct oci_error *err)
{
	size_t left = strlen(text);

	for (; left >= 4; left -= 4, text += 4) {
		unsigned char group[3];
		size_t len = decode_group(text, group);

		if (len == 0 || (len < 3 && left > 4))
			break;
		if (oci_buf_append(out, group, len, err) < 0)
			return false;
	}
	if (left > 0)
		oci_fail(err, OCI_E_FORMAT, "text is not base64");
	return left == 0;
}
