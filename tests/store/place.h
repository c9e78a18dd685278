/* place.h - a fresh store for each test of the conformance suite
 *
 * The helpers fail the running test, so none is called in a worker thread. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "store/store.h"

#define BLOB_TYPE "application/octet-stream"
#define AUTO_DESCRIPTOR OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor

struct place {
	char *dir; /* NULL: none */
	struct oci_reference ref;
	struct oci_store *store;
	struct oci_error err;
};

/* A suite runs over the kind that argv[1] names: "memory", "layout", "archive", "bundle" or
 * "registry". 0, or the exit code of a main that cannot begin. */
int choose_kind(int argc, char **argv);
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int setup(void **state); /* *state is a place whose store is open for writing */
int teardown(void **state);

/* Finish, and come back as somebody who reads. Memory has no other side. */
void reopen(struct place *p);

/* Bytes that differ from seed to seed; the caller frees. */
char *make_bytes(size_t len, unsigned seed);
struct oci_descriptor describe(const char *type, const void *data, size_t len);

void put(struct place *p, const struct oci_descriptor *d, const void *data);
bool exists(struct place *p, const struct oci_descriptor *d);
/* A manifest that only `note` tells from another, with what it refers to. */
struct oci_descriptor put_manifest(struct place *p, const char *note);
void tag(struct place *p, const struct oci_descriptor *d, const char *name);

void assert_content(struct place *p, const struct oci_descriptor *d, const void *data);
void assert_resolves(struct place *p, const char *name, const struct oci_descriptor *want);
/* The last call failed with `code` and said why; forgets it. */
void assert_fails(struct place *p, enum oci_errc code);
