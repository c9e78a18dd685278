/* error.h - what went wrong, once, in the caller's own storage
 *
 * Every function that can fail takes `struct oci_error *err` as its last
 * parameter and returns 0 or -1 (or a pointer or NULL). The struct is the
 * caller's, holds no allocation and may be NULL. The first cause stays: a
 * caller that knows more prefixes the text with oci_wrap().
 *
 * Calling sequence:
 *
 *     struct oci_error err = {0};
 *     if (oci_thing_do(thing, &err) < 0)
 *             return oci_wrap(&err, "layer '%s'", name);
 *
 * Text: one line, lower case, what failed first, names in quotes, no full
 * stop, never a secret. Foreign text goes through oci_str_escape().
 *
 * A code is what a caller branches on; its value is also the exit code that
 * tools/ ends with, which is API (spec/exit-codes.md).
 */
#pragma once

#include <stdarg.h>

enum oci_errc {
	OCI_OK = 0,
	OCI_E_BUG = 1,          /* unclassified: a bug of ours */
	OCI_E_USAGE = 2,        /* the caller's words are off */
	OCI_E_DIFFERENT = 3,    /* a comparison found differences */
	OCI_E_NOT_FOUND = 10,   /* reference, blob or file does not exist */
	OCI_E_AUTH = 11,        /* the other side refuses our credentials */
	OCI_E_POLICY = 12,      /* signature or policy refused */
	OCI_E_DIGEST = 13,      /* content is not what its digest says */
	OCI_E_FORMAT = 14,      /* malformed or hostile content */
	OCI_E_UNSUPPORTED = 15, /* well formed, but not something we handle */
	OCI_E_SOURCE = 16,      /* source unreadable, invalid, or changed while read */
	OCI_E_NETWORK = 20,     /* network failed after the retry budget */
	OCI_E_RATE = 21,        /* the other side limits our rate */
	OCI_E_TLS = 22,         /* certificate or handshake */
	OCI_E_NOSPACE = 30,     /* no space or quota */
	OCI_E_PERM = 31,        /* read-only or permission denied */
	OCI_E_IO = 32,          /* local input/output error */
	OCI_E_BUSY = 33,        /* locked by another process */
	OCI_E_OCCUPIED = 34,    /* destination holds other files */
	OCI_E_EXISTS = 35,      /* tag exists with other content */
	OCI_E_DAMAGED = 40,     /* local tree damaged, repairable */
	OCI_E_TIMEOUT = 41,     /* a wait ran out of time */
	OCI_E_PARTIAL = 50,     /* some of many failed */
	OCI_E_MORE = 51,        /* more parts needed */
	OCI_E_NOMEM = 71,       /* out of memory */
	OCI_E_CANCELLED = 128,  /* a signal; tools/ adds its number */
};

/* Which end of a transfer failed. */
enum oci_side { OCI_SIDE_NONE, OCI_SIDE_SOURCE, OCI_SIDE_DEST };

struct oci_error {
	enum oci_errc code;
	enum oci_side side;
	int sys;        /* errno, or 0 */
	int http;       /* HTTP status, or 0 */
	char text[512]; /* always terminated */
};

/* Record a failure; returns -1. An error already recorded is kept. */
int oci_fail(struct oci_error *err, enum oci_errc code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for a failed system call: appends strerror(sys). The code follows
 * `sys` where it speaks for itself (ENOSPC, EDQUOT, EFBIG: no space; EACCES,
 * EPERM, EROFS: permission; ENOMEM: memory; ECANCELED: cancelled), else it is
 * `otherwise`. */
int oci_fail_sys(struct oci_error *err, int sys, enum oci_errc otherwise,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Out of memory; returns -1. */
int oci_fail_nomem(struct oci_error *err);

/* Prefix the text with "<formatted>: "; returns -1. The code stays. Calling
 * it without a recorded failure is a bug and records OCI_E_BUG. */
int oci_wrap(struct oci_error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Add to the end of the text; returns -1. What does not fit is cut. */
int oci_append(struct oci_error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Say which end failed, unless that is said already; returns -1. */
int oci_fail_side(struct oci_error *err, enum oci_side side);
