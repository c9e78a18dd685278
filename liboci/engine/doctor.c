#include "engine/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cgroup.h"
#include "base/cleanup.h"
#include "base/workers.h"
#include "engine/doctor_job.h"
#include "engine/remedy.h"

#define FINDINGS_MAX 64
#define TEXT_MAX 1024
#define MEMORY_LEAST (32 * OCI_MIB) /* what a pull takes by default */
#define MEMORY_EASY (64 * OCI_MIB)  /* with the page cache that writing needs */

/* findings */

static void add(struct doctor *d, const struct oci_finding *finding, const char *next, const char *format, va_list args)
{
	char text[TEXT_MAX];
	struct oci_finding *f = &d->out->items[d->out->count];

	if (d->failed.code || d->out->count >= FINDINGS_MAX)
		return;
	vsnprintf(text, sizeof text, format, args);
	*f = *finding;
	f->text = strdup(text);
	f->next = next ? strdup(next) : NULL;
	d->out->count++;
	if (!f->text || (next && !f->next))
		oci_fail_nomem(&d->failed);
}

void doctor_ok(struct doctor *d, const char *what, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(d, &(struct oci_finding){.level = OCI_FINDING_OK, .what = what}, NULL, format, args);
	va_end(args);
}

void doctor_warn(struct doctor *d, const char *what, const char *next, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(d, &(struct oci_finding){.level = OCI_FINDING_WARN, .what = what}, next, format, args);
	va_end(args);
}

void doctor_fail(struct doctor *d, enum oci_errc code, const char *what, const char *next, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(d, &(struct oci_finding){.level = OCI_FINDING_FAIL, .code = code, .what = what}, next, format, args);
	va_end(args);
}

const struct oci_finding *oci_diagnosis_failure(const struct oci_diagnosis *d)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->items[i].level == OCI_FINDING_FAIL)
			return &d->items[i];
	return NULL;
}

void oci_diagnosis_clear(struct oci_diagnosis *d)
{
	for (size_t i = 0; i < d->count; i++) {
		free(d->items[i].text);
		free(d->items[i].next);
	}
	free(d->items);
	*d = (struct oci_diagnosis){0};
}

/* system calls */

enum oci_errc doctor_code(int sys)
{
	struct oci_error err = {0};

	oci_fail_sys(&err, sys, OCI_E_IO, "x");
	return err.code;
}

const char *doctor_remedy(int sys)
{
	const char *next = oci_remedy_of(sys);

	return next ? next : oci_remedy_of(EIO);
}

/* this process */

static void check_memory(struct doctor *d)
{
	struct oci_cgroup_memory memory;
	char limit[OCI_STR_SIZE_MAX], used[OCI_STR_SIZE_MAX];

	if (!oci_cgroup_memory("", &memory)) {
		doctor_ok(d, "memory", "no limit; a pull takes 32 MiB");
		return;
	}
	oci_str_size(memory.limit_bytes, limit);
	oci_str_size(memory.used_bytes, used);
	if (memory.limit_bytes < MEMORY_LEAST)
		doctor_fail(d, OCI_E_NOMEM, "memory", "set resources.limits.memory to 128Mi",
			"the limit is %s, and a pull takes 32 MiB", limit);
	else if (memory.limit_bytes < MEMORY_EASY)
		doctor_warn(d, "memory", "set resources.limits.memory to 128Mi",
			"the limit is %s, a pull takes 32 MiB, and what it writes is held in the rest", limit);
	else
		doctor_ok(d, "memory", "the limit is %s, %s in use with the page cache; a pull takes 32 MiB", limit, used);
}

static void check_cpu(struct doctor *d)
{
	unsigned cpus = oci_workers_cpus(), quota;

	if (oci_cgroup_cpus("", &quota))
		doctor_ok(d, "cpu", "%u usable, the control group allows %u", cpus, quota);
	else
		doctor_ok(d, "cpu", "%u usable, no quota", cpus);
}

static bool is_cancelled(const struct doctor *d)
{
	return d->options->store->cancel && atomic_load(d->options->store->cancel) != 0;
}

static void clear(struct doctor *d)
{
	oci_cleanup_close(&d->place);
	oci_cleanup_close(&d->dest);
	free(d->place_path);
	oci_wait_report_clear(&d->tree);
	oci_image_clear(&d->image);
}

int oci_doctor(const struct oci_doctor_options *options, struct oci_diagnosis *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_diagnosis_clear) struct oci_diagnosis out = {.items = calloc(FINDINGS_MAX, sizeof *out.items)};
	OCI_CLEANUP(clear) struct doctor d = {.options = options, .out = &out, .place = -1, .dest = -1};
	bool usable;

	if (!out.items)
		return oci_fail_nomem(err);
	usable = doctor_place(&d) && doctor_probe(&d);
	doctor_tree(&d);
	doctor_source(&d);
	if (usable)
		doctor_room(&d);
	check_memory(&d);
	check_cpu(&d);
	if (is_cancelled(&d))
		return oci_fail(err, OCI_E_CANCELLED, "cancelled");
	if (d.failed.code)
		return oci_fail_nomem(err);
	*ret = out;
	out = (struct oci_diagnosis){0};
	return 0;
}
