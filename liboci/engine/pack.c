#include "engine/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "base/workers.h"
#include "engine/listing.h"
#include "engine/pack_job.h"

#define SEND_JOBS 4

static int check_findings(const struct pack_job *job, struct oci_error *err)
{
	const struct oci_finding *first = NULL;
	size_t errors = 0;

	for (size_t i = 0; i < job->info.finding_count; i++) {
		const struct oci_finding *finding = &job->info.findings[i];

		if (finding->level == OCI_FINDING_WARNING || job->options->force) {
			oci_event_warn(job->options->observer, "%s: %s", finding->path, finding->text);
			continue;
		}
		if (errors++ == 0)
			first = finding;
	}
	if (errors == 0)
		return 0;
	if (errors > 1)
		return oci_fail(err, OCI_E_SOURCE,
			"%s: %s (and %zu more: 'modelcar check' lists them; --force takes it all the same)",
			first->path, first->text, errors - 1);
	return oci_fail(err, OCI_E_SOURCE, "%s: %s (--force takes it all the same)", first->path, first->text);
}

/* Readers bound what they take into memory, so an image with more could be packed but not pulled. */
static int check_count(size_t files, struct oci_error *err)
{
	if (files <= OCI_LISTING_FILES_MAX)
		return 0;
	return oci_fail(err, OCI_E_UNSUPPORTED, "%zu files are more than the %d that an image can list; "
		"put small ones into an archive or leave some out with --exclude", files, OCI_LISTING_FILES_MAX);
}

static int scan(struct pack_job *job, struct oci_error *err)
{
	if (oci_dir_scan(job->options->source, &job->options->dir, &job->dir, err) < 0)
		return -1;
	return check_count(job->dir.count, err);
}

/* After the base is known: what it has is not missing. */
static int look_at_model(struct pack_job *job, struct oci_error *err)
{
	const struct oci_block_index *beside = job->base.has_index ? &job->base.index : NULL;

	if (oci_pack_inspect(&job->dir, beside, job->options->prefix, &job->info, err) < 0)
		return -1;
	return check_findings(job, err);
}

/* With a base, the platforms are those that it has. */
static int load_base(struct pack_job *job, struct oci_error *err)
{
	const struct oci_pack_options *options = job->options;
	char name[OCI_DIGEST_TEXT_MAX];

	job->platforms = options->platforms;
	job->platform_count = options->single ? 1 : options->platform_count;
	if (!options->onto)
		return 0;
	job->base_store = oci_store_open(options->onto, OCI_STORE_READ, options->onto_store, err);
	if (!job->base_store ||
		oci_base_load(job->base_store, oci_image_name(options->onto, name), job->platforms,
			job->platform_count, options->platforms_default, &job->base, err) < 0)
		return oci_wrap(err, "base image");
	if (check_count(job->base.index.file_count + job->dir.count, err) < 0)
		return oci_wrap(err, "with the base image");
	job->own_platforms = calloc(job->base.count, sizeof *job->own_platforms);
	if (!job->own_platforms)
		return oci_fail_nomem(err);
	for (size_t p = 0; p < job->base.count; p++)
		job->own_platforms[p] = job->base.platforms[p].platform; /* borrowed */
	job->platforms = job->own_platforms;
	job->platform_count = job->base.count;
	return 0;
}

static int make_plan(struct pack_job *job, struct oci_error *err)
{
	struct oci_plan_options options = {.prefix = job->options->prefix,
		.root = pack_is_image(job) ? OCI_MODEL_ROOT : "",
		.raw = !pack_is_image(job),
		.max_layers = OCI_PLAN_MAX_LAYERS - (pack_is_image(job) ? 1 : 0)};
	size_t below = 0;

	for (size_t p = 0; p < job->base.count; p++)
		if (job->base.platforms[p].count > below)
			below = job->base.platforms[p].count;
	options.max_layers = below < options.max_layers ? options.max_layers - below : 0;
	return oci_plan_make(&job->dir, &options, &job->plan, err);
}

/* A dry run looks at the destination but does not make it. */
int pack_open_target(struct pack_job *job, struct oci_error *err)
{
	enum oci_store_mode mode = job->options->dry_run ? OCI_STORE_READ : OCI_STORE_WRITE;
	struct oci_error failure = {0};

	if (job->target)
		return 0;
	job->target = oci_store_open(job->options->target, mode, job->options->store, &failure);
	if (job->target || (job->options->dry_run && failure.code == OCI_E_NOT_FOUND))
		return 0;
	if (err)
		*err = failure;
	return oci_fail_side(err, OCI_SIDE_DEST);
}

