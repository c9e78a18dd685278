/* doctor_job.h - an examination under way (private to doctor*.c)
 *
 * Findings are added in the order in which a pull would meet them; running out
 * of memory is kept and reported at the end.
 */
#pragma once

#include "base/mount.h"
#include "engine/doctor.h"
#include "engine/image.h"
#include "engine/wait.h"

struct doctor {
	const struct oci_doctor_options *options;
	struct oci_diagnosis *out;
	struct oci_error failed;     /* out of memory; code 0: not */
	int place;                   /* the directory where a pull would stage; -1: there is none */
	char *place_path;
	int dest;                    /* DEST itself where it is a directory, else -1 */
	bool is_mounted;             /* `mount` is known */
	struct oci_mount mount;      /* of `place` */
	bool has_tree;
	struct oci_wait_report tree; /* what lies at DEST, whole */
	struct oci_image image;
	bool has_image;              /* or a directory: what it needs is known */
	bool needs_more;             /* compressed layers: the need is known from below only */
	uint64_t need_bytes, need_files;
};

void doctor_ok(struct doctor *d, const char *what, const char *format, ...) __attribute__((format(printf, 3, 4)));
void doctor_warn(struct doctor *d, const char *what, const char *next, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void doctor_fail(struct doctor *d, enum oci_errc code, const char *what, const char *next, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* What to do about a failed system call on a volume. */
const char *doctor_remedy(int sys);
/* The error code of it. */
enum oci_errc doctor_code(int sys);

/* True when the place may be tried: it exists and is not mounted read-only. */
bool doctor_place(struct doctor *d);
/* True when files can be made there. */
bool doctor_probe(struct doctor *d);
/* What lies at DEST and beside it. */
void doctor_tree(struct doctor *d);
/* The way to the image, and what it needs. */
void doctor_source(struct doctor *d);
/* Space and inodes at the place. */
void doctor_room(struct doctor *d);
