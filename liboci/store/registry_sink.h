/* registry_sink.h - content on its way into a registry; private to the registry store */
#pragma once

#include <pthread.h>

#include "http/client.h"
#include "store/memo.h"
#include "store/registry_mirror.h"
#include "store/store.h"

struct oci_registry {
	struct oci_store base;
	struct oci_http *http;
	struct oci_mirrors *mirrors; /* NULL: none */
	char *host, *repository;
	char *scope;
	char *state_dir; /* NULL: none */
	bool writes;
	atomic_bool one_request; /* this registry takes no blob in pieces */
	atomic_uint_fast64_t chunk_ceiling; /* what one request may carry (store/chunk.h) */
	struct oci_memo memo;
	pthread_mutex_t lock; /* guards what follows */
	char *spare_session;  /* begun to see whether we may; NULL: none, or taken */
	uint64_t spare_chunk_min;
};

/* A URL below the repository: "<origin>/v2/<repository>/<kind>/<name>". */
int oci_registry_url(const struct oci_registry *r, const char *kind, const char *name, struct oci_buf *out,
	struct oci_error *err);
bool oci_registry_is_document(const struct oci_descriptor *d);
/* HEAD; patient as in http/client.h. */
int oci_registry_exists(struct oci_registry *r, const struct oci_descriptor *d, bool patient, bool *ret,
	struct oci_error *err);
/* PUT a manifest's bytes under a digest or tag. */
int oci_registry_put_manifest(struct oci_registry *r, const char *name, const char *media_type,
	const void *data, size_t len, struct oci_error *err);
/* End an upload session that nobody wants; best effort. */
void oci_registry_cancel(struct oci_registry *r, const char *session);

struct oci_sink *oci_registry_begin(struct oci_store *s, const struct oci_descriptor *want,
	struct oci_error *err);