static int set_created(struct pack_job *job, struct oci_error *err)
{
	time_t when;

	if (oci_clock_source_date(&when, err) < 0)
		return -1;
	oci_clock_format(when, job->created);
	return 0;
}

static void take_report(struct pack_job *job, struct oci_pack_report *report)
{
	report->info = job->info;
	job->info = (struct oci_model_info){0};
	report->skipped = job->dir.skipped;
	report->skipped_count = job->dir.skipped_count;
	report->file_count = job->dir.count;
	job->dir.skipped = NULL;
	job->dir.skipped_count = 0;
}

void pack_job_clear(struct pack_job *job)
{
	for (size_t i = 0; job->layers && i < job->plan.count; i++) {
		oci_block_index_tape_clear(&job->layers[i].tape);
		free(job->layers[i].title);
		free(job->layers[i].history);
	}
	for (size_t i = 0; job->own && i < job->own_count; i++)
		oci_descriptor_clear(&job->own[i].descriptor);
	for (size_t p = 0; job->stacks && p < job->platform_count; p++)
		free(job->stacks[p]);
	free(job->stacks);
	free(job->stack_counts);
	free(job->own);
	free(job->own_platforms);
	free(job->layers);
	free(job->digests);
	oci_documents_clear(&job->documents);
	oci_annotations_clear(&job->annotations);
	oci_block_index_clear(&job->index);
	oci_buf_clear(&job->index_bytes);
	oci_base_clear(&job->base);
	oci_store_close(job->target);
	oci_store_close(job->base_store);
	oci_plan_clear(&job->plan);
	oci_model_info_clear(&job->info);
	oci_dir_clear(&job->dir);
	oci_scan_clear(&job->scan);
	oci_layer_cache_close(&job->cache);
	pack_keep_clear(&job->keep);
}

void pack_job_init(struct pack_job *job, const struct oci_pack_options *options)
{
	*job = (struct pack_job){.options = options, .dir = {.fd = -1, .boundary_fd = -1}, .cache = {-1}};
	job->jobs = options->jobs ? options->jobs : oci_workers_cpus();
	job->send_jobs = options->jobs ? options->jobs : job->jobs < SEND_JOBS ? SEND_JOBS : job->jobs;
	pack_keep_init(&job->keep);
	job->started_ns = oci_clock_wall_ns();
	oci_scan_init(&job->scan, options->jobs, options->observer);
}

int pack_begin(struct pack_job *job, struct oci_error *err)
{
	if (set_created(job, err) < 0 || scan(job, err) < 0 || load_base(job, err) < 0 || look_at_model(job, err) < 0 ||
		make_plan(job, err) < 0)
		return -1;
	return pack_recall(job, err);
}

int oci_pack(const struct oci_pack_options *options, struct oci_pack_report *ret, struct oci_error *err)
{
	OCI_CLEANUP(pack_job_clear) struct pack_job job;
	OCI_CLEANUP(oci_pack_report_clear) struct oci_pack_report report = {0};

	pack_job_init(&job, options);
	if (pack_begin(&job, err) < 0 ||
		pack_survey(&job, err) < 0 || pack_hash(&job, err) < 0 || pack_ahead(&job, err) < 0 ||
		pack_describe(&job, err) < 0 || pack_open_target(&job, err) < 0 || pack_send(&job, &report, err) < 0) {
		oci_store_forsake(job.target);
		return -1;
	}
	take_report(&job, &report);
	*ret = report;
	report = (struct oci_pack_report){0};
	return 0;
}

int oci_pack_platforms(struct oci_platform ret[OCI_PACK_PLATFORMS], struct oci_error *err)
{
	static const char *const names[OCI_PACK_PLATFORMS] = {"linux/amd64", "linux/arm64"};

	for (size_t i = 0; i < OCI_PACK_PLATFORMS; i++)
		if (oci_platform_parse(names[i], &ret[i], err) < 0)
			return -1;
	return 0;
}

void oci_pack_report_clear(struct oci_pack_report *report)
{
	for (size_t i = 0; i < report->layer_count; i++)
		free(report->layers[i].title);
	for (size_t i = 0; i < report->skipped_count; i++) {
		free(report->skipped[i].path);
		free(report->skipped[i].why);
	}
	free(report->layers);
	free(report->skipped);
	oci_model_info_clear(&report->info);
	oci_descriptor_clear(&report->root);
	oci_descriptor_clear(&report->modelpack);
	*report = (struct oci_pack_report){0};
}
