#include "core/digest.h"

#include <openssl/sha.h>
#include <string.h>

#include "base/str.h"

static const struct algorithm {
	enum oci_digest_alg alg;
	const char *name;
	size_t bytes;
} algorithms[] = {
	{OCI_SHA256, "sha256", SHA256_DIGEST_LENGTH},
	{OCI_SHA512, "sha512", SHA512_DIGEST_LENGTH},
};

#define ALGORITHM_COUNT (sizeof(algorithms) / sizeof(algorithms[0]))

static const struct algorithm *algorithm_of(enum oci_digest_alg alg)
{
	for (size_t i = 0; i < ALGORITHM_COUNT; i++) {
		if (algorithms[i].alg == alg)
			return &algorithms[i];
	}
	return NULL;
}

static const struct algorithm *algorithm_named(const char *text, size_t len)
{
	for (size_t i = 0; i < ALGORITHM_COUNT; i++) {
		if (strlen(algorithms[i].name) == len && memcmp(algorithms[i].name, text, len) == 0)
			return &algorithms[i];
	}
	return NULL;
}

/* The spec's grammar: component (separator component)* ":" encoded. */
static bool grammar_ok(const char *text)
{
	static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char encoded[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=_-";
	for (;;) {
		size_t n = strspn(text, lower);
		if (n == 0)
			return false;
		text += n;
		if (*text == ':')
			break;
		if (*text == '\0' || !strchr("+._-", *text))
			return false;
		text++;
	}
	text++;
	return *text && text[strspn(text, encoded)] == '\0';
}

int oci_digest_parse(const char *text, struct oci_digest *ret, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	if (!grammar_ok(text))
		return oci_fail(err, OCI_E_FORMAT, "digest '%s' is malformed, expected sha256:<64 hex digits>",
			oci_str_escape(text, shown));

	size_t name_len = strcspn(text, ":");
	const struct algorithm *a = algorithm_named(text, name_len);
	if (!a)
		return oci_fail(err, OCI_E_UNSUPPORTED,
			"digest '%s' is of an algorithm that is not supported, only sha256 and sha512 are",
			oci_str_escape(text, shown));

	struct oci_digest digest = {.alg = a->alg};
	if (!oci_str_unhex(text + name_len + 1, digest.bytes, a->bytes))
		return oci_fail(err, OCI_E_FORMAT, "digest '%s' is malformed, expected %s:<%zu lower-case hex digits>",
			oci_str_escape(text, shown), a->name, 2 * a->bytes);
	*ret = digest;
	return 0;
}

const char *oci_digest_hex(const struct oci_digest *digest, char out[OCI_DIGEST_TEXT_MAX])
{
	const struct algorithm *a = algorithm_of(digest->alg);
	oci_str_hex(digest->bytes, a ? a->bytes : 0, out);
	return out;
}

const char *oci_digest_format(const struct oci_digest *digest, char out[OCI_DIGEST_TEXT_MAX])
{
	const struct algorithm *a = algorithm_of(digest->alg);
	if (!a) {
		out[0] = '\0';
		return out;
	}
	size_t name_len = strlen(a->name);
	memcpy(out, a->name, name_len);
	out[name_len] = ':';
	oci_str_hex(digest->bytes, a->bytes, out + name_len + 1);
	return out;
}

const char *oci_digest_alg_name(enum oci_digest_alg alg)
{
	const struct algorithm *a = algorithm_of(alg);
	return a ? a->name : "";
}

bool oci_digest_equal(const struct oci_digest *a, const struct oci_digest *b)
{
	const struct algorithm *alg = algorithm_of(a->alg);
	return alg && a->alg == b->alg && memcmp(a->bytes, b->bytes, alg->bytes) == 0;
}
