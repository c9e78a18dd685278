/* lease.h - one writer at a time in a directory that many pods share
 *
 * A lease is a small regular file (spec/lease.md) with a counter that its
 * holder moves once a second. Whoever wants to write and finds one watches the
 * counter, on a clock of its own, and takes the lease over when the holder is
 * dead:
 *
 *     struct oci_lease_sight sight = {0};          one for all calls of this wait
 *     while (oci_lease_take(dir, name, &options, &sight, &lease, err) == 0 && !lease)
 *             if (oci_lease_watch(dir, name, &options, &sight, wait_ms, &news, err) < 0) ...
 *     ... work in a private place ...
 *     oci_lease_check(lease, err)                  before each step that others see
 *     oci_lease_drop(lease);
 *
 * Dead is
 *  1. of the same boot and the same pid namespace: a process that is not there
 *     any more, is a zombie, or has another start time: at once;
 *  2. elsewhere: who has let go of the lock (flock) of the lease and has not
 *     moved the counter for quiet_ms. A lock that was to be had while the
 *     counter moved tells nothing, and is not asked again;
 *  3. whoever has not moved the counter for dead_ms: stopped, cut off, or gone
 *     with its machine.
 *
 * What is guaranteed. The lease holds one id at a time: of all who believe to
 * hold it at most one passes oci_lease_check(), and one who has lost it, or was
 * stopped so long that others may have taken it, fails there for good. A lease
 * that is not there is taken by one (link(2)). Of several that take over at
 * once exactly one gets the lease where flock works on the directory: looking
 * once more and replacing happen under that lock.
 *
 * What is not. Without such a lock (NFS) that holds as long as the two calls
 * lie less than settle_ms apart: the winner looks again after that time. One
 * that is held up between them for longer replaces the lease of the winner,
 * who then fails at its next check; until there two work at once. And nothing
 * here stops a writer between its check and the step after it. So the lease
 * saves work and never makes a tree right: staging is private to each writer
 * and a publication is whole by itself.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define OCI_LEASE_ID_DIGITS 16
#define OCI_LEASE_HOST_MAX 65
#define OCI_LEASE_BOOT_MAX 40
#define OCI_LEASE_TEXT_MAX 512

/* A time of 0 is the default; tests take shorter ones. */
struct oci_lease_options {
	uint64_t beat_ms;   /* 1000: how often the holder moves the counter */
	uint64_t quiet_ms;  /* 3000 */
	uint64_t dead_ms;   /* 30000 */
	uint64_t late_ms;   /* 20000: a holder that has not moved it for so long has lost it */
	uint64_t settle_ms; /* 1000: before one that took over looks again */
	const atomic_int *cancel; /* a signal number that ends each wait (OCI_E_CANCELLED); may be NULL */
};

struct oci_lease_holder {
	char id[OCI_LEASE_ID_DIGITS + 1]; /* "" of a file that is no lease */
	char host[OCI_LEASE_HOST_MAX];    /* safe to print; "" where it is not known */
	char boot[OCI_LEASE_BOOT_MAX];    /* boot id of the kernel */
	uint64_t pid_namespace;           /* its inode number */
	uint64_t pid;
	uint64_t start;                   /* of the process, in ticks since boot */
};

/* What one observer has seen of the lease of another. */
struct oci_lease_sight {
	bool there;
	struct oci_lease_holder holder;
	char text[OCI_LEASE_TEXT_MAX]; /* as last read */
	uint64_t still_since_ms;       /* on the observer's monotonic clock */
	bool unlocked;                 /* nobody had locked it when last looked at */
	bool lock_lies;                /* it was to be had and the counter moved */
};

struct oci_lease;

/* Takes the lease `name`, "<prefix>.part", a name in `dir` of up to 40 bytes that
 * base/temp.h would not sweep. On its way it is called "<prefix>.<16 hex>.part":
 * one that a killed process left is the holder's to remove. *ret is ours to drop,
 * or NULL when somebody alive has it, whom `sight` names; then nothing was
 * written. Fails with OCI_E_OCCUPIED when no regular file has the name, and like
 * any write. */
int oci_lease_take(int dir, const char *name, const struct oci_lease_options *options,
	struct oci_lease_sight *sight, struct oci_lease **ret, struct oci_error *err);

enum oci_lease_news {
	OCI_LEASE_ALIVE,   /* `wait_ms` are over, its holder lives */
	OCI_LEASE_GONE,    /* it was dropped: look at the tree */
	OCI_LEASE_CHANGED, /* another holds it now */
	OCI_LEASE_DEAD,    /* its holder is dead: take it */
};
/* Waits until the lease is worth another look. */
int oci_lease_watch(int dir, const char *name, const struct oci_lease_options *options,
	struct oci_lease_sight *sight, uint64_t wait_ms, enum oci_lease_news *ret, struct oci_error *err);

/* Is it still ours? OCI_E_BUSY, from then on always, when another has it, when
 * it is gone, or when our own counter stood still for late_ms (also in a
 * suspended machine). Threads may call it at the same time. */
int oci_lease_check(struct oci_lease *lease, struct oci_error *err);

/* The same, as far as can be told without a look at the file: asked often, it
 * keeps one who was stopped from going on. NULL is never lost. */
int oci_lease_check_time(struct oci_lease *lease, struct oci_error *err);

/* Removes the file when it is still ours; NULL is nothing. */
void oci_lease_drop(struct oci_lease *lease);
void oci_lease_cleanup(struct oci_lease **lease);
