/* lease_sight.h - the lease as its observers read it (private to lease*.c) */
#pragma once

#include "base/buf.h"
#include "engine/lease.h"

/* The counter is the second member and has a fixed width: it is moved in place. */
#define LEASE_COUNTER_DIGITS 16
#define LEASE_COUNTER_OFFSET (sizeof "{\"id\":\"\",\"counter\":\"" - 1 + OCI_LEASE_ID_DIGITS)

struct oci_lease_options lease_defaults(const struct oci_lease_options *options);

/* This process; the id stays as it is, what is not known is empty. */
void lease_describe_self(struct oci_lease_holder *ret);

/* Read the lease, if there is one, into `sight`. */
int lease_look(int dir, const char *name, struct oci_lease_sight *sight, struct oci_error *err);
bool lease_is_dead(const struct oci_lease_sight *sight, const struct oci_lease_options *options);
/* Is it, now, the lease of this id? */
int lease_is_of(int dir, const char *name, const char *id, bool *ret, struct oci_error *err);

/* Sleeps; fails with OCI_E_CANCELLED as soon as the cancel flag is set. */
int lease_sleep(const struct oci_lease_options *options, uint64_t wait_ms, struct oci_error *err);
