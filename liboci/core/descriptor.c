#include "core/descriptor.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "core/grow.h"

static struct oci_annotation *find(const struct oci_annotations *a, const char *key)
{
	for (size_t i = 0; i < a->count; i++) {
		if (strcmp(a->items[i].key, key) == 0)
			return &a->items[i];
	}
	return NULL;
}

const char *oci_annotations_get(const struct oci_annotations *a, const char *key)
{
	const struct oci_annotation *item = find(a, key);
	return item ? item->value : NULL;
}

int oci_annotations_append(struct oci_annotations *a, const char *key, const char *value,
	struct oci_error *err)
{
	oci_autofree char *k = strdup(key);
	oci_autofree char *v = strdup(value);
	if (!k || !v)
		return oci_fail_nomem(err);
	struct oci_annotation *items = oci_grow(a->items, a->count, sizeof(*items));
	if (!items)
		return oci_fail_nomem(err);
	a->items = items;
	a->items[a->count].key = oci_steal(&k);
	a->items[a->count].value = oci_steal(&v);
	a->count++;
	return 0;
}

int oci_annotations_set(struct oci_annotations *a, const char *key, const char *value,
	struct oci_error *err)
{
	struct oci_annotation *item = find(a, key);
	if (!item)
		return oci_annotations_append(a, key, value, err);
	char *copy = strdup(value); /* before the old one goes: `value` may be it */
	if (!copy)
		return oci_fail_nomem(err);
	free(item->value);
	item->value = copy;
	return 0;
}

void oci_annotations_remove(struct oci_annotations *a, const char *key)
{
	struct oci_annotation *item = find(a, key);
	if (!item)
		return;
	free(item->key);
	free(item->value);
	a->count--;
	size_t after = a->count - (size_t)(item - a->items);
	memmove(item, item + 1, after * sizeof(*item));
}

int oci_annotations_copy(struct oci_annotations *to, const struct oci_annotations *from,
	struct oci_error *err)
{
	bool fresh = to->count == 0; /* no key to look for: a hostile list stays linear */
	for (size_t i = 0; i < from->count; i++) {
		const struct oci_annotation *item = &from->items[i];
		int rc = fresh ? oci_annotations_append(to, item->key, item->value, err)
			       : oci_annotations_set(to, item->key, item->value, err);
		if (rc < 0)
			return -1;
	}
	return 0;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct oci_annotation *)a)->key, ((const struct oci_annotation *)b)->key);
}

void oci_annotations_sort(struct oci_annotations *a)
{
	if (a->count > 1)
		qsort(a->items, a->count, sizeof(*a->items), by_key);
}

void oci_annotations_clear(struct oci_annotations *a)
{
	for (size_t i = 0; i < a->count; i++) {
		free(a->items[i].key);
		free(a->items[i].value);
	}
	free(a->items);
	*a = (struct oci_annotations){0};
}

/* Copy the word at *text up to '/' or the end and step behind it. */
static int take_word(const char **text, char **ret, struct oci_error *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strspn(*text, allowed);
	if (len == 0 || ((*text)[len] != '/' && (*text)[len] != '\0'))
		return oci_fail(err, OCI_E_USAGE, "a word of it is empty or has other characters");
	*ret = strndup(*text, len);
	if (!*ret)
		return oci_fail_nomem(err);
	*text += len;
	return 0;
}

static int parse_words(const char *text, struct oci_platform *p, struct oci_error *err)
{
	if (take_word(&text, &p->os, err) < 0)
		return -1;
	if (*text++ != '/')
		return oci_fail(err, OCI_E_USAGE, "the architecture is missing");
	if (take_word(&text, &p->architecture, err) < 0)
		return -1;
	if (*text == '\0')
		return 0;
	text++;
	if (take_word(&text, &p->variant, err) < 0)
		return -1;
	return *text ? oci_fail(err, OCI_E_USAGE, "it has more than three words") : 0;
}

int oci_platform_parse(const char *text, struct oci_platform *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_platform_clear) struct oci_platform p = {0};
	char shown[OCI_STR_ESCAPE_MAX];
	if (parse_words(text, &p, err) < 0)
		return oci_wrap(err, "platform '%s' is not of the form linux/amd64 or linux/arm64/v8",
			oci_str_escape(text, shown));
	*ret = p;
	p = (struct oci_platform){0};
	return 0;
}

int oci_platform_copy(struct oci_platform *to, const struct oci_platform *from, struct oci_error *err)
{
	OCI_CLEANUP(oci_platform_clear) struct oci_platform p = {0};
	if (oci_str_set(&p.os, from->os, err) < 0 ||
		oci_str_set(&p.architecture, from->architecture, err) < 0 ||
		oci_str_set(&p.variant, from->variant, err) < 0)
		return -1;
	struct oci_platform old = *to;
	*to = p;
	p = old;
	return 0;
}

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

bool oci_platform_match(const struct oci_platform *want, const struct oci_platform *have)
{
	if (!same(want->os, have->os) || !same(want->architecture, have->architecture))
		return false;
	return !want->variant || !have->variant || same(want->variant, have->variant);
}

#if defined(__x86_64__)
#define HOST_ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define HOST_ARCHITECTURE "arm64"
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HOST_ARCHITECTURE "ppc64le"
#elif defined(__s390x__)
#define HOST_ARCHITECTURE "s390x"
#elif defined(__riscv) && __riscv_xlen == 64
#define HOST_ARCHITECTURE "riscv64"
#elif defined(__arm__)
#define HOST_ARCHITECTURE "arm"
#elif defined(__i386__)
#define HOST_ARCHITECTURE "386"
#else
#error "name this architecture as Go does"
#endif

const struct oci_platform *oci_platform_host(void)
{
	static const struct oci_platform host = {
		.os = (char *)"linux",
		.architecture = (char *)HOST_ARCHITECTURE,
	};
	return &host;
}

void oci_platform_clear(struct oci_platform *p)
{
	free(p->os);
	free(p->architecture);
	free(p->variant);
	*p = (struct oci_platform){0};
}

int oci_descriptor_copy(struct oci_descriptor *to, const struct oci_descriptor *from, struct oci_error *err)
{
	oci_descriptor_clear(to);
	if (oci_str_set(&to->media_type, from->media_type, err) < 0 ||
		oci_str_set(&to->artifact_type, from->artifact_type, err) < 0 ||
		oci_platform_copy(&to->platform, &from->platform, err) < 0 ||
		oci_annotations_copy(&to->annotations, &from->annotations, err) < 0) {
		oci_descriptor_clear(to);
		return -1;
	}
	to->digest = from->digest;
	to->size_bytes = from->size_bytes;
	return 0;
}

void oci_descriptor_clear(struct oci_descriptor *d)
{
	free(d->media_type);
	free(d->artifact_type);
	oci_platform_clear(&d->platform);
	oci_annotations_clear(&d->annotations);
	*d = (struct oci_descriptor){0};
}

int oci_descriptor_of(const char *media_type, const void *data, size_t len, struct oci_descriptor *ret,
	struct oci_error *err)
{
	struct oci_descriptor d = {.size_bytes = len};
	if (oci_str_set(&d.media_type, media_type, err) < 0)
		return -1;
	oci_digest_of(OCI_SHA256, data, len, &d.digest);
	*ret = d;
	return 0;
}
