/* From files of which some may be missing or damaged: what is here goes to the
 * destination; the rest waits, or is named. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/workers.h"
#include "engine/bundle_load_job.h"

#define JOBS 4

struct survey {
	struct oci_bundle_load_job *job;
	bool *check;             /* parts to be hashed */
	bool *bad;               /* that turned out, or were known, to be damaged */
	struct oci_error *found; /* one each part */
};

static void survey_clear(struct survey *s)
{
	free(s->check);
	free(s->bad);
	free(s->found);
}

static unsigned jobs_of(const struct oci_bundle_load_job *job)
{
	return job->options->jobs ? job->options->jobs : JOBS;
}

static int send_parcel(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct oci_bundle_load_job *job = worker->ctx;
	struct oci_bundle_parcel *parcel = &job->parcels[item];
	struct oci_error why = {0};
	char text[OCI_DIGEST_TEXT_MAX];

	if (!parcel->lacking || parcel->needed)
		return 0;
	parcel->waits = oci_bundle_kept_missing(&job->kept, parcel->blob, NULL) > 0;
	if (parcel->waits)
		return 0;
	if (oci_bundle_load_send(job, parcel, &why) == 0) {
		oci_bundle_kept_forget(&job->kept, parcel->blob);
		oci_event_done(job->options->observer, oci_digest_format(&parcel->blob->digest, text),
			parcel->blob->size_bytes, "sent");
		return 0;
	}
	parcel->damaged = why.code == OCI_E_DIGEST && why.side == OCI_SIDE_SOURCE;
	if (parcel->damaged)
		return 0;
	if (err && !err->code)
		*err = why;
	return oci_wrap(err, "blob '%s'", oci_digest_format(&parcel->blob->digest, text));
}

static int send_all(struct oci_bundle_load_job *job, struct oci_error *err)
{
	uint64_t total = 0;
	size_t count = 0;

	for (size_t i = 0; i < job->parcel_count; i++) {
		count += job->parcels[i].lacking;
		total += job->parcels[i].lacking ? job->parcels[i].blob->size_bytes : 0;
	}
	oci_event_phase(job->options->observer, "load", total, count);
	return oci_workers_run(jobs_of(job), job->parcel_count, send_parcel, job, job->options->cancel, err);
}

static int check_part(struct oci_worker *worker, size_t item, struct oci_error *err)
{
	struct survey *s = worker->ctx;

	if (s->check[item])
		oci_bundle_set_check(&s->job->set, item + 1, &s->found[item]);
	return 0;
}

/* Hash the parts that hold bytes which were wrong or have to be kept; the bad ones are dropped. */
static int check_parts(struct survey *s, struct oci_error *err)
{
	struct oci_bundle_load_job *job = s->job;

	for (size_t i = 0; i < job->parcel_count; i++)
		if (job->parcels[i].waits || job->parcels[i].damaged)
			oci_bundle_kept_parts(&job->kept, job->parcels[i].blob, s->check);
	for (size_t i = 0; i < job->set.map.documents; i++)
		oci_bundle_kept_parts(&job->kept, &job->set.map.blobs[i], s->check);
	if (oci_workers_run(jobs_of(job), job->set.parts.count, check_part, s, job->options->cancel, err) < 0)
		return -1;
	for (size_t i = 0; i < job->set.parts.count; i++) {
		if (!s->found[i].code)
			continue;
		if (oci_strings_add(&job->set.damaged, s->found[i].text, err) < 0)
			return -1;
		oci_event_warn(job->options->observer, "%s", s->found[i].text);
		s->bad[i] = true;
		oci_bundle_set_drop(&job->set, i + 1);
	}
	return 0;
}

/* A blob that is wrong although its parts are whole: what was kept of it is
 * no good, or it never was what its digest says. */
