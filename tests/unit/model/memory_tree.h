/* memory_tree.h - a model of a few files in memory, for tests */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "model/detect.h"

#define MEMORY_FILES_MAX 32

struct memory_tree {
	struct oci_model_tree tree;
	struct oci_model_file files[MEMORY_FILES_MAX];
	char *data[MEMORY_FILES_MAX]; /* owned; NULL reads as zeros */
	size_t count;
	bool fail; /* reads fail */
};

static inline ssize_t memory_read(
	void *ctx, size_t i, uint64_t offset, void *data, size_t len, struct oci_error *err)
{
	struct memory_tree *m = ctx;

	if (m->fail)
		return oci_fail(err, OCI_E_IO, "read fails");
	if (offset >= m->files[i].size_bytes)
		return 0;
	/* Short reads on purpose: callers must go on. */
	if (len > 1000)
		len = len / 2 + 1;
	if (len > m->files[i].size_bytes - offset)
		len = m->files[i].size_bytes - offset;
	if (m->data[i])
		memcpy(data, m->data[i] + offset, len);
	else
		memset(data, 0, len);
	return (ssize_t)len;
}

/* Add a file; names may come in any order. `data` NULL: zeros. */
static inline void memory_add(struct memory_tree *m, const char *path, const void *data, size_t len)
{
	size_t at = 0;

	if (m->count == MEMORY_FILES_MAX)
		abort();
	while (at < m->count && strcmp(m->files[at].path, path) < 0)
		at++;
	memmove(&m->files[at + 1], &m->files[at], (m->count - at) * sizeof m->files[0]);
	memmove(&m->data[at + 1], &m->data[at], (m->count - at) * sizeof m->data[0]);
	m->files[at] = (struct oci_model_file){.path = path, .size_bytes = len};
	m->data[at] = NULL;
	if (data) {
		m->data[at] = malloc(len + 1);
		if (!m->data[at])
			abort();
		memcpy(m->data[at], data, len);
	}
	m->count++;
	m->tree =
		(struct oci_model_tree){.files = m->files, .count = m->count, .read = memory_read, .ctx = m};
}

static inline void memory_text(struct memory_tree *m, const char *path, const char *text)
{
	memory_add(m, path, text, strlen(text));
}

/* A safetensors file: `header`, then `data_bytes` zeros. */
static inline void memory_safetensors(
	struct memory_tree *m, const char *path, const char *header, size_t data_bytes)
{
	size_t n = strlen(header);
	char *file = calloc(1, 8 + n + data_bytes);

	if (!file)
		abort();
	for (int i = 0; i < 8; i++)
		file[i] = (char)((uint64_t)n >> (8 * i));
	memcpy(file + 8, header, n);
	memory_add(m, path, file, 8 + n + data_bytes);
	free(file);
}

static inline void memory_clear(struct memory_tree *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->data[i]);
	*m = (struct memory_tree){0};
}

/* The finding of this level about `path` whose text has `part` in it. */
static inline bool has_finding(
	const struct oci_model_info *info, enum oci_finding_level level, const char *path, const char *part)
{
	for (size_t i = 0; i < info->finding_count; i++) {
		const struct oci_finding *f = &info->findings[i];
		if (f->level == level && !strcmp(f->path, path) && strstr(f->text, part))
			return true;
	}
	return false;
}

static inline void print_findings(const struct oci_model_info *info)
{
	for (size_t i = 0; i < info->finding_count; i++)
		printf("%s %s: %s\n", info->findings[i].level == OCI_FINDING_ERROR ? "error" : "warning",
			info->findings[i].path, info->findings[i].text);
}