static int judge(struct oci_bundle_load_job *job, struct oci_bundle_parcel *parcel, struct oci_error *err)
{
	oci_autofree bool *here = calloc(job->set.parts.count, sizeof *here);
	char text[OCI_DIGEST_TEXT_MAX];

	if (!here)
		return oci_fail_nomem(err);
	parcel->waits = true;
	if (oci_bundle_kept_missing(&job->kept, parcel->blob, NULL) > 0)
		return 0;
	oci_bundle_kept_forget(&job->kept, parcel->blob);
	if (oci_bundle_kept_missing(&job->kept, parcel->blob, NULL) > 0)
		return 0;
	return oci_fail(err, OCI_E_DIGEST, "blob '%s' is not what its digest says%s; get the bundle again",
		oci_digest_format(&parcel->blob->digest, text),
		job->set.parts.part_bytes ? ", though its parts are as they were made" : "");
}

/* What cannot go yet waits; the manifests, too, so that later parts do alone. */
static int keep_rest(struct oci_bundle_load_job *job, struct oci_error *err)
{
	for (size_t i = 0; i < job->set.map.documents; i++)
		if (oci_bundle_kept_save(&job->kept, &job->set.map.blobs[i], err) < 0)
			return -1;
	for (size_t i = 0; i < job->parcel_count; i++)
		if (job->parcels[i].waits && oci_bundle_kept_save(&job->kept, job->parcels[i].blob, err) < 0)
			return -1;
	return oci_bundle_kept_commit(&job->kept, err);
}

static int say_what_is_wanted(struct survey *s, struct oci_error *err)
{
	const struct oci_bundle_load_job *job = s->job;
	size_t count = job->set.parts.count, next = 0;
	oci_autofree bool *wanted = calloc(count, sizeof *wanted);
	char taken[OCI_BUNDLE_RANGES_MAX], missing[OCI_BUNDLE_RANGES_MAX];

	if (!wanted)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < job->parcel_count; i++)
		if (job->parcels[i].waits)
			oci_bundle_kept_missing(&job->kept, job->parcels[i].blob, wanted);
	oci_bundle_ranges(job->kept.taken, count, true, taken);
	oci_bundle_ranges(wanted, count, true, missing);
	while (next < count && !wanted[next])
		next++;
	if (job->set.damaged.count > 0)
		return oci_fail(err, OCI_E_DIGEST, "%s; parts %s of %zu taken; wanted again or still: %s",
			job->set.damaged.items[0], *taken ? taken : "none", count, missing);
	return oci_fail(err, OCI_E_MORE, "parts %s of %zu taken; insert the one with part %zu%s%s", *taken ? taken : "none",
		count, next + 1, strchr(missing, ',') || strchr(missing, '-') ? ", of what is missing: " : "",
		strchr(missing, ',') || strchr(missing, '-') ? missing : "");
}

int oci_bundle_load_parts(struct oci_bundle_load_job *job, struct oci_error *err)
{
	OCI_CLEANUP(survey_clear) struct survey s = {.job = job};
	size_t count = job->set.parts.count, rest = 0;

	if (send_all(job, err) < 0)
		return oci_wrap(err, "what is there stays, run again to go on");
	for (size_t i = 0; i < job->parcel_count; i++)
		rest += job->parcels[i].waits || job->parcels[i].damaged;
	if (rest == 0)
		return 0;
	s.check = calloc(count, sizeof *s.check);
	s.bad = calloc(count, sizeof *s.bad);
	s.found = calloc(count, sizeof *s.found);
	if (!s.check || !s.bad || !s.found)
		return oci_fail_nomem(err);
	if (check_parts(&s, err) < 0)
		return -1;
	for (size_t i = 0; i < job->parcel_count; i++)
		if (job->parcels[i].damaged && judge(job, &job->parcels[i], err) < 0)
			return oci_fail_side(err, OCI_SIDE_SOURCE);
	if (keep_rest(job, err) < 0)
		return -1;
	say_what_is_wanted(&s, err);
	return oci_fail_side(err, OCI_SIDE_SOURCE);
}
